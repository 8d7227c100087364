//! The sessions of an owner, and the one way to end one that still is the owner's.

use std::sync::Arc;

use super::shared::Shared;
use crate::mistakes::mistake;
use crate::store::{Decision, RecordUpdate, SessionInfo};
use crate::telemetry::chain;
use crate::{SessionKey, StoreError, Timestamp};

/// How many sessions of an owner are asked for at once.
const PAGE: usize = 256;

/// The sessions of an owner.
pub(crate) struct Owned {
    pub(crate) sessions: Vec<SessionInfo>,
    pub(crate) unreadable: Vec<SessionKey>,
}

impl Shared {
    /// Those that have not expired by this host's clock.
    pub(crate) async fn live_sessions_of(&self, owner: &str) -> Result<Owned, StoreError> {
        let now = self.now();
        let mut owned = self.sessions_of(owner).await?;
        owned
            .sessions
            .retain(|info| now.max(info.last_seen) < info.expires);
        Ok(owned)
    }

    /// All of them. To end them, nothing is left out: by another host's clock an expired one may be live.
    pub(crate) async fn sessions_of(&self, owner: &str) -> Result<Owned, StoreError> {
        let mut live = Owned {
            sessions: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut after = None;
        loop {
            let page = self.store.sessions_of(owner, after, PAGE).await?;
            live.sessions.extend(page.sessions);
            for found in page.unreadable {
                tracing::error!(
                    event = "unreadable_record",
                    session = %found.key,
                    error = %chain(&found.error),
                    "a session of the owner that was looked for cannot be read"
                );
                live.unreadable.push(found.key);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(live),
            }
        }
    }
}

/// Deletes a session if it is `owner`'s, and has been since `since` where that is asked.
pub(crate) fn delete_if_owned(owner: &str, since: Option<Timestamp>) -> RecordUpdate {
    let owner = owner.to_owned();
    Arc::new(move |record| {
        let is_owned = record.owner.as_deref() == Some(owner.as_str());
        let is_owned = is_owned || mistake!("evictions and revocations do not look at the owner");
        if is_owned && since.is_none_or(|since| since == record.owner_since) {
            Decision::Delete
        } else {
            Decision::Keep
        }
    })
}
