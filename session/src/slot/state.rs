//! What a request knows of its session: what is stored, what it has laid over that, and what the
//! client holds.

use std::sync::Arc;
use std::time::Duration;

use super::{CookieChange, Unsaved};
use crate::record::{Fields, Record};
use crate::{EncodeError, SessionId, StoreKey, Timestamp};

/// What an open slot holds.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    /// The id under which the session is stored, or will be.
    pub(crate) id: SessionId,
    /// The key that belongs to the id, where it has been made: that takes a hash.
    pub(crate) id_key: Option<StoreKey>,
    /// Where the record lies when not under the id: another request has renewed that, and the client
    /// learns the new one from its answer.
    pub(crate) renewed_key: Option<StoreKey>,
    /// The id has been used by a session that is over: the next one needs another.
    pub(crate) id_is_spent: bool,
    /// What is stored under the id; `None` for a session that has not been saved.
    pub(crate) base: Option<Record>,
    /// The live id that the client holds.
    pub(crate) client_id: Option<SessionId>,
    /// What a save that has begun is writing; kept until it has succeeded.
    pub(crate) in_flight: Option<Arc<Unsaved>>,
    /// What has been laid over since.
    pub(crate) pending: Unsaved,
    /// The sessions that were destroyed and are still to be deleted.
    pub(crate) destroyed: Vec<StoreKey>,
    /// A destroyed session has been deleted: its cookie goes too.
    pub(crate) remove_cookie: bool,
    /// The cookie's life has moved with the session's.
    pub(crate) refresh_cookie: bool,
    /// The session ended under this request: nothing more is saved.
    pub(crate) is_gone: bool,
    /// Rises when the session is destroyed: older handles do not reach the one after it.
    pub(crate) epoch: u32,
    /// The first field that could not be encoded when its handle was dropped.
    pub(crate) encode_error: Option<EncodeError>,
    pub(crate) phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Opened outside any middleware: only an explicit save saves it.
    Direct,
    /// A middleware will commit it.
    BeforeHead,
    /// The response head has left: no cookie can be set any more.
    AfterHead,
}

impl State {
    /// A session that has not been saved yet.
    pub(crate) fn new(id: SessionId) -> Self {
        State {
            id,
            id_key: None,
            renewed_key: None,
            id_is_spent: false,
            base: None,
            client_id: None,
            in_flight: None,
            pending: Unsaved::default(),
            destroyed: Vec::new(),
            remove_cookie: false,
            refresh_cookie: false,
            is_gone: false,
            epoch: 0,
            encode_error: None,
            phase: Phase::BeforeHead,
        }
    }

    /// A session that is stored; `id_key` is the key that belongs to its id.
    pub(crate) fn stored(id: SessionId, id_key: StoreKey, base: Record) -> Self {
        State {
            client_id: Some(id.clone()),
            id_key: Some(id_key),
            base: Some(base),
            ..State::new(id)
        }
    }

    /// The key under which the record lies, or will.
    pub(crate) fn key(&self, cookie_name: &str) -> StoreKey {
        match self.renewed_key.as_ref().or(self.id_key.as_ref()) {
            Some(key) => key.clone(),
            None => StoreKey::new(cookie_name, &self.id),
        }
    }

    /// The fields as this request sees them: the stored ones and what it laid over them.
    pub(crate) fn fields(&self, now: Timestamp) -> Fields {
        let mut fields = self
            .base
            .as_ref()
            .map_or_else(Fields::default, |base| base.fields.clone());
        fields.expire(now);
        let in_flight = self.in_flight.as_ref().map(|unsaved| &unsaved.changes);
        for changes in in_flight.into_iter().chain([&self.pending.changes]) {
            // A conflict is the save's to find.
            let _ = changes.apply(&mut fields, now);
        }
        fields
    }

    /// Whether a save has something to do.
    pub(crate) fn has_unsaved(&self) -> bool {
        self.has_changes() || !self.destroyed.is_empty()
    }

    /// Whether something has been laid over that is not stored.
    pub(crate) fn has_changes(&self) -> bool {
        self.in_flight.is_some() || !self.pending.is_empty()
    }

    /// Takes what is to be saved now. It is kept as being in flight until [`saved`](Self::saved), so
    /// that a save that fails loses nothing.
    pub(crate) fn begin_save(&mut self) -> Arc<Unsaved> {
        let pending = std::mem::take(&mut self.pending);
        let mut unsaved = match self.in_flight.take() {
            Some(in_flight) => {
                let mut unsaved = Arc::unwrap_or_clone(in_flight);
                unsaved.overlay(pending);
                unsaved
            }
            None => pending,
        };
        if let Some(base) = &self.base {
            unsaved.changes.retain_effective(&base.fields);
            unsaved.persist_for = unsaved
                .persist_for
                .filter(|persist_for| *persist_for != base.persist_for);
        }
        let unsaved = Arc::new(unsaved);
        self.in_flight = Some(Arc::clone(&unsaved));
        unsaved
    }

    /// Notes that what was in flight is stored now, under `id`.
    pub(crate) fn saved(&mut self, id: SessionId, record: Record) {
        self.in_flight = None;
        self.refresh_cookie |= record.persist_for.is_some()
            || self
                .base
                .as_ref()
                .is_some_and(|base| base.persist_for != record.persist_for);
        if self.id != id {
            self.renewed_key = None;
            self.id_key = None;
        }
        self.id = id;
        self.id_is_spent = false;
        self.base = Some(record);
    }

    /// Forgets all changes that are not saved yet. A destroy stays.
    pub(crate) fn discard(&mut self) {
        self.in_flight = None;
        self.pending = Unsaved::default();
        self.encode_error = None;
    }

    /// Ends the session; what is laid over afterwards makes a new one.
    pub(crate) fn destroy(&mut self, key: StoreKey) {
        self.discard();
        if self.base.take().is_some() {
            self.destroyed.push(key);
        }
        self.is_gone = false;
        self.renewed_key = None;
        self.id_key = None;
        self.epoch += 1;
        match SessionId::generate() {
            Ok(id) => self.id = id,
            // Told when the session that needs it is saved: the destroy itself must not fail.
            Err(_) => self.id_is_spent = true,
        }
    }

    /// Notes that the session ended under this request: what it changed is dropped.
    pub(crate) fn end(&mut self) {
        self.discard();
        self.base = None;
        self.is_gone = true;
    }

    /// What the response must do to the cookie, and notes that it does.
    pub(crate) fn cookie_change(
        &mut self,
        max_age: impl FnOnce(&Record) -> Option<Duration>,
    ) -> CookieChange {
        let change = match &self.base {
            // The request that renewed the id tells the client; what this one knows is the old one.
            Some(_) if self.renewed_key.is_some() => CookieChange::Keep,
            Some(base) if self.refresh_cookie || self.client_id.as_ref() != Some(&self.id) => {
                self.client_id = Some(self.id.clone());
                CookieChange::Set {
                    id: self.id.clone(),
                    max_age: max_age(base),
                }
            }
            None if self.remove_cookie && self.client_id.take().is_some() => CookieChange::Remove,
            _ => CookieChange::Keep,
        };
        self.refresh_cookie = false;
        self.remove_cookie = false;
        change
    }
}
