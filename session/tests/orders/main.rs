//! Requests and operators of one small world in every order in which their store calls can follow each
//! other, on the real code.
//!
//! A case is a world and some programs. `cargo test --test orders` runs the pairs. Pairs with a fault, single
//! programs with two and a million longer mixtures take minutes and run in CI: see `.ci/run`. The triples
//! take hours, and run by hand.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and tells how much it has done"
)]

mod cases;
mod explore;
#[cfg(session_mistakes)]
mod mistakes;
mod programs;
mod store;
mod world;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use explore::{Case, Found, Random, explore, run};

/// Explores cases on all processors, until one of them breaks.
fn search(cases: &[Case], most: u64) -> Found {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (next, executions) = (AtomicUsize::new(0), AtomicU64::new(0));
    let search = || {
        loop {
            let case = cases.get(next.fetch_add(1, Ordering::SeqCst))?;
            let found = explore(case, most);
            executions.fetch_add(found.executions, Ordering::SeqCst);
            if let Some((broken, steps)) = found.broken {
                next.store(cases.len(), Ordering::SeqCst);
                return Some((format!("{broken}\n{case:?}"), steps));
            }
        }
    };
    let broken = std::thread::scope(|scope| {
        let searching: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let mut found = searching
            .into_iter()
            .map(|searching| searching.join().unwrap());
        let first = found.find_map(|broken| broken);
        found.for_each(drop);
        first
    });
    Found {
        executions: executions.into_inner(),
        broken,
    }
}

/// No case breaks.
#[cfg(not(session_mistakes))]
#[track_caller]
fn hold(cases: &[Case]) {
    let found = search(cases, u64::MAX);
    if let Some((broken, steps)) = found.broken {
        panic!("{broken}\n{}", steps.join("\n"));
    }
    println!("{} cases, {} executions", cases.len(), found.executions);
}

/// Longer mixtures with up to three faults; the seed of one that breaks is shown.
fn mixtures(count: u64) -> Found {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let next = AtomicU64::new(0);
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= count {
                return None;
            }
            let mut random = Random::new(seed);
            let case = cases::random(|of| random.next(of));
            if let Some((broken, steps)) = run(&case, &mut random) {
                next.store(count, Ordering::SeqCst);
                return Some((format!("seed {seed}: {broken}\n{case:?}"), steps));
            }
        }
    };
    let broken = std::thread::scope(|scope| {
        let searching: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        let mut found = searching
            .into_iter()
            .map(|searching| searching.join().unwrap());
        let first = found.find_map(|broken| broken);
        found.for_each(drop);
        first
    });
    Found {
        executions: count,
        broken,
    }
}

#[cfg(not(session_mistakes))]
mod tests {
    use super::cases::all;
    use super::*;

    #[test]
    fn every_pair_of_programs_in_every_order() {
        hold(&all(2, 0));
    }

    #[test]
    #[ignore = "takes minutes"]
    fn every_pair_of_programs_in_every_order_with_one_fault() {
        hold(&all(2, 1));
    }

    #[test]
    #[ignore = "takes minutes"]
    fn every_program_in_every_order_with_two_faults() {
        hold(&all(1, 2));
    }

    #[test]
    #[ignore = "takes minutes"]
    fn every_triple_of_programs_in_every_order() {
        hold(&all(3, 0));
    }

    #[test]
    fn a_thousand_longer_mixtures() {
        hold_mixtures(1000);
    }

    #[test]
    #[ignore = "takes minutes"]
    fn a_million_longer_mixtures() {
        hold_mixtures(1_000_000);
    }

    fn hold_mixtures(count: u64) {
        let found = mixtures(count);
        if let Some((broken, steps)) = found.broken {
            panic!("{broken}\n{}", steps.join("\n"));
        }
        println!("{count} executions");
    }
}
