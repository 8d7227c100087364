//! Many single times, and what is told of them.

use std::time::Duration;

use serde::Serialize;

/// Single times of one thing that was done again and again.
#[derive(Debug, Default)]
pub struct Samples {
    turn: Vec<u64>,
    all: Vec<u64>,
    turn_medians: Vec<u64>,
}

/// What is told of them, in nanoseconds.
#[derive(Debug, Serialize)]
pub struct Quantiles {
    samples: usize,
    percent_10: u64,
    median: u64,
    percent_90: u64,
    percent_99: u64,
    turn_medians: Vec<u64>,
}

impl Samples {
    /// One more time.
    pub fn push(&mut self, time: Duration) {
        self.turn
            .push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Something else's turn comes.
    pub fn end_turn(&mut self) {
        self.turn.sort_unstable();
        if let Some(median) = self.turn.get(self.turn.len() / 2) {
            self.turn_medians.push(*median);
        }
        self.all.append(&mut self.turn);
    }

    /// Forgets what was done to warm up.
    pub fn clear(&mut self) {
        *self = Samples::default();
    }

    /// What is told of them.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[must_use]
    pub fn quantiles(mut self) -> Quantiles {
        self.end_turn();
        self.all.sort_unstable();
        let at = |percent: usize| self.all[(self.all.len() - 1) * percent / 100];
        Quantiles {
            samples: self.all.len(),
            percent_10: at(10),
            median: at(50),
            percent_90: at(90),
            percent_99: at(99),
            turn_medians: self.turn_medians,
        }
    }
}
