//! The handle that application code holds: typed data, and the life of the session it belongs to.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::mistakes::mistake;
use crate::record::{Changes, Field, Fields, Record};
use crate::request::{Arrival, Batch, CookieChange, Known, Phase, Request, Saved};
use crate::typed::{Companion, Reader, SessionData, Version, Writer};
use crate::{EncodeError, SessionError, SessionInfo, SessionKey, Timestamp, days, seconds};

/// A typed copy of the visitor's session.
///
/// Reads are plain field reads: `session.cart`. Every write goes through a setter that the derive
/// made: `session.set_user(…)`, `session.cart_mut()`; writing past them does not compile. When the
/// handle is dropped, what it changed is collected by its request, and the middleware saves it
/// before the response head leaves. Two requests that change different fields never undo each
/// other.
///
/// In actix-web and axum it is an extractor; elsewhere it comes from
/// [`SessionManager::open`](crate::SessionManager::open).
///
/// Two requests that write the *same* field: the later save wins. A handler that reads a field and
/// writes another may therefore act on what has just been changed elsewhere; keep what belongs
/// together in one field.
///
/// The methods here never begin with `set_`, `update_`, `take_` or `expires_in_` nor end in `_mut`, so a field's name can
/// never collide with them.
///
/// Exchanging the data of two handles, by `std::mem::swap(&mut *a, &mut *b)`, is a logic error: what either
/// had changed is then saved to the other's session.
pub struct Session<T: SessionData> {
    tracked: T::Tracked,
    /// What the fields held when they were read, where a field has to know.
    base: Fields,
    /// What is saved along with the next change, because the record is of an earlier version.
    migrated: Changes,
    request: Request,
    epoch: u32,
    is_cleared: bool,
}

impl Request {
    /// The session, opened at the first call: the one that the request's cookie opens, or a new one.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn session<T: SessionData>(&self) -> Result<Session<T>, SessionError> {
        self.open().await?;
        Ok(Session::of(self))
    }

    /// The session, if it has been opened earlier in this request; asks no store.
    #[must_use]
    pub fn opened_session<T: SessionData>(&self) -> Option<Session<T>> {
        self.is_open().then(|| Session::of(self))
    }
}

impl<T: SessionData> Session<T> {
    /// A copy of what an open request holds.
    pub(crate) fn of(request: &Request) -> Self {
        let (fields, epoch, now) = held_by(request);
        let (migrated_fields, migrated) = match T::Tracked::VERSION {
            Some(version) => version.migrate(T::Tracked::FIELDS, &fields),
            None => (None, Changes::default()),
        };
        let read = migrated_fields.as_ref().unwrap_or(&fields);
        let tracked = T::Tracked::decode(&mut Reader::new(read, now));
        Session {
            tracked,
            base: if need_base(T::Tracked::FIELDS) {
                fields
            } else {
                Fields::default()
            },
            migrated,
            request: request.clone(),
            epoch,
            is_cleared: false,
        }
    }

    /// Reads the session anew from the store, and drops what this handle has changed and not saved. For
    /// handles that are held for long, as in a WebSocket: this is how one learns what other requests have
    /// saved, and that the session has ended.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`] when the session was destroyed or revoked, has expired, or its privileges
    /// were changed by another request; and when the store fails.
    pub async fn reload(&mut self) -> Result<(), SessionError> {
        unmark(self.tracked.changed_mut());
        self.is_cleared = false;
        let reloaded = reload(&self.request).await;
        *self = Session::of(&self.request);
        reloaded
    }

    /// Reads the session anew as this request knows it now, and asks no store: with what was saved since
    /// by this request, and with what its other handles have changed. What this handle has changed and
    /// not saved is dropped.
    ///
    /// [`reload`](Self::reload) is what learns of other requests and of the session's end.
    pub fn refresh(&mut self) {
        unmark(self.tracked.changed_mut());
        self.is_cleared = false;
        *self = Session::of(&self.request);
    }

    /// Names the session for its whole life, and is no secret: for logs and for a page such as "your
    /// devices". `None` before the session is first saved.
    #[must_use]
    pub fn key(&self) -> Option<SessionKey> {
        self.request.state()?.key()
    }

