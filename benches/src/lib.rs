//! Interleaved measurements: what is compared runs turn by turn in one process, so that whatever the
//! machine does meanwhile happens to all of it.

pub mod growth;
pub mod random;
pub mod samples;
pub mod visit;
pub mod worker;

use std::time::{Duration, Instant};

/// Something to be measured.
pub struct Contender<'a> {
    /// What it is.
    pub name: &'static str,
    /// Does it once.
    pub once: Box<dyn FnMut() + 'a>,
}

impl<'a> Contender<'a> {
    /// Something to be measured.
    pub fn new(name: &'static str, once: impl FnMut() + 'a) -> Self {
        let once = Box::new(once);
        Contender { name, once }
    }
}

/// Runs all of them turn by turn, `rounds` times in turns of `turn` runs, and prints the medians of
/// the turns and their ratios to the first.
pub fn compare(title: &str, rounds: usize, turn: u32, mut contenders: Vec<Contender<'_>>) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::with_capacity(rounds); contenders.len()];
    // One turn that does not count.
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..turn {
                (contender.once)();
            }
            if round > 0 {
                times.push(start.elapsed() / turn);
            }
        }
    }
    println!("\n{title} ({rounds} rounds of {turn}, interleaved)");
    let mut first = None;
    for (contender, times) in contenders.iter().zip(&mut times) {
        times.sort_unstable();
        let median = times[times.len() / 2];
        let (low, high) = (times[times.len() / 10], times[times.len() * 9 / 10]);
        let base = *first.get_or_insert(median);
        println!(
            "{:<58} {:>9.2?}  (10%: {:.2?}, 90%: {:.2?})  {:.2}x",
            contender.name,
            median,
            low,
            high,
            median.as_secs_f64() / base.as_secs_f64()
        );
    }
}
