//! The handle that application code holds: typed data, and the life of the session it belongs to.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::record::{Changes, Field, Fields};
use crate::slot::{OpenSlot, Phase};
use crate::typed::{Companion, Reader, SessionData, Version, Writer};
use crate::{
    CookieChange, EncodeError, Saved, SessionError, SessionId, SessionInfo, StoreKey, Timestamp,
};

/// A typed fork of the visitor's session.
///
/// Reads are plain field reads: `session.cart`. Every write goes through a setter that the derive
/// made: `session.set_user(…)`, `session.cart_mut()`; writing past them does not compile. When the
/// handle is dropped, what it changed is laid over the request's slot, and the middleware saves it
/// before the response head leaves. Two requests that change different fields never undo each
/// other.
///
/// In actix-web it is an extractor; elsewhere it comes from
/// [`SessionManager::get`](crate::SessionManager::get).
///
/// Two requests that write the *same* field: the later save wins. A handler that reads a field and
/// writes another may therefore act on what has just been changed elsewhere; keep what belongs
/// together in one field.
///
/// The methods here never begin with `set_` or `take_` nor end in `_mut`, so a field's name can never
/// collide with them.
pub struct Session<T: SessionData> {
    tracked: T::Tracked,
    /// What the fields held when they were read, where a field has to know.
    base: Fields,
    /// What goes along with the next save, because the record is of an earlier version.
    migrated: Changes,
    slot: OpenSlot,
    epoch: u32,
    is_cleared: bool,
}

impl<T: SessionData> Session<T> {
    /// A fork of what `slot` holds.
    #[must_use]
    pub fn fork(slot: &OpenSlot) -> Self {
        let (fields, epoch, now) = held_by(slot);
        let (brought_up, migrated) = match T::Tracked::VERSION {
            Some(version) => version.migrate(T::Tracked::FIELDS, &fields),
            None => (None, Changes::default()),
        };
        let read = brought_up.as_ref().unwrap_or(&fields);
        let tracked = T::Tracked::decode(&mut Reader::new(read, now));
        Session {
            tracked,
            base: if need_base(T::Tracked::FIELDS) {
                fields
            } else {
                Fields::default()
            },
            migrated,
            slot: slot.clone(),
            epoch,
            is_cleared: false,
        }
    }

    /// Reads the session anew as this request knows it now: with what was saved or read since, and
    /// with what other handles of the request have changed. What this handle has changed and not
    /// saved is dropped.
    ///
    /// After a [`SessionError::Conflict`] this is how to look at what the other request has made of
    /// the session.
    pub fn refresh(&mut self) {
        unmark(self.tracked.changed_mut());
        self.is_cleared = false;
        *self = Session::fork(&self.slot);
    }

