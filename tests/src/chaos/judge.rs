//! Compares an answer with what was promised.

use std::collections::BTreeSet;

use session::SessionKey;

use super::app::now;
use super::ledger::{Ledger, Moment, Sent, Verdict, short};
use super::wire::{Answer, Sending};

/// How long a replaced token is known to be the client's own, with something to spare.
const LATE_FOR: Moment = 110_000_000_000;

/// How many replaced tokens a session knows.
const REPLACED: usize = 2;

impl Ledger {
    /// A request has come to its end.
    pub(super) fn end(&mut self, sent: &Sent, sending: &Sending) -> Verdict {
        match sending {
            Sending::NotSent => {
                self.figures.count("not sent");
                self.withdraw(sent);
            }
            Sending::Unanswered(why) => {
                self.figures.count(why);
                self.unanswered(sent, why);
            }
            Sending::Answered(answer) => return self.answered(sent, answer),
        }
        Ok(())
    }

    fn answered(&mut self, sent: &Sent, answer: &Answer) -> Verdict {
        let (number, status) = (sent.number, answer.status);
        *self.figures.statuses.entry(status).or_default() += 1;
        let cookie = match answer.set_cookie.as_deref() {
            None => String::new(),
            Some("") => String::from(", cookie removed"),
            Some(token) => format!(", cookie {}", short(token)),
        };
        let told = answer.text.trim_end().replace('\n', " ");
        let told = told.get(..300).unwrap_or(&told);
        let line = format!("{number} answered {status}{cookie}: {told}");
        self.note_request(sent, &line);
        let at_fault: Vec<SessionKey> = sent.key.into_iter().collect();
        let is_on_purpose = sent.plan.fails && answer.field("purpose").is_some();
        let is_expected = match status {
            200 | 401 | 409 | 503 => true,
            500 => is_on_purpose && answer.field("failed").is_none(),
            _ => false,
        };
        if !is_expected {
            return Err(self.violation(&format!("{line}: no such answer is expected"), &at_fault));
        }
        let Some(arrival) = answer.field("arrival") else {
            // The session could not be read.
            if status != 503 {
                return Err(self.violation(&format!("{line}: tells nothing"), &at_fault));
            }
            self.withdraw(sent);
            return Ok(());
        };
        let arrival = arrival.to_owned();
        if arrival == "Live" {
            self.check_live(sent, answer)?;
        } else {
            self.check_reads_nothing(sent, answer)?;
        }
        self.check_honest(sent, answer, &arrival)?;
        self.check_refusal(sent, answer, &arrival)?;
        self.settle(sent);
        if status == 503 {
            self.in_doubt(sent);
        }
        let is_ok = status == 200 || is_on_purpose && answer.is_saved_early();
        self.take_cookie(sent, answer, &arrival, is_ok)?;
        self.acknowledge(sent, answer, &arrival, is_ok);
        self.revoked(sent, answer)
    }

    /// What opens a session is its one token, and all that was promised is there.
    fn check_live(&mut self, sent: &Sent, answer: &Answer) -> Verdict {
        let (Some(key), Some(token)) = (sent.key, sent.token.as_deref()) else {
            return Err(self.violation("a request without a token opens a session", &[]));
        };
        self.figures
            .count("checks: a live session reads what was acknowledged");
        let fail = |what: &str| {
            let what = format!("request {}: {what}", sent.number);
            Err(self.violation(&what, &[key]))
        };
        let Some(known) = self.sessions.get(&key) else {
            return fail("a session is open that nobody has made");
        };
        if !known.tokens.iter().any(|known| known == token) {
            return fail("a token opens a session that was never given for it");
        }
        let ended = known.ended.as_ref().map(|(at, _)| *at);
        let dead = self.tokens.get(token).and_then(|token| token.dead);
        if ended.is_some_and(|ended| ended < sent.at) {
            return fail("a session is open whose end was acknowledged");
        }
        if dead.is_some_and(|dead| dead < sent.at) {
            return fail("a replaced token opens its session");
        }
        let is_changed = sent.plan.adds || sent.plan.field.is_some();
        // A sign-in without a new token may have been dropped: see `acknowledge`.
        let may_be_dropped = sent.plan.login.is_some() && answer.set_cookie.is_none();
        let is_saved = answer.status == 200 && !may_be_dropped;
        if is_changed && is_saved && !sent.plan.has_early_save && !sent.plan.destroys {
            let handled = answer.number("at").unwrap_or_default();
            if ended.is_some_and(|ended| ended < handled) {
                return fail("a change was saved to a session whose end had been acknowledged");
            }
            if dead.is_some_and(|dead| dead < handled) {
                return fail("a change has crossed a change of privilege");
            }
        }
        let is_owner_known = known.is_owner_sure
            && known.owner_epoch == sent.owner_epoch
            && known.owner_changes == 0;
        if is_owner_known && answer.field("user") != Some(known.owner.as_deref().unwrap_or("")) {
            return fail("a session is not its owner's");
        }
        let log = answer.numbers("log");
        let fields = answer.numbers("fields");
        match self.check_data(key, &log, answer.number("views"), &fields, sent.at) {
            Some(what) => fail(&what),
            None => Ok(()),
        }
    }