    /// What the request came with: tells a visitor whose session has ended from a new one.
    #[must_use]
    pub fn arrival(&self) -> Arrival {
        let state = self.request.state();
        state.map_or(Arrival::NoCookie, |state| state.arrival)
    }

    /// Whether the session is not stored.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.stored(|_| ()).is_none()
    }

    /// Whether something has been marked as changed and not been saved yet.
    ///
    /// What is marked may still turn out to be the value that is stored; the save finds out.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        let has_changes = |request: &Request| {
            let state = request.state();
            state.is_some_and(|state| {
                let batch = &state.open_batch;
                batch.is_forced || !batch.changes.is_empty() || !state.sealed.is_empty()
            })
        };
        self.is_marked() || has_changes(&self.request)
    }

    /// Whether a save would have something to do: after a change, a renew, a clear or a destroy, and
    /// when the expiry is due to be moved.
    #[must_use]
    pub fn should_save(&self) -> bool {
        let shared = self.request.shared();
        let is_due = |record: &Record| {
            let now = shared.now();
            shared.policy.lifetimes.is_touch_due(record, now)
        };
        let has_unsaved = (self.request.state()).is_some_and(|state| state.has_unsaved());
        self.is_marked() || has_unsaved || self.stored(is_due).unwrap_or_default()
    }

    /// Marks every field as changed, and has the session saved even when none turns out to be.
    ///
    /// For what the setters cannot see: a field changed through a `Cell`, or a new session
    /// that shall be stored although it holds nothing but defaults. Fields with a `ttl` are left out:
    /// they last from when they were set.
    pub fn mark_modified(&mut self) {
        let fields = T::Tracked::FIELDS.iter().enumerate();
        for (index, _) in fields.filter(|(_, field)| field.ttl.is_none()) {
            self.tracked.changed_mut()[index / 64] |= 1 << (index % 64);
        }
        self.force();
    }

    /// Gives the session a new secret at the save; the token that the client holds is worthless from
    /// then on, and the response brings it another one.
    ///
    /// Fields marked `rotate` do so by themselves. Call it after any other change of privilege
    /// (OWASP Session Management Cheat Sheet, "Renew the Session ID After Any Privilege Level
    /// Change"). The absolute timeout stays as it is. What other requests began before it does not
    /// reach the session any more.
    pub fn renew(&mut self) {
        self.batch(|batch| batch.renew = true);
    }

    /// Ends the session: at the save its record is deleted, durably, and the client's cookie
    /// removed. What was changed before is dropped.
    ///
    /// No request that is still under way can bring it back. What is set on this handle
    /// afterwards, a farewell notice for instance, makes a new session.
    pub fn destroy(&mut self) {
        if let Some(mut state) = self.request.state() {
            state.destroy();
            self.epoch = state.epoch;
        }
        self.is_cleared = false;
        self.reset();
    }

    /// Sets every field back to its default and removes every other field from the record too: those
    /// of other session types and those that only other builds know.
    ///
    /// The session goes on, with a new secret.
    pub fn clear(&mut self) {
        self.is_cleared = true;
        self.reset();
    }

    /// When the session began: at its first save, or at the last change of a field marked `rotate`.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.stored(|record| record.created)
            .unwrap_or_else(|| self.request.shared().now())
    }

    /// When the session was last used before this request, to the precision of the
    /// [touches](crate::SessionManagerBuilder::touch_interval); `None` for one that is not stored.
    #[must_use]
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        self.stored(|record| record.last_seen)
    }

    /// When the session ends if it is not used again.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.stored(|record| record.expires).unwrap_or_else(|| {
            let shared = self.request.shared();
            let now = shared.now();
            shared.policy.lifetimes.expires(&Record::new(now, now))
        })
    }

    /// Whether this is the session that a search has found: "this one" in a list of several.
    #[must_use]
    pub fn is_same_session(&self, found: &SessionInfo) -> bool {
        self.key() == Some(found.key)
    }

    /// Asks the client to keep the cookie for so long, and lets the session last as long; with `None`, until
    /// the browser closes: "remember me".
    ///
    /// Rounded up to a whole second. The cookie's `Max-Age` never goes past the end of the session nor past
    /// 400 days (RFC 6265bis §5.5). By default a session's cookie is not kept (NIST SP 800-63B-4 §5.1);
    /// [`persistent_timeouts`](crate::SessionManagerBuilder::persistent_timeouts) says otherwise how long such
    /// sessions last.
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use session::{Session, days};
    ///
    /// #[derive(Default, Session)]
    /// struct Visit {
    ///     #[session(rotate, owner)]
    ///     user: Option<String>,
    /// }
    ///
    /// fn sign_in(session: &mut Session<Visit>, user: String, remember: bool) {
    ///     session.set_user(Some(user));
    ///     session.persist_for(remember.then(|| days(30)));
    /// }
    /// # }
    /// ```
    pub fn persist_for(&mut self, duration: impl Into<Option<Duration>>) {
        let duration = duration.into().map(whole_seconds);
        self.batch(|batch| batch.persist_for = Some(duration));
    }

    /// Ends the session at this time at the latest, never later than the manager's timeouts allow; with
    /// `None`, when those say.
    pub fn end_at(&mut self, time: impl Into<Option<Timestamp>>) {
        let time = time.into();
        self.batch(|batch| batch.end_at = Some(time));
    }

    /// Ends the session when it is not used for so long, never later than the manager's timeouts allow;
    /// with `None`, when those say. Rounded up to a whole second.
    pub fn idle_within(&mut self, duration: impl Into<Option<Duration>>) {
        let duration = duration.into().map(whole_seconds);
        self.batch(|batch| batch.idle_within = Some(duration));
    }

    /// Saves what has changed now, rather than when the response head leaves.
    ///
    /// When the future is dropped before it is done, by a timeout around it for instance, the save may
    /// have been carried out or not. The next save of the request sends it again, and the record knows
    /// which saves it has, so that each is applied once.
    ///
    /// For handlers that go on after their response has begun: streams and web sockets. A session
    /// that is new, or that gets a new secret, must be saved once before the handler
    /// returns, or the client would never learn the token.
    ///
    /// # Errors
    ///
    /// See [`SessionError`]. After an error that may pass, the changes are kept: a later save tries again.
    pub async fn save(&mut self) -> Result<Saved, SessionError> {
        self.collect()?;
        self.request.save().await
    }

    /// Saves whatever has changed, and tells what must be done to the client's cookie.
    pub(crate) async fn save_for_client(&mut self) -> Result<CookieChange, SessionError> {
        if self.save().await? == Saved::Dropped {
            return Err(SessionError::Ended);
        }
        let shared = self.request.shared();
        let state = self.request.state();
        Ok(state.map_or(CookieChange::Keep, |mut state| state.cookie_change(shared)))
    }

    /// Has the session stored by the next save even when nothing in it has changed.
    pub(crate) fn force(&mut self) {
        self.batch(|batch| batch.is_forced = true);
    }

    /// Whether this request knows the secret that `record` keeps the proof of.
    pub(crate) fn is_proved_by(&self, record: &Record) -> bool {
        let state = self.request.state();
        state.is_some_and(|state| state.known.contains(&record.proof))
    }

    fn batch(&mut self, change: impl FnOnce(&mut Batch)) {
        if let Some(mut state) = self.request.state()
            && state.epoch == self.epoch
        {
            change(&mut state.open_batch);
        }
    }

    fn stored<R>(&self, read: impl FnOnce(&Record) -> R) -> Option<R> {
        let state = self.request.state()?;
        state.record.as_deref().map(read)
    }

    /// Gives the request what has changed and begins anew; changes that cannot be encoded stay.
    fn collect(&mut self) -> Result<(), EncodeError> {
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
        give(&self.request, self.epoch, changes, is_worth_storing);
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
        let mut defaults = self.initial();
        let marks = self.tracked.changed();
        defaults.changed_mut().copy_from_slice(marks);
        let mut changes = Changes::default();
        // A default that cannot be encoded is none that a value could equal.
        defaults.encode_changes(&mut Writer::new(&mut changes, &nothing));
        changes
    }

    fn reset(&mut self) {
        self.tracked = self.initial();
        self.base = Fields::default();
        self.migrated = T::Tracked::VERSION.map_or_else(Changes::default, Version::initial);
    }

    /// The data of a session in which nothing is stored.
    fn initial(&self) -> T::Tracked {
        let now = self.request.shared().now();
        T::Tracked::decode(&mut Reader::new(&Fields::default(), now))
    }

    fn is_marked(&self) -> bool {
        self.is_cleared || has_marks(self.tracked.changed())
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

/// Gives the request what has changed. Where no save will come any more, it says so in the log.
impl<T: SessionData> Drop for Session<T> {
    fn drop(&mut self) {
        if !self.is_marked() || std::thread::panicking() {
            return;
        }
        let phase = self.request.state().map(|state| state.phase);
        if phase == Some(Phase::BeforeHead) {
            if let Err(error) = self.collect() {
                note_encode_error(&self.request, error);
            }
        } else {
            report_loss(phase, T::Tracked::FIELDS, self.tracked.changed());
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

/// What the request holds now.
fn held_by(request: &Request) -> (Fields, u32, Timestamp) {
    let now = request.shared().now();
    match request.state() {
        Some(state) => (state.fields(now), state.epoch, now),
        None => (Fields::default(), 0, now),
    }
}

/// Reads the record of a request anew.
async fn reload(request: &Request) -> Result<(), SessionError> {
    let shared = request.shared();
    let key = request.state().and_then(|state| state.key());
    let Some(key) = key else {
        let is_new = (request.state()).is_some_and(|state| state.session == Known::New);
        return if is_new {
            Ok(())
        } else {
            Err(SessionError::Ended)
        };
    };
    let found = shared.store.load(&key).await?;
    let now = shared.now();
    let Some(mut state) = request.state() else {
        return Err(SessionError::Ended);
    };
    let live = found.filter(|record| {
        let is_known = state.known.contains(&record.proof);
        (is_known || mistake!("reload does not compare the proof"))
            && !shared.policy.lifetimes.is_expired(record, now)
    });
    match live {
        Some(record) if state.session == Known::Live(key) => {
            // A save of this request may have learned of a later one meanwhile.
            state.learn(record);
            Ok(())
        }
        _ => {
            state.end();
            Err(SessionError::Ended)
        }
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    let is_whole = duration.subsec_nanos() == 0;
    let whole = seconds(duration.as_secs().saturating_add(u64::from(!is_whole)));
    whole.clamp(seconds(1), days(400))
}

fn need_base(fields: &[Field]) -> bool {
    fields.iter().any(Field::needs_base)
}

/// Notes what the request has been given: later changes begin from there.
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

fn give(request: &Request, epoch: u32, changes: Changes, is_worth_storing: bool) {
    let Some(mut state) = request.state() else {
        return;
    };
    if state.epoch == epoch {
        state.open_batch.absorb(changes, is_worth_storing);
    } else {
        tracing::debug!(
            event = "write_after_end",
            "changes of a session handle are dropped: the session was destroyed through another \
             handle of the same request"
        );
    }
}

fn note_encode_error(request: &Request, error: EncodeError) {
    if let Some(mut state) = request.state() {
        state.encode_error.get_or_insert(error);
    }
}

fn has_marks(changed: &[u64]) -> bool {
    changed.iter().any(|word| *word != 0)
}

fn unmark(changed: &mut [u64]) {
    changed.fill(0);
}

/// Says in the log that what is marked will not be saved.
#[cold]
fn report_loss(phase: Option<Phase>, fields: &'static [Field], changed: &[u64]) {
    let is_marked = |index: usize| changed[index / 64] & (1 << (index % 64)) != 0;
    let marked: Vec<&str> = fields
        .iter()
        .enumerate()
        .filter_map(|(index, field)| is_marked(index).then_some(field.name))
        .collect();
    if phase == Some(Phase::Direct) {
        tracing::warn!(
            event = "dropped_unsaved",
            fields = ?marked,
            "a session handle was dropped with unsaved changes: they are lost. Call \
             `manager.save(&mut session).await`"
        );
    } else {
        tracing::error!(
            event = "dropped_after_commit",
            fields = ?marked,
            "a session handle was dropped with unsaved changes after its response had been committed: \
             they are lost. Call `session.save().await` before dropping a handle that has been moved into \
             a stream, a WebSocket or a task"
        );
    }
}