    /// The id under which the session is stored, or would be: a secret, see [`SessionId`].
    ///
    /// A save can change it: when the id was renewed.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.slot.state().id.clone()
    }

    /// Whether the session has never been saved.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.slot.state().base.is_none()
    }

    /// Whether something has been marked as changed and not been saved yet.
    ///
    /// What is marked may still turn out to be the value that is stored; the save finds out.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        let state = self.slot.state();
        self.is_marked() || state.pending.is_forced || !state.pending.changes.is_empty()
    }

    /// Whether a save would have something to do: after a change, a renew, a clear or a destroy, and
    /// when the expiry is due to be moved or the id to be renewed.
    #[must_use]
    pub fn should_save(&self) -> bool {
        let state = self.slot.state();
        self.is_marked()
            || state.has_unsaved()
            || state
                .base
                .as_ref()
                .is_some_and(|base| self.slot.manager().is_save_due(base))
    }

    /// Marks every field as changed, and has the session saved even when none turns out to be.
    ///
    /// For what the setters cannot see: a field changed through a `Cell`, or a new session
    /// that shall be stored although it holds nothing but defaults. Fields with a `ttl` are left out:
    /// they last from when they were set.
    pub fn mark_modified(&mut self) {
        let fields = T::Tracked::FIELDS.iter().enumerate();
        for (index, _) in fields.filter(|(_, field)| field.ttl.is_none()) {
            self.mark(index);
        }
        self.slot.state().pending.is_forced = true;
    }

    /// Gives the session a new id at the save; the old one is worthless from then on.
    ///
    /// Fields marked `rotate` do so by themselves. Call it after any other change of privilege
    /// (OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level
    /// Change"). The absolute timeout goes on from where it was.
    pub fn renew(&mut self) {
        self.slot.state().pending.renew = true;
    }

    /// Ends the session: at the save its record is deleted, durably, and the client's cookie
    /// removed. What was changed before is dropped.
    ///
    /// No request that is still under way can bring it back. What is set on this handle
    /// afterwards, a farewell notice for instance, makes a new session with a new id.
    pub fn destroy(&mut self) {
        {
            let mut state = self.slot.state();
            let key = state.key(self.slot.manager().cookie().name());
            state.destroy(key);
            self.epoch = state.epoch;
        }
        self.is_cleared = false;
        self.reset();
    }

    /// Sets every field back to its default and takes every other field out of the record too: those
    /// of other session types and those that only other builds know.
    ///
    /// The session goes on under a new id.
    pub fn clear(&mut self) {
        self.is_cleared = true;
        self.reset();
    }

    /// When the session began: at its first save, or at the last change of a field marked `rotate`.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        match &self.slot.state().base {
            Some(base) => base.created,
            None => self.slot.manager().lifetime_from_now().0,
        }
    }

    /// When the session ends if it is not used again.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        match &self.slot.state().base {
            Some(base) => base.expires,
            None => self.slot.manager().lifetime_from_now().1,
        }
    }

    /// Whether this is the session that a search has found: "this one" in a list of several.
    #[must_use]
    pub fn is(&self, found: &SessionInfo) -> bool {
        self.stored_key() == found.key
    }

    pub(crate) fn stored_key(&self) -> StoreKey {
        let name = self.slot.manager().cookie().name();
        self.slot.state().key(name)
    }

    /// Whose session it is in the store.
    pub(crate) fn stored_owner(&self) -> Option<String> {
        self.slot.state().base.as_ref()?.owner.clone()
    }

    /// Asks the client to keep the cookie for so long; with `None`, until the browser closes.
    ///
    /// The cookie's `Max-Age` never goes past the absolute timeout nor past 400 days
    /// (RFC 6265bis §5.5). By default a session's cookie is not kept (NIST SP 800-63B-4 §5.1).
    pub fn persist_for(&mut self, duration: impl Into<Option<Duration>>) {
        self.slot.state().pending.persist_for = Some(duration.into());
    }

    /// Saves what has changed now, rather than when the response head leaves.
    ///
    /// When the future is dropped before it is done, by a timeout around it for instance, the save may
    /// have been carried out or not. The next save, or the commit of a response that is no 5xx, waits
    /// for it first.
    ///
    /// For handlers that go on after their response has begun: streams and web sockets. A session
    /// that is new, or whose id is to be renewed, must be saved once before the handler
    /// returns, or the client would never learn the id.
    ///
    /// # Errors
    ///
    /// See [`SessionError`]. The changes are kept: a later save tries again.
    pub async fn save(&mut self) -> Result<Saved, SessionError> {
        self.overlay()?;
        self.slot.save().await
    }

    /// Saves whatever has changed, and tells what must be done to the client's cookie.
    pub(crate) async fn save_for_client(&mut self) -> Result<CookieChange, SessionError> {
        self.save().await?;
        let manager = self.slot.manager();
        let mut state = self.slot.state();
        Ok(state.cookie_change(|record| manager.cookie_max_age(record)))
    }

    /// Has the session stored by the next save even when nothing in it has changed.
    pub(crate) fn force(&mut self) {
        self.slot.state().pending.is_forced = true;
    }

    /// Lays what has changed over the slot and begins anew; changes that cannot be encoded stay.
    fn overlay(&mut self) -> Result<(), EncodeError> {
        if !self.is_marked() {
            return Ok(());
        }
        let changes = self.changes()?;
        let is_worth_storing = !(self.is_new() && changes.are_defaults());
        if need_base(T::Tracked::FIELDS) {
            rebase(&mut self.base, &changes);
        }
        self.is_cleared = false;
        self.migrated = Changes::default();
        unmark(self.tracked.changed_mut());
        lay_over(&self.slot, self.epoch, changes, is_worth_storing);
        Ok(())
    }

    fn changes(&self) -> Result<Changes, EncodeError> {
        let mut changes = Changes::default();
        if self.is_cleared {
            changes.clear();
        }
        let mut writer = Writer::new(&mut changes, &self.base);
        self.tracked.encode_changes(&mut writer);
        writer.finish()?;
        changes.include_unmodified_from(&self.migrated);
        changes.include_unmodified_of_groups(T::Tracked::FIELDS, &self.base);
        if self.is_new() || changes.values().any(|(field, _)| field.needs_default()) {
            changes.note_defaults(&self.defaults());
        }
        Ok(changes)
    }

    /// What the changed fields would be if they held their defaults.
    fn defaults(&self) -> Changes {
        let nothing = Fields::default();
        let mut defaults = self.unstored();
        let marks = self.tracked.changed();
        defaults.changed_mut().copy_from_slice(marks);
        let mut changes = Changes::default();
        // A default that cannot be encoded is none that a value could equal.
        defaults.encode_changes(&mut Writer::new(&mut changes, &nothing));
        changes
    }

    fn reset(&mut self) {
        self.tracked = self.unstored();
        self.base = Fields::default();
        self.migrated = T::Tracked::VERSION.map_or_else(Changes::default, Version::initial);
    }

    /// The data of a session in which nothing is stored.
    fn unstored(&self) -> T::Tracked {
        let now = self.slot.manager().now();
        T::Tracked::decode(&mut Reader::new(&Fields::default(), now))
    }

    fn is_marked(&self) -> bool {
        self.is_cleared || has_marks(self.tracked.changed())
    }

    fn mark(&mut self, index: usize) {
        self.tracked.changed_mut()[index / 64] |= 1 << (index % 64);
    }
}

