//! Those who have come by old tokens, make some up, or try to end the sessions of others.

use std::time::Duration;

use session::SessionKey;

use super::ledger::Verdict;
use super::plan::{ATTACKERS, Plan, Revokes};
use super::random::Random;
use super::run::Shared;
use super::wire::{Line, Manner, Sending};

/// Runs an attacker until the driver stops; it has a session of its own in `browser`.
pub(super) fn run(shared: &Shared, browser: usize, mut random: Random) {
    let mut line = Line::default();
    while shared.goes_on() {
        if let Err(violation) = one(shared, browser, &mut random, &mut line) {
            shared.stop(violation);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn one(shared: &Shared, browser: usize, random: &mut Random, line: &mut Line) -> Verdict {
    if random.chance(70) {
        return replay(shared, random, line);
    }
    let victim = {
        let ledger = shared.ledger();
        let alive = |(_, known): &(&SessionKey, &super::ledger::Known)| known.ended.is_none();
        let keys: Vec<SessionKey> = ledger
            .sessions
            .iter()
            .filter(alive)
            .map(|it| *it.0)
            .collect();
        random.pick(&keys).copied()
    };
    let is_signed_in = shared.ledger().jars[browser].is_some();
    let plan = match victim {
        Some(key) if is_signed_in => Plan::default().revoke(Revokes::One(key)),
        _ => Plan::default().login(ATTACKERS),
    };
    shared
        .exchange(Some(browser), None, plan, line, random)
        .map(drop)
}

fn replay(shared: &Shared, random: &mut Random, line: &mut Line) -> Verdict {
    let token = {
        let mut ledger = shared.ledger();
        while ledger.stolen.len() > 400 {
            ledger.stolen.pop_front();
        }
        let stolen = ledger.stolen.make_contiguous();
        random.pick(stolen).cloned()
    };
    let Some(mut token) = token else {
        return Ok(());
    };
    if random.chance(20) {
        // The key, and a secret that was made up.
        let made_up = if token.as_bytes().get(30) == Some(&b'A') {
            "B"
        } else {
            "A"
        };
        token.replace_range(30..31, made_up);
    }
    let plan = match random.below(6) {
        0 => Plan::default().add(),
        1 => Plan::default().login(ATTACKERS).add(),
        2 => Plan::default().privileged("role"),
        3 => Plan::default().step("devices"),
        _ => Plan::read(),
    };
    let sending = shared.exchange(None, Some(token), plan, line, random)?;
    // What it has made is not kept.
    if let Sending::Answered(answer) = sending
        && let Some(token) = answer.set_cookie.filter(|token| !token.is_empty())
    {
        let plan = Plan::default().destroy();
        shared.exchange(None, Some(token), plan, line, random)?;
    }
    Ok(())
}

impl Shared {
    /// One request and its answer, judged.
    pub(super) fn exchange(
        &self,
        browser: Option<usize>,
        token: Option<String>,
        plan: Plan,
        line: &mut Line,
        random: &mut Random,
    ) -> Result<Sending, super::ledger::Violation> {
        let Some(address) = self.some_server(random) else {
            return Ok(Sending::NotSent);
        };
        let sent = self.ledger().begin(browser, token, plan);
        let path = sent.plan.path(sent.number);
        let sending = line.send(address, &path, sent.token.as_deref(), Manner::Polite);
        self.ledger().end(&sent, &sending)?;
        Ok(sending)
    }
}
