//! What each session has been promised, and what may have happened to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use session::{SessionKey, SessionToken};

use super::app::{FIELDS, now};
use super::plan::{ATTACKERS, Plan, Revokes, SHARED};

/// Why the driver stops: what is wrong, and the history that led to it.
#[derive(Debug)]
pub(super) struct Violation(pub(super) String);

pub(super) type Verdict = Result<(), Violation>;

/// Nanoseconds of [`now`].
pub(super) type Moment = u64;

/// What is known of a field that one tab writes, one request after the other.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The last write that was acknowledged, and when.
    pub(super) must: Option<(u64, Moment)>,
    pub(super) sent: BTreeSet<u64>,
    /// Those that were not acknowledged: they may be carried out late.
    pub(super) unanswered: BTreeSet<u64>,
}

/// What is known of a session.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// When its end was acknowledged, and how.
    pub(super) ended: Option<(Moment, String)>,
    /// Why it may have ended.
    pub(super) excuse: Option<String>,
    /// Why its client may hold a dead token: a change of privilege was not answered.
    pub(super) untold: Option<String>,
    /// The changes of privilege: the request, when it was sent, and when it was answered.
    pub(super) privileged: Vec<(u64, Moment, Option<Moment>)>,
    pub(super) owner: Option<String>,
    pub(super) is_owner_sure: bool,
    pub(super) owner_epoch: u64,
    pub(super) owner_changes: u32,
    /// Others sign in as its owner, too, and may end it.
    pub(super) is_shared: bool,
    /// The requests that have added one: when that was acknowledged, if it must be there.
    pub(super) log: BTreeMap<u64, Option<Moment>>,
    /// Those that must be gone, since when.
    pub(super) gone: BTreeMap<u64, Moment>,
    pub(super) clears: u64,
    pub(super) clears_in_flight: u32,
    pub(super) fields: [Written; FIELDS],
    pub(super) tokens: Vec<String>,
    pub(super) history: VecDeque<String>,
}

/// What is known of a token.
#[derive(Debug, Default)]
pub(super) struct TokenKnown {
    /// When it was learned that another one has taken its place.
    pub(super) dead: Option<Moment>,
    pub(super) successor: Option<String>,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) browser: Option<usize>,
    pub(super) token: Option<String>,
    pub(super) key: Option<SessionKey>,
    pub(super) plan: Plan,
    pub(super) at: Moment,
    /// The cookie is what an honest client holds.
    pub(super) is_honest: bool,
    pub(super) clears: u64,
    pub(super) is_clear_in_flight: bool,
    /// What is gone if this request clears the session.
    pub(super) to_be_gone: Vec<u64>,
    pub(super) owner_epoch: u64,
    /// Whose each session surely was when it was sent, for revocations.
    pub(super) owned: Vec<(SessionKey, String, u64)>,
    pub(super) was_index_whole: bool,
    pub(super) damages: u64,
}

/// How often something has happened.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) others: BTreeMap<&'static str, u64>,
}

impl Figures {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.others.entry(what).or_default() += 1;
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) sessions: HashMap<SessionKey, Known>,
    pub(super) tokens: HashMap<String, TokenKnown>,
    /// What each browser holds.
    pub(super) jars: Vec<Option<String>>,
    pub(super) figures: Figures,
    pub(super) next_number: u64,
    /// The owner index was damaged by hand and is not healed yet.
    pub(super) is_index_damaged: bool,
    pub(super) damages: u64,
    /// Why an owner may have one session too many; the empty name is every owner.
    pub(super) limit_excuses: BTreeMap<String, String>,
    /// How many sessions an owner had at the last look, where that is more than the limit: where one too many is
    /// refused, none of those that are there is ended for it.
    pub(super) surplus: BTreeMap<String, usize>,
    /// Requests that may have created a session that nobody knows of.
    pub(super) unanswered_creations: BTreeSet<u64>,
    /// What became of the last requests.
    pub(super) requests: BTreeMap<u64, String>,
    /// What the nemesis did last.
    pub(super) world: VecDeque<String>,
    /// How many sessions an owner may have, and whether one too many is refused.
    pub(super) limit: Option<(usize, bool)>,
    /// Tokens that attackers try.
    pub(super) stolen: VecDeque<String>,
}

pub(super) fn key_of(token: &str) -> Option<SessionKey> {
    Some(SessionToken::parse(token)?.key())
}

pub(super) fn is_shared(owner: &str) -> bool {
    SHARED.contains(&owner) || owner == ATTACKERS
}

const HISTORY: usize = 80;

/// Of how many requests it is kept what became of them.
const REQUESTS: usize = 20_000;

fn push(history: &mut VecDeque<String>, line: String) {
    if history.len() >= HISTORY {
        history.pop_front();
    }
    history.push_back(line);
}

impl Ledger {
    pub(super) fn note(&mut self, key: Option<SessionKey>, line: &str) {
        let line = format!("{:.6} {line}", seconds(now()));
        match key {
            Some(key) => push(&mut self.sessions.entry(key).or_default().history, line),
            None => push(&mut self.world, line),
        }
    }

    /// The same for what became of a request.
    pub(super) fn note_request(&mut self, sent: &Sent, line: &str) {
        if sent.key.is_some() {
            self.note(sent.key, line);
        }
        let line = format!("{:.6} {:?} {line}", seconds(now()), sent.plan.steps);
        self.requests.insert(sent.number, line);
        if self.requests.len() > REQUESTS {
            self.requests.pop_first();
        }
    }

