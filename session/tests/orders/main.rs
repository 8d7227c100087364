//! Requests and operators of one small world in every order in which their store calls can follow each
//! other, on the real code.

mod cases;
mod explore;
mod programs;
mod store;
mod world;

use cases::{all, seconds_left};
use explore::{Case, explore};

/// Explores every case; the first violation is shown with the steps that lead to it.
fn hold(cases: Vec<Case>) -> u64 {
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let next = std::sync::atomic::AtomicUsize::new(0);
    let executions = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(case) = cases.get(place) else { return };
                    let found = explore(case, u64::MAX);
                    executions.fetch_add(found.executions, std::sync::atomic::Ordering::SeqCst);
                    if let Some((broken, steps)) = found.broken {
                        panic!("{broken}\n{case:?}\n{}", steps.join("\n"));
                    }
                }
            });
        }
    });
    executions.into_inner()
}

#[test]
fn every_pair_of_programs_in_every_order_with_one_fault() {
    let executions = hold(all(2, 1));
    println!("{executions} executions");
}

#[test]
#[ignore = "minutes: run in release"]
fn every_pair_of_programs_in_every_order_with_two_faults() {
    println!("{} executions", hold(all(2, 2)));
}

#[test]
#[ignore = "minutes: run in release"]
fn every_triple_of_programs_in_every_order() {
    println!("{} executions", hold(all(3, 0)));
}

#[test]
fn some_of_what_is_explored_is_long() {
    let _ = seconds_left();
}
