//! The sessions of one owner: finding, changing and ending them.

use std::fmt::Display;
use std::sync::Arc;

use super::SessionManager;
use super::on_end::EndReason;
use super::owned::delete_if_owned;
use super::shared::Shared;
use crate::request::{Request, State};
use crate::store::{DeleteOutcome, ModifyOutcome, SessionInfo};
use crate::typed::{SessionData, SessionView};
use crate::{Saved, Session, SessionError, SessionKey, StoreError};

/// What a revocation of several sessions came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use = "a session that could not be read may still be alive"]
pub struct Revoked {
    /// How many sessions were ended.
    pub ended: u64,
    /// Sessions that may be the owner's and cannot be read, for instance because a newer version of this
    /// library wrote them. They have not been ended; [`SessionManager::end`] ends one unread.
    pub unreadable: Vec<SessionKey>,
}

impl SessionManager {
    /// The live sessions of `owner`: of the field marked `owner`. The one that was used
    /// last comes first.
    ///
    /// Reads no other owner's sessions. One that cannot be read is logged and left out.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn sessions_of(&self, owner: impl Display) -> Result<Vec<SessionInfo>, StoreError> {
        let owner = owner.to_string();
        let mut live = self.shared().live_sessions_of(&owner).await?.sessions;
        live.sort_by(|a, b| (b.last_seen, &b.key).cmp(&(a.last_seen, &a.key)));
        Ok(live)
    }

    /// What a session that was found holds; `None` when it has ended.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn view<T: SessionData>(
        &self,
        info: &SessionInfo,
    ) -> Result<Option<SessionView<T>>, StoreError> {
        let shared = self.shared();
        let now = shared.now();
        let record = shared.store.load(&info.key).await?;
        let live = record.filter(|record| !shared.policy.lifetimes.is_expired(record, now));
        Ok(live.map(|mut record| {
            record.fields.expire(now);
            SessionView::decode(&record.fields, now)
        }))
    }

    /// Changes a session that was found, as an operator: merged like any save, field by field.
    ///
    /// The session keeps its secret, also when a field marked `rotate` changes: its client could not be
    /// told another one.
    ///
    /// ```
    /// # #[cfg(all(feature = "derive", feature = "memory"))] {
    /// # use session::{Session, SessionManager};
    /// #[derive(Default, Session)]
    /// struct Visit {
    ///     #[session(rotate, owner)]
    ///     user: Option<String>,
    ///     banner: Option<String>,
    /// }
    ///
    /// # async fn example(sessions: SessionManager) -> Result<(), session::SessionError> {
    /// for info in sessions.sessions_of("ada").await? {
    ///     let change = |visit: &mut Session<Visit>| visit.set_banner(Some("please update".into()));
    ///     sessions.update(&info, change).await?;
    /// }
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// See [`SessionError`]; [`SessionError::Ended`] when the session has ended.
    pub async fn update<T: SessionData>(
        &self,
        info: &SessionInfo,
        change: impl FnOnce(&mut Session<T>),
    ) -> Result<Saved, SessionError> {
        let shared = self.shared();
        let record = shared.store.load(&info.key).await?;
        let now = shared.now();
        let record = record
            .filter(|record| !shared.policy.lifetimes.is_expired(record, now))
            .ok_or(SessionError::Ended)?;
        let state = State::of_operator(info.key, Arc::new(record));
        let request = Request::opened(Arc::clone(shared), state);
        let mut session = Session::of(&request);
        change(&mut session);
        match session.save().await? {
            Saved::Dropped => Err(SessionError::Ended),
            saved => Ok(saved),
        }
    }

    /// Ends the session of `owner` with this key; false when `owner` has no such session.
    ///
    /// A key may come from a form: one of another owner's session ends nothing.
    ///
    /// # Errors
    ///
    /// When the store fails: the session may then still be alive.
    pub async fn revoke(&self, owner: impl Display, key: &SessionKey) -> Result<bool, StoreError> {
        self.shared().revoke(&owner.to_string(), key).await
    }

    /// Ends all sessions of `owner`.
    ///
    /// When it returns, every session that `owner` had when it was called has ended, and cannot be
    /// brought back by a request that is under way, but for those in [`Revoked::unreadable`]. A sign-in
    /// that comes later is not affected.
    ///
    /// # Errors
    ///
    /// When the store fails: some sessions may then still be alive.
    pub async fn revoke_all(&self, owner: impl Display) -> Result<Revoked, StoreError> {
        self.shared().revoke_except(&owner.to_string(), None).await
    }

    /// Ends all sessions of the owner of `session` but this one.
    ///
    /// # Errors
    ///
    /// [`SessionError::Ended`] when this session has ended, has no owner, or another request has changed
    /// its privileges since it was read; and as [`revoke_all`](Self::revoke_all).
    pub async fn revoke_others<T: SessionData>(
        &self,
        session: &Session<T>,
    ) -> Result<Revoked, SessionError> {
        let shared = self.shared();
        let key = session.key().ok_or(SessionError::Ended)?;
        let record = shared.store.load(&key).await?;
        let record = record.filter(|record| session.is_proved_by(record));
        let owner = record.and_then(|record| record.owner);
        let owner = owner.ok_or(SessionError::Ended)?;
        Ok(shared.revoke_except(&owner, Some(&key)).await?)
    }

    /// Ends the session under this key, whatever it is: also one that cannot be read. False when there
    /// is none.
    ///
    /// For operators. An owner's own page uses [`revoke`](Self::revoke).
    ///
    /// # Errors
    ///
    /// When the store fails: the session may then still be alive.
    pub async fn end(&self, key: &SessionKey) -> Result<bool, StoreError> {
        let shared = self.shared();
        let record = shared.store.load(key).await.ok().flatten();
        let is_ended = shared.store.delete(key, None).await? == DeleteOutcome::Deleted;
        if is_ended {
            shared.ended(*key, EndReason::Revoked, record.as_ref());
        }
        Ok(is_ended)
    }
}

impl Shared {
    async fn revoke(&self, owner: &str, key: &SessionKey) -> Result<bool, StoreError> {
        let change = delete_if_owned(owner, None);
        match self.store.modify(key, None, &change).await? {
            ModifyOutcome::Deleted(record) => {
                self.ended(*key, EndReason::Revoked, Some(&record));
                Ok(true)
            }
            ModifyOutcome::Replaced { .. } | ModifyOutcome::Kept(_) | ModifyOutcome::Missing => {
                Ok(false)
            }
        }
    }

    async fn revoke_except(
        &self,
        owner: &str,
        kept: Option<&SessionKey>,
    ) -> Result<Revoked, StoreError> {
        let found = self.sessions_of(owner).await?;
        let mut revoked = Revoked {
            ended: 0,
            unreadable: found.unreadable,
        };
        for info in found.sessions {
            if Some(&info.key) != kept {
                revoked.ended += u64::from(self.revoke(owner, &info.key).await?);
            }
        }
        Ok(revoked)
    }
}
