//! Honest browsers: one jar each, several tabs that know nothing of each other.

use std::time::Duration;

use super::ledger::{Known, Verdict};
use super::plan::{Plan, calm, wild};
use super::random::Random;
use super::run::Shared;
use super::wire::{Line, Manner, Sending};

/// A tab of a browser.
#[derive(Debug, Clone)]
pub(super) struct Tab {
    pub(super) browser: usize,
    pub(super) place: usize,
    /// Whose session it is that nobody else signs in as; `None` where owners are shared.
    pub(super) owner: Option<String>,
}

/// Runs a tab until the driver stops.
pub(super) fn run(shared: &Shared, tab: &Tab, mut random: Random) {
    let mut line = Line::default();
    let mut previous = None;
    while shared.goes_on() {
        if let Err(violation) = one(shared, tab, &mut random, &mut line, &mut previous) {
            shared.stop(violation);
        }
    }
}

fn one(
    shared: &Shared,
    tab: &Tab,
    random: &mut Random,
    line: &mut Line,
    previous: &mut Option<String>,
) -> Verdict {
    let Some(address) = shared.some_server(random) else {
        std::thread::sleep(Duration::from_millis(20));
        return Ok(());
    };
    let manner = manner(shared, random);
    let sent = {
        let mut ledger = shared.ledger();
        let jar = ledger.jars[tab.browser].clone();
        let (plan, token) = match &tab.owner {
            Some(owner) => {
                let key = jar.as_deref().and_then(super::ledger::key_of);
                let known = key.and_then(|key| ledger.sessions.get(&key));
                let is_signed_in = |known: &Known| known.owner.as_ref() == Some(owner);
                if known.is_some_and(is_signed_in) {
                    (calm(random, tab.place), None)
                } else if tab.place == 0 {
                    (Plan::default().login(owner).add(), None)
                } else {
                    drop(ledger);
                    std::thread::sleep(Duration::from_millis(10));
                    return Ok(());
                }
            }
            // A tab that was left open when another one signed in, and signs out now.
            None if previous.is_some() && *previous != jar && random.chance(15) => {
                (Plan::default().destroy(), previous.take())
            }
            None => {
                let keys = || {
                    ledger
                        .sessions
                        .iter()
                        .filter(|(_, known)| known.ended.is_none())
                };
                let count = keys().count() as u64;
                let place = usize::try_from(random.below(count.max(1))).unwrap_or_default();
                let key = keys().nth(place).map(|(key, _)| *key);
                (wild(random, tab.place, key), None)
            }
        };
        if random.chance(50) {
            *previous = jar;
        }
        ledger.begin(Some(tab.browser), token, plan)
    };
    let path = sent.plan.path(sent.number);
    let sending = line.send(address, &path, sent.token.as_deref(), manner);
    let verdict = shared.ledger().end(&sent, &sending);
    if matches!(sending, Sending::NotSent) {
        std::thread::sleep(Duration::from_millis(5));
    }
    verdict
}

fn manner(shared: &Shared, random: &mut Random) -> Manner {
    let has_resets = shared.has_resets();
    match random.below(100) {
        0..3 if has_resets => Manner::Reset(random.below(4)),
        3 if has_resets => Manner::Reset(random.below(60)),
        4..7 => Manner::Slow(random.below(120)),
        _ => Manner::Polite,
    }
}
