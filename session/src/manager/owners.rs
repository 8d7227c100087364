//! The sessions of one owner: finding them, ending them, and holding them to a number.

use std::fmt::{self, Display};
use std::ops::Deref;

use super::{Inner, SessionManager};
use crate::log::{chain, correlation};
use crate::record::Record;
use crate::store::Listing;
use crate::typed::{Companion as _, Reader, SessionData};
use crate::{
    Session, SessionError, SessionHandle, SessionInfo, SessionStore, StoreError, StoreKey, Swapped,
};

/// How often an owner's sessions are looked for anew before it counts as done. A session that is
/// being renewed turns up again under another key.
const PASSES: u32 = 16;

/// How many sessions one owner may have at once, and what happens past that.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnerLimit {
    pub(super) sessions: usize,
    pub(super) when_full: WhenFull,
}

/// What a sign-in does when its owner has as many sessions as are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The sessions that began first are ended.
    EndOldest,
    /// The sign-in fails with [`SessionError::TooManySessions`], and the session stays as it was.
    RefuseNewest,
}

/// What a session held when it was looked at: to be read, and no more.
pub struct Snapshot<T: SessionData>(T::Tracked);

impl<T: SessionData> Deref for Snapshot<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: SessionData> fmt::Debug for Snapshot<T>
where
    T::Tracked: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.0).finish()
    }
}

impl<S: SessionStore> SessionManager<S> {
    /// The live sessions of `owner`: of whom the field marked `index` names. The one that was used
    /// last comes first.
    ///
    /// Reads no other owner's sessions. One that cannot be read is logged and left out.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn find(&self, owner: impl Display) -> Result<Vec<SessionInfo>, StoreError> {
        self.0.live_of(&owner.to_string()).await
    }

    /// What a session that was found holds; `None` when it is over.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn read<T: SessionData>(
        &self,
        info: &SessionInfo,
    ) -> Result<Option<Snapshot<T>>, StoreError> {
        let now = self.0.clock.now();
        let record = self.0.store.load(&info.key).await?;
        let live = record.filter(|record| !self.0.policy.timeouts.is_over(record, now));
        Ok(live.map(|mut record| {
            record.fields.expire(now);
            Snapshot(T::Tracked::decode(&mut Reader::new(&record.fields, now)))
        }))
    }

    /// Ends the session of `owner` that this is the handle of; false when there is none.
    ///
    /// A handle may come from a form: one of somebody else's session ends nothing.
    ///
    /// # Errors
    ///
    /// When the store fails: the session may then still be alive.
    pub async fn revoke(
        &self,
        owner: impl Display,
        handle: &SessionHandle,
    ) -> Result<bool, StoreError> {
        let found = self.find(owner).await?;
        match found.iter().find(|info| info.handle() == *handle) {
            Some(info) => self.0.revoke(&info.key).await,
            None => Ok(false),
        }
    }

    /// Ends all sessions of `owner`; gives their number.
    ///
    /// When it returns, every session that `owner` had when it was called is over, and cannot be
    /// brought back by a request that is under way. A sign-in that comes later is not affected.
    ///
    /// # Errors
    ///
    /// When the store fails: some sessions may then still be alive.
    pub async fn revoke_all(&self, owner: impl Display) -> Result<u64, StoreError> {
        self.0.revoke_except(&owner.to_string(), None).await
    }

    /// Ends all sessions of the owner of `session` but this one; gives their number. Nothing when it
    /// has no owner.
    ///
    /// # Errors
    ///
    /// As [`revoke_all`](Self::revoke_all).
    pub async fn revoke_others<T: SessionData>(
        &self,
        session: &Session<T>,
    ) -> Result<u64, StoreError> {
        match session.stored_owner() {
            Some(owner) => {
                // Another request of the page may have renewed the id by time.
                let key = session.stored_key();
                let now = self.0.clock.now();
                let stored = match self.0.store.load(&key).await? {
                    Some(record) => self.0.follow(key.clone(), record, now).await?,
                    None => None,
                };
                let key = stored.map_or(key, |(key, _)| key);
                self.0.revoke_except(&owner, Some(&key)).await
            }
            None => Ok(0),
        }
    }
}

impl<S: SessionStore> Inner<S> {
    async fn live_of(&self, owner: &str) -> Result<Vec<SessionInfo>, StoreError> {
        let now = self.clock.now();
        let mut live = Vec::new();
        let mut listing: Listing = self.store.find(owner);
        while let Some(found) = listing.next().await {
            match found {
                Ok(info) if now.max(info.last_seen) < info.expires => live.push(info),
                Ok(_over) => {}
                Err(StoreError::Unreadable(error)) => tracing::error!(
                    event = "unreadable_record",
                    error = %chain(&error),
                    "a session of the owner that was looked for cannot be read"
                ),
                Err(error) => return Err(error),
            }
        }
        live.sort_by(|a, b| (b.last_seen, &b.key).cmp(&(a.last_seen, &a.key)));
        Ok(live)
    }

    async fn revoke(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let swapped = self.store.delete(key, None).await?;
        if swapped == Swapped::Done {
            tracing::info!(
                event = "revoked",
                session = %correlation(key),
                "a session was revoked"
            );
        }
        Ok(swapped == Swapped::Done)
    }

    async fn revoke_except(&self, owner: &str, kept: Option<&StoreKey>) -> Result<u64, StoreError> {
        let mut revoked = 0;
        for _ in 0..PASSES {
            let mut found = self.live_of(owner).await?;
            found.retain(|info| Some(&info.key) != kept);
            if found.is_empty() {
                break;
            }
            for info in found {
                revoked += u64::from(self.revoke(&info.key).await?);
            }
        }
        Ok(revoked)
    }

    /// Holds the owner of the session that has just been stored under `key` to the limit; the record
    /// that it is about to replace does not count.
    ///
    /// Everybody counts after having stored, and everybody agrees on the order, so whoever counts
    /// last sees all and leaves just as many as are allowed. Where sign-ins race, one that was let in
    /// may be ended by one that began before it.
    pub(super) async fn hold_to_limit(
        &self,
        key: &StoreKey,
        record: &Record,
        replaced: Option<&StoreKey>,
    ) -> Result<(), SessionError> {
        let (Some(limit), Some(owner)) = (self.policy.owner_limit, &record.owner) else {
            return Ok(());
        };
        // Looked at twice: a session that is just being renewed is there twice for a moment.
        let (once, again) = (
            self.beyond(owner, limit, replaced).await?,
            self.beyond(owner, limit, replaced).await?,
        );
        let mut is_refused = false;
        for beyond in again.iter().filter(|beyond| once.contains(beyond)) {
            if limit.when_full == WhenFull::RefuseNewest && beyond == key {
                is_refused = true;
            } else {
                self.revoke(beyond).await?;
            }
        }
        if is_refused {
            let limit = limit.sessions;
            return Err(SessionError::TooManySessions { limit });
        }
        Ok(())
    }

    async fn beyond(
        &self,
        owner: &str,
        limit: OwnerLimit,
        replaced: Option<&StoreKey>,
    ) -> Result<Vec<StoreKey>, StoreError> {
        let mut live = self.live_of(owner).await?;
        live.retain(|info| Some(&info.key) != replaced);
        live.sort_by(|a, b| (a.created, &a.key).cmp(&(b.created, &b.key)));
        if limit.when_full == WhenFull::EndOldest {
            live.reverse();
        }
        let beyond = live.into_iter().skip(limit.sessions);
        Ok(beyond.map(|info| info.key).collect())
    }
}