    /// What is wrong with the data of a session that were read after `at`.
    pub(super) fn check_data(
        &self,
        key: SessionKey,
        log: &[u64],
        views: Option<u64>,
        fields: &[u64],
        at: Moment,
    ) -> Option<String> {
        let known = self.sessions.get(&key)?;
        let there: BTreeSet<u64> = log.iter().copied().collect();
        if views != Some(log.len() as u64) {
            return Some(format!("{views:?} views by {} requests", log.len()));
        }
        if there.len() != log.len() {
            return Some(format!("a change was applied twice: {log:?}"));
        }
        if let Some(number) = there.iter().find(|number| !known.log.contains_key(number)) {
            return Some(format!("the change {number} is another session's"));
        }
        for (number, since) in &known.gone {
            if there.contains(number) && *since < at {
                return Some(format!("the change {number} is there, and was cleared"));
            }
        }
        for (number, acknowledged) in &known.log {
            if acknowledged.is_some_and(|acknowledged| acknowledged < at) && !there.contains(number)
            {
                return Some(format!("the acknowledged change {number} is missing"));
            }
        }
        for (place, (value, written)) in fields.iter().zip(&known.fields).enumerate() {
            let must = written.must.filter(|(_, acknowledged)| *acknowledged < at);
            let must = must.map_or(0, |(number, _)| number);
            let is_known = *value == 0 || written.sent.contains(value);
            let is_late = written.unanswered.contains(value);
            if !is_known || *value < must && !is_late {
                return Some(format!("f{place} is {value}, and {must} was acknowledged"));
            }
        }
        None
    }

    fn check_reads_nothing(&mut self, sent: &Sent, answer: &Answer) -> Verdict {
        self.figures
            .count("checks: a token that opens nothing reads nothing");
        let is_empty = answer.field("user") == Some("")
            && answer.number("role") == Some(0)
            && answer.number("views") == Some(0)
            && answer.numbers("log").is_empty()
            && answer.numbers("fields").iter().all(|value| *value == 0);
        if is_empty {
            return Ok(());
        }
        let keys: Vec<SessionKey> = sent.key.into_iter().collect();
        Err(self.violation("a token that is not good reads a session", &keys))
    }

    /// How many changes of privilege this request has met, or may have met.
    fn met(&self, sent: &Sent) -> usize {
        let Some(known) = sent.key.and_then(|key| self.sessions.get(&key)) else {
            return 0;
        };
        let is_met = |(number, _, done): &&(u64, Moment, Option<Moment>)| {
            *number != sent.number && done.is_none_or(|done| done > sent.at)
        };
        known.privileged.iter().filter(is_met).count()
    }

    /// Why the session may have ended for its own client.
    pub(super) fn excuse(&self, key: Option<SessionKey>) -> Option<String> {
        let known = self.sessions.get(&key?)?;
        let shared = known.is_shared.then(|| String::from("shared"));
        known.excuse.clone().or(known.untold.clone()).or(shared)
    }

    /// An honest client is not signed out.
    fn check_honest(&mut self, sent: &Sent, answer: &Answer, arrival: &str) -> Verdict {
        if !sent.is_honest {
            return Ok(());
        }
        let keys: Vec<SessionKey> = sent.key.into_iter().collect();
        let Some(token) = &sent.token else {
            if arrival == "NoCookie" {
                return Ok(());
            }
            return Err(self.violation("a request without a cookie brought one", &keys));
        };
        let met = self.met(sent);
        let excuse = self.excuse(sent.key);
        if arrival == "Live" {
            let what = if excuse.is_none() {
                "checks: an honest client is not signed out"
            } else {
                "an honest client was not signed out, and could have been"
            };
            self.figures.count(what);
            return Ok(());
        }
        let was_long = now() - sent.at > LATE_FOR;
        let is_explained = match arrival {
            "Late" => met > 0 || excuse.is_some(),
            "Unknown" | "Ended" => excuse.is_some() || met > REPLACED || met > 0 && was_long,
            _ => false,
        };
        if !is_explained {
            let what = format!(
                "request {}: an honest client is signed out ({arrival})",
                sent.number
            );
            return Err(self.violation(&what, &keys));
        }
        self.figures
            .count("an honest client was signed out, or late, as it may be");
        let jar = sent.browser.and_then(|browser| self.jars.get_mut(browser));
        if let Some(jar) = jar
            && jar.as_ref() == Some(token)
            && excuse.is_some()
            && answer.set_cookie.is_none()
        {
            // Its visitor begins anew.
            *jar = None;
        }
        Ok(())
    }

    /// What was refused had met something.
    fn check_refusal(&mut self, sent: &Sent, answer: &Answer, arrival: &str) -> Verdict {
        let keys: Vec<SessionKey> = sent.key.into_iter().collect();
        let is_signing_in_limited = self.limit.is_some_and(|(_, rejects)| rejects)
            && sent.plan.login.is_some()
            && answer.text.contains("which is the limit");
        let met = self.met(sent) > 0;
        let excuse = self.excuse(sent.key);
        let is_explained = match (answer.status, arrival) {
            (409, _) if is_signing_in_limited => true,
            (409, "Live") if sent.plan.leaves && answer.field("user") != Some("") => {
                let what = format!("request {}: a sign-out was declined", sent.number);
                return Err(self.violation(&what, &keys));
            }
            (409, "Late") => sent.plan.is_privileged,
            (401 | 409, "Live") => met || excuse.is_some(),
            // What it has made by an early save was revoked before its commit.
            (401, _) if sent.plan.has_early_save && sent.plan.login.is_some() => true,
            // A late request reads nothing anew.
            (401, _) => sent.plan.steps.iter().any(|step| step == "reload"),
            (409, _) => false,
            _ => true,
        };
        if is_explained {
            return Ok(());
        }
        let what = format!(
            "request {}: refused with {}, and has met nothing",
            sent.number, answer.status
        );
        Err(self.violation(&what, &keys))
    }
}
