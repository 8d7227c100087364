//! What a request knows of its session: what is stored, what it has changed, and what the client holds.

use std::sync::Arc;

use super::arrival::Arrival;
use super::batch::{Batch, SealedBatch};
use super::finish::CookieChange;
use super::update::Sending;
use crate::id::{Proof, Secret};
use crate::manager::Shared;
use crate::record::{Fields, Record};
use crate::{EncodeError, SessionKey, SessionToken, Timestamp};

/// The state of an open request.
pub(crate) struct State {
    pub(crate) arrival: Arrival,
    pub(crate) session: Known,
    /// What is stored, as far as this request knows.
    pub(crate) record: Option<Arc<Record>>,
    /// The proofs under which this request knows the session: the one that it read, and its own.
    pub(crate) known: Vec<Proof>,
    /// The secrets that this request has drawn for the session.
    own: Vec<(Proof, Secret)>,
    /// What the client holds, where that is good or was told to it by this request.
    client: Option<(Proof, Secret)>,
    /// What has changed and not been sent.
    pub(crate) open_batch: Batch,
    /// What has been sealed and is not known to be stored.
    pub(crate) sealed: Vec<Sending>,
    /// The token of a session that is to be created.
    pub(crate) creation: Creation,
    /// What the client's tokens name and the store does not have. An earlier deletion may not be durable, so
    /// a destroy deletes these too.
    pub(crate) missing: Vec<SessionKey>,
    /// The sessions that were destroyed and are still to be deleted.
    pub(crate) destroyed: Vec<(SessionKey, Option<Arc<Record>>)>,
    /// A destroyed session has been deleted, or was unknown: its cookie is removed too.
    pub(crate) removes_cookie: bool,
    /// The cookie's life has moved with the session's.
    pub(crate) refreshes_cookie: bool,
    /// A sign-in is stored and has not been counted.
    pub(crate) is_to_be_counted: bool,
    /// The record that a sign-in was applied to; `None` when that was a new one or is not known.
    pub(crate) before_sign_in: Option<Record>,
    /// Rises when the session is destroyed: older handles do not reach the one after it.
    pub(crate) epoch: u32,
    /// The first field that could not be encoded when its handle was dropped.
    pub(crate) encode_error: Option<EncodeError>,
    pub(crate) phase: Phase,
    /// An operator's: no secret is asked for and none is drawn.
    pub(crate) is_operator: bool,
}

/// Which session a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// None yet. A save creates it.
    New,
    /// This one, which was live when it was last seen.
    Live(SessionKey),
    /// This one, which a sign-in of the same client has given another secret: it can be ended, and
    /// nothing else.
    Late(SessionKey),
    /// This one, which has ended for this request.
    Ended(SessionKey),
}

/// How far the creation of a session has come.
pub(crate) enum Creation {
    /// Nothing has been sent. A token that the client made up is taken, where the manager allows that.
    NotSent(Option<SessionToken>),
    /// It has been sent, and its answer is not known.
    Sent {
        token: SessionToken,
        /// The first one has turned out not to be stored.
        is_second: bool,
    },
    /// The first one was looked for and is not stored: one more may be sent, of another key.
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Opened outside of any middleware: only an explicit save saves it.
    Direct,
    /// A middleware will commit it.
    BeforeHead,
    /// The commit has begun: a handle that is dropped now is too late.
    Committing,
    /// The response head has left: no cookie can be set any more.
    AfterHead,
}

impl State {
    /// A session that has not been saved yet.
    pub(crate) fn new(arrival: Arrival) -> Self {
        State {
            arrival,
            session: Known::New,
            record: None,
            known: Vec::new(),
            own: Vec::new(),
            client: None,
            open_batch: Batch::default(),
            sealed: Vec::new(),
            creation: Creation::NotSent(None),
            missing: Vec::new(),
            destroyed: Vec::new(),
            removes_cookie: false,
            refreshes_cookie: false,
            is_to_be_counted: false,
            before_sign_in: None,
            epoch: 0,
            encode_error: None,
            phase: Phase::BeforeHead,
            is_operator: false,
        }
    }

    /// The session that the client's token opens.
    pub(crate) fn live(token: SessionToken, record: Arc<Record>) -> Self {
        State {
            session: Known::Live(token.key),
            known: vec![record.proof],
            client: Some((record.proof, token.secret)),
            record: Some(record),
            ..State::new(Arrival::Live)
        }
    }

    /// The session of a token that was replaced a moment ago.
    pub(crate) fn late(key: SessionKey) -> Self {
        State {
            session: Known::Late(key),
            ..State::new(Arrival::Late)
        }
    }

    /// A session as an operator changes it.
    pub(crate) fn of_operator(key: SessionKey, record: Arc<Record>) -> Self {
        State {
            session: Known::Live(key),
            record: Some(record),
            phase: Phase::Direct,
            is_operator: true,
            ..State::new(Arrival::Live)
        }
    }

    /// Takes the token that the client made up for the session that is to be created.
    pub(super) fn adopt(&mut self, token: Option<SessionToken>) {
        self.creation = Creation::NotSent(token);
    }

    /// The key of the session, if there is one for this request.
    pub(crate) fn key(&self) -> Option<SessionKey> {
        match self.session {
            Known::Live(key) => Some(key),
            Known::New | Known::Late(_) | Known::Ended(_) => None,
        }
    }

