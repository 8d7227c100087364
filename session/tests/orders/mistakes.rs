//! Each mistake that somebody could make in the rules is found by the exploration.

use session::mistakes::{ALL, switch};

use crate::cases::all;
use crate::{mixtures, search};

/// One after the other, as the switch is one for the whole process.
#[test]
fn every_mistake_is_found() {
    let (pairs, disturbed, triples) = (all(2, 0), all(2, 1), all(3, 0));
    let mut missed = Vec::new();
    for mistake in ALL {
        switch(Some(mistake));
        let found = search(&pairs, 3000)
            .broken
            .or_else(|| mixtures(200_000).broken)
            .or_else(|| search(&disturbed, 2000).broken)
            .or_else(|| search(&triples, 500).broken);
        match found {
            Some((broken, steps)) => {
                let what = broken.lines().next().unwrap_or_default();
                println!("{mistake}: {what} ({} steps)", steps.len());
            }
            None => {
                println!("{mistake}: NOT FOUND");
                missed.push(*mistake);
            }
        }
    }
    switch(None);
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
