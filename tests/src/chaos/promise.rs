//! What a request may have done, and what its answer promises.

use session::SessionKey;

use super::app::now;
use super::ledger::{Ledger, Sent, Verdict, is_shared, key_of};
use super::plan::Revokes;
use super::wire::Answer;

impl Ledger {
    /// It has done nothing.
    pub(super) fn withdraw(&mut self, sent: &Sent) {
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
    pub(super) fn settle(&mut self, sent: &Sent) {
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
    pub(super) fn unanswered(&mut self, sent: &Sent, why: &str) {
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

    pub(super) fn in_doubt(&mut self, sent: &Sent) {
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

    /// What the answer does to the client's cookie.
    pub(super) fn take_cookie(
        &mut self,
        sent: &Sent,
        answer: &Answer,
        arrival: &str,
        is_ok: bool,
    ) -> Verdict {
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
            if is_ok && must_be_new && may_be_evicted && !self.was_index_whole(sent) {
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
            let is_asked = sent.plan.destroys || arrival == "Live" && sent.plan.leaves;
            if !is_asked {
                return Err(self.violation("a cookie was removed that nobody gave up", &keys));
            }
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
    pub(super) fn born(&mut self, key: SessionKey, token: &str, sent: &Sent, is_ok: bool) {
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
    pub(super) fn acknowledge(&mut self, sent: &Sent, answer: &Answer, arrival: &str, is_ok: bool) {
        let plan = &sent.plan;
        // One that is not in the index when it is counted is taken to be evicted, and lives untold.
        let is_untold = self.limit.is_some()
            && plan.login.is_some()
            && answer.set_cookie.is_none()
            && !self.was_index_whole(sent);
        let destroys = plan.destroys && (is_ok || answer.field("purpose").is_some());
        if destroys && matches!(arrival, "Live" | "Late") && answer.field("failed").is_none() {
            self.ended(sent.key, sent.number, "it was destroyed");
        }
        let Some(known) = sent.key.and_then(|key| self.sessions.get_mut(&key)) else {
            return;
        };
        if plan.changes_owner() && (is_untold || !(is_ok && arrival == "Live")) {
            known.is_owner_sure = false;
        }
        if is_untold {
            known.untold = Some(format!("{} met a damaged index", sent.number));
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
        // Overtaken before it was saved, by one that signed the same user in: that it was sent twice is no
        // error, and what else it changed is dropped. Or it made a session of its own that is evicted already.
        let may_be_dropped = plan.login.is_some() && answer.set_cookie.is_none();
        let is_saved = (answer.status == 200 || answer.is_saved_early()) && !may_be_dropped;
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

    pub(super) fn revoked(&mut self, sent: &Sent, answer: &Answer) -> Verdict {
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
