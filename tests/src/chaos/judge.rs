//! Compares an answer with what was promised, and notes what it promises.

use std::collections::BTreeSet;

use session::SessionKey;

use super::app::now;
use super::ledger::{Ledger, Moment, Sent, Verdict, is_shared, key_of, short};
use super::plan::Revokes;
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

    /// It has done nothing.
    fn withdraw(&mut self, sent: &Sent) {
        self.settle(sent);
        if let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) {
            known.log.remove(&sent.number);
            if let Some(field) = sent.plan.field {
                known.fields[field].sent.remove(&sent.number);
            }
            known
                .privileged
                .retain(|(number, _, _)| *number != sent.number);
        }
        self.note_request(sent, &format!("{} was not sent", sent.number));
    }

    /// It is not on its way any more.
    fn settle(&mut self, sent: &Sent) {
        let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) else {
            return;
        };
        let mut privileged = known.privileged.iter_mut();
        if let Some(change) = privileged.find(|(number, _, _)| *number == sent.number) {
            change.2 = Some(now());
        }
        known.owner_changes -= u32::from(sent.plan.changes_owner());
        known.owner_epoch += u64::from(sent.plan.changes_owner());
        known.clears_in_flight -= u32::from(sent.plan.clears);
        if let Some(field) = sent.plan.field {
            known.fields[field].unanswered.remove(&sent.number);
        }
    }

    /// Nobody knows what it has done, until all is quiet.
    fn unanswered(&mut self, sent: &Sent, why: &str) {
        let number = sent.number;
        if let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) {
            if sent.plan.is_privileged {
                known.untold = Some(format!("{number} was not answered: {why}"));
            }
            known.is_owner_sure &= !sent.plan.changes_owner();
        }
        if sent.plan.changes() {
            self.unanswered_creations.insert(number);
        }
        if let Some(owner) = &sent.plan.login {
            let excuse = format!("{number} was not answered: {why}");
            self.limit_excuses.insert(owner.clone(), excuse);
        }
        self.note_request(sent, &format!("{number} was not answered: {why}"));
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

    fn in_doubt(&mut self, sent: &Sent) {
        if let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) {
            if sent.plan.is_privileged {
                known.untold = Some(format!("{} was answered 503", sent.number));
            }
            if let Some(field) = sent.plan.field {
                known.fields[field].unanswered.insert(sent.number);
            }
        }
        if sent.plan.changes() {
            self.unanswered_creations.insert(sent.number);
        }
        if let Some(owner) = &sent.plan.login {
            let excuse = format!("{} was answered 503", sent.number);
            self.limit_excuses.insert(owner.clone(), excuse);
        }
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
        if is_changed && answer.status == 200 && !sent.plan.has_early_save && !sent.plan.destroys {
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
    fn excuse(&self, key: Option<SessionKey>) -> Option<String> {
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

    /// What the answer does to the client's cookie.
    fn take_cookie(&mut self, sent: &Sent, answer: &Answer, arrival: &str, is_ok: bool) -> Verdict {
        let keys: Vec<SessionKey> = sent.key.into_iter().collect();
        let Some(value) = answer.set_cookie.as_deref() else {
            let plan = &sent.plan;
            let must_be_new = match arrival {
                "Live" => plan.destroys && plan.adds && !plan.has_early_save,
                "Late" => plan.login.is_some(),
                _ => plan.adds || plan.field.is_some() || plan.login.is_some(),
            };
            // A later sign-in of the owner has ended it already, where their number is limited.
            let may_be_evicted = plan.login.is_some() && self.limit.is_some();
            if is_ok && must_be_new && !may_be_evicted && !(plan.destroys && plan.has_early_save) {
                return Err(self.violation("a new session without a cookie", &keys));
            }
            // One that is not in the index when it is counted is taken to be evicted, and lives untold.
            if may_be_evicted && !self.was_index_whole(sent) {
                self.figures
                    .count("sign-ins without a cookie while the index was damaged");
                self.unanswered_creations.insert(sent.number);
            }
            return Ok(());
        };
        if let Some(jar) = sent.browser.and_then(|browser| self.jars.get_mut(browser)) {
            *jar = (!value.is_empty()).then(|| value.to_owned());
        }
        if value.is_empty() {
            if matches!(arrival, "Live" | "Late") {
                self.ended(sent.key, sent.number, "its cookie was removed");
            }
            return Ok(());
        }
        let Some(key) = key_of(value) else {
            return Err(self.violation("a cookie that is no token", &keys));
        };
        if Some(key) != sent.key {
            self.born(key, value, sent, is_ok);
            return Ok(());
        }
        if arrival != "Live" {
            return Err(self.violation("a token that is not good was given another one", &keys));
        }
        let known = self.sessions.entry(key).or_default();
        if known
            .ended
            .as_ref()
            .is_some_and(|(ended, _)| *ended < sent.at)
        {
            return Err(self.violation("a session that has ended was given a token", &keys));
        }
        if let Some(old) = sent.token.as_deref().filter(|old| *old != value) {
            let old = self.tokens.entry(old.to_owned()).or_default();
            let successor = old.successor.replace(value.to_owned());
            if successor.is_some() {
                return Err(self.violation("one token was replaced by two", &keys));
            }
            self.figures.count("tokens replaced");
        }
        let known = self.sessions.entry(key).or_default();
        for old in known.tokens.iter().filter(|old| *old != value) {
            let token = self.tokens.entry(old.clone()).or_default();
            if token.dead.is_none() {
                token.dead = Some(now());
                self.stolen.push_back(old.clone());
            }
        }
        known.tokens.push(value.to_owned());
        self.tokens.entry(value.to_owned()).or_default();
        Ok(())
    }

    /// A request has made a session.
    fn born(&mut self, key: SessionKey, token: &str, sent: &Sent, is_ok: bool) {
        self.figures.count("sessions");
        if let Some(old) = sent.key.and_then(|old| self.sessions.get_mut(&old)) {
            old.log.remove(&sent.number);
            if let Some(field) = sent.plan.field {
                old.fields[field].sent.remove(&sent.number);
            }
        }
        let known = self.sessions.entry(key).or_default();
        known.tokens.push(token.to_owned());
        known.owner.clone_from(&sent.plan.login);
        known.is_owner_sure = is_ok;
        known.is_shared = sent.plan.login.as_deref().is_some_and(is_shared);
        if sent.plan.expires {
            known.excuse = Some(String::from("it expires"));
        }
        if sent.plan.adds {
            known.log.insert(sent.number, is_ok.then(now));
        }
        if let Some(field) = sent.plan.field {
            known.fields[field].sent.insert(sent.number);
            known.fields[field].must = is_ok.then(|| (sent.number, now()));
        }
        self.tokens.entry(token.to_owned()).or_default();
        let line = format!("made by {} ({:?})", sent.number, sent.plan.steps);
        self.note(Some(key), &line);
    }

    /// The end of a session was acknowledged.
    pub(super) fn ended(&mut self, key: Option<SessionKey>, number: u64, how: &str) {
        let Some(key) = key else { return };
        let known = self.sessions.entry(key).or_default();
        if known.ended.is_none() {
            known.ended = Some((now(), format!("{number}: {how}")));
            self.stolen.extend(known.tokens.last().cloned());
            self.figures.count("sessions whose end was acknowledged");
            self.note(Some(key), &format!("has ended by {number}: {how}"));
        }
    }

    /// What the answer promises.
    fn acknowledge(&mut self, sent: &Sent, answer: &Answer, arrival: &str, is_ok: bool) {
        let plan = &sent.plan;
        let destroys = plan.destroys && (is_ok || answer.field("purpose").is_some());
        if destroys && matches!(arrival, "Live" | "Late") && answer.field("failed").is_none() {
            self.ended(sent.key, sent.number, "it was destroyed");
        }
        let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) else {
            return;
        };
        if plan.changes_owner() && !(is_ok && arrival == "Live") {
            known.is_owner_sure = false;
        }
        if arrival != "Live" {
            known.log.remove(&sent.number);
            return;
        }
        // Without a new token nothing has changed: it was so already, as far as the request has read.
        if is_ok && !plan.destroys && plan.changes_owner() && answer.set_cookie.is_some() {
            known.owner.clone_from(&plan.login);
            known.is_owner_sure = known.owner_changes == 0;
        }
        let is_saved = answer.status == 200 || answer.is_saved_early();
        let is_clear =
            !sent.is_clear_in_flight && known.clears == sent.clears && known.clears_in_flight == 0;
        if is_saved && is_clear && !plan.destroys {
            if plan.adds && is_added(sent, answer) {
                known.log.insert(sent.number, Some(now()));
                self.figures.count("changes acknowledged");
            }
            if let Some(field) = plan.field.filter(|_| answer.status == 200) {
                known.fields[field].must = Some((sent.number, now()));
            }
        }
        if plan.clears && is_ok {
            let gone = sent.to_be_gone.iter().map(|number| (*number, now()));
            known.gone.extend(gone);
        }
    }

    fn revoked(&mut self, sent: &Sent, answer: &Answer) -> Verdict {
        let user = answer.field("user").unwrap_or_default().to_owned();
        let is_still = |ledger: &Ledger, key: &SessionKey, epoch: u64| {
            ledger.sessions.get(key).is_some_and(|known| {
                known.owner_epoch == epoch && known.owner_changes == 0 && known.is_owner_sure
            })
        };
        if let Revokes::One(key) = sent.plan.revokes
            && answer.field("revoked") == Some("true")
        {
            let owned = sent.owned.iter().find(|(owned, _, _)| *owned == key);
            if let Some((_, owner, epoch)) = owned
                && *owner != user
                && is_still(self, &key, *epoch)
            {
                let what = format!("{}: {user} has revoked a session of {owner}", sent.number);
                return Err(self.violation(&what, &[key]));
            }
            self.ended(Some(key), sent.number, "it was revoked");
        }
        for key in answer.keys("devices") {
            let ended = self
                .sessions
                .get(&key)
                .and_then(|known| known.ended.as_ref());
            if ended.is_some_and(|(ended, _)| *ended < sent.at) {
                let what = format!("{}: a session is listed that has ended", sent.number);
                return Err(self.violation(&what, &[key]));
            }
        }
        if !self.was_index_whole(sent) {
            return Ok(());
        }
        let is_all = answer.field("revoked-all").is_some();
        let is_others = answer.field("revoked-others").is_some();
        if answer.field("devices").is_some() {
            let devices = answer.keys("devices");
            for (key, owner, epoch) in &sent.owned {
                let is_safe = *owner == user && self.excuse(Some(*key)).is_none();
                if is_safe && is_still(self, key, *epoch) && !devices.contains(key) {
                    let what = format!("{}: a session of {owner} is not listed", sent.number);
                    return Err(self.violation(&what, &[*key]));
                }
            }
        }
        if is_all || is_others {
            for (key, owner, epoch) in &sent.owned {
                let is_meant = *owner == user && !(is_others && Some(*key) == sent.key);
                if is_meant && is_still(self, key, *epoch) {
                    self.ended(Some(*key), sent.number, "all were revoked");
                }
            }
        }
        Ok(())
    }
}

/// Whether the number was part of what was saved: of the early save, where the commit did not happen.
fn is_added(sent: &Sent, answer: &Answer) -> bool {
    if answer.status == 200 {
        return true;
    }
    let place = |word: &str| sent.plan.steps.iter().position(|step| step == word);
    place("add")
        .zip(place("save"))
        .is_some_and(|(add, save)| add < save)
}