    /// The fields as this request sees them: the stored ones and what it has changed in them.
    pub(crate) fn fields(&self, now: Timestamp) -> Fields {
        let mut fields = self.sent_fields(now);
        // A conflict is the save's to find.
        let _ = self.open_batch.changes.apply(&mut fields, now);
        fields
    }

    /// The same without what has not been sealed.
    pub(super) fn sent_fields(&self, now: Timestamp) -> Fields {
        let stored = self.record.as_ref();
        let mut fields = stored.map_or_else(Fields::default, |record| record.fields.clone());
        fields.expire(now);
        for sending in &self.sealed {
            let _ = sending.batch.batch.changes.apply(&mut fields, now);
        }
        fields
    }

    /// Whether a save has something to do.
    pub(crate) fn has_unsaved(&self) -> bool {
        self.has_changes() || !self.destroyed.is_empty() || self.is_to_be_counted
    }

    pub(crate) fn has_changes(&self) -> bool {
        !self.open_batch.is_empty() || !self.sealed.is_empty()
    }

    /// Drops what has not been sent. What was sent may be stored, and is finished; a destroy stays.
    pub(crate) fn discard_unsent(&mut self) {
        self.open_batch = Batch::default();
        self.sealed.retain(|sending| sending.was_sent);
        self.encode_error = None;
    }

    /// Drops all changes.
    pub(crate) fn discard(&mut self) {
        self.open_batch = Batch::default();
        self.sealed.clear();
        self.encode_error = None;
    }

    /// Ends the session; what is changed afterwards makes a new one.
    pub(crate) fn destroy(&mut self) {
        self.discard();
        match (self.session, &self.creation) {
            (Known::Live(key) | Known::Late(key) | Known::Ended(key), _) => {
                self.destroyed.push((key, self.record.take()));
            }
            (Known::New, Creation::Sent { token, .. }) => {
                self.destroyed.push((token.key, None));
            }
            // The cookie is removed when that is done.
            (Known::New, _) if !self.missing.is_empty() => {
                let missing = std::mem::take(&mut self.missing).into_iter();
                self.destroyed.extend(missing.map(|key| (key, None)));
            }
            // The session is unknown, and the application asks for its cookie to be removed.
            (Known::New, _) => self.removes_cookie |= self.arrival != Arrival::NoCookie,
        }
        self.session = Known::New;
        self.record = None;
        self.known.clear();
        self.own.clear();
        self.client = None;
        self.creation = Creation::NotSent(None);
        self.is_to_be_counted = false;
        self.before_sign_in = None;
        self.epoch += 1;
    }

    /// The session has ended under this request: what it changed is dropped.
    pub(crate) fn end(&mut self) {
        self.discard();
        if let Known::Live(key) = self.session {
            self.session = Known::Ended(key);
        }
        self.record = None;
        self.is_to_be_counted = false;
    }

    /// Notes a secret that was drawn for the session, before it is sent.
    pub(super) fn draw(&mut self, proof: Proof, secret: Secret) {
        self.known.push(proof);
        self.own.push((proof, secret));
    }

    /// The proofs of secrets that the client was never told.
    pub(super) fn untold(&self) -> Vec<Proof> {
        let told = self.client.as_ref().map(|(proof, _)| *proof);
        let own = self.own.iter().map(|(proof, _)| *proof);
        own.filter(|proof| Some(*proof) != told).collect()
    }

    /// Learns what is stored now, unless something later is known already.
    pub(crate) fn learn(&mut self, record: Record) {
        let is_older = (self.record.as_ref()).is_some_and(|known| known.revision > record.revision);
        if !is_older {
            self.record = Some(Arc::new(record));
        }
    }

    /// These batches are stored.
    pub(super) fn confirm(&mut self, batches: &[Sending]) {
        let is_confirmed =
            |batch: &Arc<SealedBatch>| batches.iter().any(|sent| sent.batch.number == batch.number);
        self.sealed.retain(|sending| !is_confirmed(&sending.batch));
    }

    /// Whether the client came with this session's token, or was told one by this request.
    pub(super) fn client_holds_this(&self) -> bool {
        self.client.is_some()
    }

    /// The client keeps its cookie for longer or shorter now. Only where it holds the right one.
    pub(super) fn refresh_cookie(&mut self, record: &Record) {
        let is_held = |(proof, _): &(Proof, Secret)| *proof == record.proof;
        self.refreshes_cookie |= self.client.as_ref().is_some_and(is_held);
    }

    /// What the response must do to the cookie, and notes that it does.
    pub(crate) fn cookie_change(&mut self, shared: &Shared) -> CookieChange {
        let refreshes = std::mem::take(&mut self.refreshes_cookie);
        let removes = std::mem::take(&mut self.removes_cookie);
        let (Known::Live(key), Some(record)) = (self.session, &self.record) else {
            return if removes {
                CookieChange::Remove
            } else {
                CookieChange::Keep
            };
        };
        let is_good = |held: &&(Proof, Secret)| held.0 == record.proof;
        let held = self.client.as_ref().filter(is_good);
        let secret = match (held, self.own.iter().find(is_good)) {
            (Some((_, secret)), _) if refreshes => secret.clone(),
            (None, Some((_, secret))) => secret.clone(),
            // The client holds it already, or another request tells it.
            _ => return CookieChange::Keep,
        };
        let max_age = shared.policy.lifetimes.cookie_max_age(record, shared.now());
        self.client = Some((record.proof, secret.clone()));
        CookieChange::Set {
            token: SessionToken { key, secret },
            max_age,
        }
    }
}