impl<T: SessionData> Deref for Session<T> {
    type Target = T::Tracked;

    #[inline]
    fn deref(&self) -> &T::Tracked {
        &self.tracked
    }
}

impl<T: SessionData> DerefMut for Session<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T::Tracked {
        &mut self.tracked
    }
}

/// Lays what has changed over the slot. Where nobody will save it any more, it says so in the log.
impl<T: SessionData> Drop for Session<T> {
    fn drop(&mut self) {
        if !self.is_marked() || std::thread::panicking() {
            return;
        }
        if self.slot.state().phase == Phase::BeforeHead {
            if let Err(error) = self.overlay() {
                note_encode_error(&self.slot, error);
            }
        } else {
            report_loss(&self.slot, T::Tracked::FIELDS, self.tracked.changed());
        }
    }
}

impl<T: SessionData> fmt::Debug for Session<T>
where
    T::Tracked: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("data", &self.tracked)
            .field("is_new", &self.is_new())
            .field("is_modified", &self.is_modified())
            .finish_non_exhaustive()
    }
}

// What follows does not depend on the type of the data: it is compiled once, not for every type.

/// What the slot holds now.
fn held_by(slot: &OpenSlot) -> (Fields, u32, Timestamp) {
    let now = slot.manager().now();
    let state = slot.state();
    (state.fields(now), state.epoch, now)
}

fn need_base(fields: &[Field]) -> bool {
    fields.iter().any(Field::needs_base)
}

/// Notes what has been laid over the slot: later changes begin from there.
fn rebase(base: &mut Fields, changes: &Changes) {
    for (field, value) in changes.values() {
        for name in field.names() {
            match value {
                Some(value) => base.set(name, value),
                None => {
                    base.remove(name);
                }
            }
        }
    }
}

fn lay_over(slot: &OpenSlot, epoch: u32, changes: Changes, is_worth_storing: bool) {
    let mut state = slot.state();
    if state.epoch == epoch {
        state.pending.is_worth_storing |= is_worth_storing;
        state.pending.changes.absorb(changes);
    } else {
        tracing::debug!(
            event = "write_after_destroy",
            "changes of a session handle are dropped: the session was destroyed through another \
             handle of the same request"
        );
    }
}

fn note_encode_error(slot: &OpenSlot, error: EncodeError) {
    slot.state().encode_error.get_or_insert(error);
}

fn has_marks(changed: &[u64]) -> bool {
    changed.iter().any(|word| *word != 0)
}

fn unmark(changed: &mut [u64]) {
    changed.fill(0);
}

/// Says in the log that nobody will save what is marked.
#[cold]
fn report_loss(slot: &OpenSlot, fields: &'static [Field], changed: &[u64]) {
    let is_marked = |index: usize| changed[index / 64] & (1 << (index % 64)) != 0;
    let marked: Vec<&str> = fields
        .iter()
        .enumerate()
        .filter_map(|(index, field)| is_marked(index).then_some(field.name))
        .collect();
    if slot.state().phase == Phase::AfterHead {
        tracing::error!(
            event = "dropped_after_commit",
            fields = ?marked,
            "a session handle was dropped with unsaved changes after its response had left: they are \
             lost. Call `session.save().await` before dropping a handle that has been moved into a \
             stream, a WebSocket or a task"
        );
    } else {
        tracing::warn!(
            event = "dropped_unsaved",
            fields = ?marked,
            "a session handle was dropped with unsaved changes: they are lost. Call \
             `manager.save(&mut session).await`"
        );
    }
}