    /// Whether the owner index was whole all the time that a request was on its way.
    pub(super) fn was_index_whole(&self, sent: &Sent) -> bool {
        sent.was_index_whole && !self.is_index_damaged && sent.damages == self.damages
    }

    /// What became of these requests.
    pub(super) fn tell_requests(&self, numbers: &[u64]) -> String {
        let lines = numbers
            .iter()
            .filter_map(|number| self.requests.get(number));
        lines.cloned().collect::<Vec<String>>().join("; ")
    }

    /// The violation, with the history of the sessions that it is about.
    pub(super) fn violation(&self, what: &str, keys: &[SessionKey]) -> Violation {
        use std::fmt::Write as _;
        let mut text = format!("{:.6} {what}\n", seconds(now()));
        for key in keys {
            let _ = writeln!(text, "\nhistory of the session {key}:");
            if let Some(known) = self.sessions.get(key) {
                for line in &known.history {
                    let _ = writeln!(text, "  {line}");
                }
                let _ = writeln!(
                    text,
                    "  ended {:?}, excuse {:?}, untold {:?}, owner {:?} sure {}, tokens {:?}",
                    known.ended,
                    known.excuse,
                    known.untold,
                    known.owner,
                    known.is_owner_sure,
                    known.tokens,
                );
            }
        }
        let _ = writeln!(text, "\nwhat happened to the servers:");
        for line in &self.world {
            let _ = writeln!(text, "  {line}");
        }
        Violation(text)
    }

    /// A request leaves with what the browser holds, or with `token` where it is no browser's.
    pub(super) fn begin(
        &mut self,
        browser: Option<usize>,
        token: Option<String>,
        plan: Plan,
    ) -> Sent {
        self.next_number += 1;
        let number = self.next_number;
        let jar = browser.and_then(|browser| self.jars[browser].clone());
        let token = token.or_else(|| jar.clone());
        let key = token.as_deref().and_then(key_of);
        let is_honest = browser.is_some() && token == jar;
        let is_about_others =
            plan.revokes != Revokes::Nothing || plan.steps.iter().any(|s| s == "devices");
        let owned = if is_about_others {
            self.surely_owned()
        } else {
            Vec::new()
        };
        let mut sent = Sent {
            number,
            browser,
            token,
            key,
            plan,
            at: 0,
            is_honest,
            clears: 0,
            is_clear_in_flight: false,
            to_be_gone: Vec::new(),
            owner_epoch: 0,
            owned,
            was_index_whole: !self.is_index_damaged,
            damages: self.damages,
        };
        if let Some(key) = key {
            self.sent_to(key, &mut sent);
            let token = sent.token.as_deref().map(short).unwrap_or_default();
            let line = format!(
                "{number} sent by {browser:?} with {token}: {:?}",
                sent.plan.steps
            );
            self.note(Some(key), &line);
        }
        if let Revokes::One(key) = sent.plan.revokes
            && let Some(known) = self.sessions.get_mut(&key)
            && known.is_shared
        {
            known.excuse = Some(format!("{number} revokes it"));
        }
        if let Some(owner) = sent.plan.login.as_ref().filter(|_| self.limit.is_some()) {
            // Those that the owner's browsers have lost sight of: the others are shared anyway.
            let owned = self
                .sessions
                .values_mut()
                .filter(|known| known.owner.as_ref() == Some(owner) || !known.is_owner_sure);
            for known in owned {
                known.excuse = Some(format!("{number} may be one too many"));
            }
        }
        sent.at = now();
        sent
    }

    fn surely_owned(&self) -> Vec<(SessionKey, String, u64)> {
        let sure = |(key, known): (&SessionKey, &Known)| {
            let is_sure = known.is_owner_sure && known.owner_changes == 0 && known.ended.is_none();
            let owner = known.owner.clone().filter(|_| is_sure)?;
            Some((*key, owner, known.owner_epoch))
        };
        self.sessions.iter().filter_map(sure).collect()
    }

    /// Notes what a request may do to the session that it is sent to.
    fn sent_to(&mut self, key: SessionKey, sent: &mut Sent) {
        let known = self.sessions.entry(key).or_default();
        let (number, plan) = (sent.number, &sent.plan);
        if plan.is_privileged {
            known.privileged.push((number, now(), None));
        }
        if plan.changes_owner() {
            known.owner_changes += 1;
            known.owner_epoch += 1;
        }
        known.is_shared |= plan.login.as_deref().is_some_and(is_shared);
        let may_end = plan.destroys || plan.leaves || plan.expires;
        if may_end || plan.revokes != Revokes::Nothing && known.is_shared {
            known.excuse = Some(format!("{number} may end it"));
        }
        if plan.adds {
            known.log.insert(number, None);
        }
        if let Some(field) = plan.field {
            known.fields[field].sent.insert(number);
            known.fields[field].unanswered.insert(number);
        }
        if plan.clears {
            sent.to_be_gone = known
                .log
                .iter()
                .filter_map(|(number, acknowledged)| acknowledged.map(|_| *number))
                .collect();
            known.clears += 1;
            known.clears_in_flight += 1;
            for must in known.log.values_mut() {
                *must = None;
            }
            for field in &mut known.fields {
                field.must = None;
            }
        }
        sent.clears = known.clears;
        sent.is_clear_in_flight = known.clears_in_flight > 0;
        sent.owner_epoch = known.owner_epoch;
    }
}

pub(super) fn seconds(moment: Moment) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let seconds = moment as f64 / 1e9;
    seconds
}

/// Enough of a token to tell it from others.
pub(super) fn short(token: &str) -> String {
    let end = token.len().saturating_sub(6);
    token.get(end..).unwrap_or_default().to_owned()
}
