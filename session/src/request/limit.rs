//! Holding an owner to a number of sessions. Counted after the sign-in is stored, never before: all
//! use the same order, so the last one to count sees every session.

use std::sync::Arc;
use std::time::Duration;

use crate::id::Proof;
use crate::manager::{EndReason, SessionLimit, Shared, delete_if_owned};
use crate::mistakes::mistake;
use crate::record::Record;
use crate::store::{Decision, ModifyOutcome, RecordUpdate, SessionInfo};
use crate::{SessionError, SessionKey, Timestamp};

/// How often the sessions are listed anew because others have come or gone meanwhile.
const ROUNDS: u32 = 2;

/// What a count comes to.
pub(super) enum Verdict {
    /// The sign-in stays.
    Admitted,
    /// A later sign-in has ended this session already.
    Evicted,
    /// The sign-in is one too many, and is to be taken back.
    Refused,
}

/// What has become of a session whose sign-in was taken back.
pub(super) enum TakenBack {
    /// It is again what it was before the sign-in.
    Restored(Box<Record>),
    /// It was removed: nothing is known of it before the sign-in.
    Removed,
    /// Another request had ended it, or changed its privileges again.
    Overtaken,
}

/// Counts the sessions of the owner of `record`, which has just been stored under `key`.
pub(super) async fn enforce(
    shared: &Shared,
    key: SessionKey,
    record: &Record,
    known: &[Proof],
) -> Result<Verdict, SessionError> {
    let (Some((limit, on_full)), Some(owner)) = (shared.policy.session_limit, &record.owner) else {
        return Ok(Verdict::Admitted);
    };
    for round in 0..=ROUNDS {
        let mut live = shared.live_sessions_of(owner).await?.sessions;
        live.sort_by_key(|info| (info.owner_since, info.key));
        let surplus = live.len().saturating_sub(limit);
        let Some(place) = live.iter().position(|info| info.key == key) else {
            if is_still_owned(shared, key, owner, known).await? {
                continue;
            }
            return Ok(Verdict::Evicted);
        };
        if surplus == 0 {
            break;
        }
        match on_full {
            // By another host's clock, or within the same millisecond, others have signed in later. This one
            // is the newest all the same, as it has just been stored.
            SessionLimit::EvictOldest if place < surplus && round == 0 => {
                if let Some(newest) = live.last() {
                    let since = newest.owner_since + Duration::from_millis(1);
                    bring_forward(shared, key, since, known.to_vec()).await?;
                }
            }
            SessionLimit::EvictOldest => {
                let oldest = &live[..surplus];
                if evict(shared, owner, oldest).await? {
                    return Ok(if place < surplus {
                        Verdict::Evicted
                    } else {
                        Verdict::Admitted
                    });
                }
            }
            // As many as are allowed were there before.
            SessionLimit::RejectNew
                if mistake!("a new sign-in that is refused ends the last in the order") =>
            {
                evict(shared, owner, &live[limit..]).await?;
            }
            SessionLimit::RejectNew if place >= limit || round == ROUNDS => {
                return Ok(Verdict::Refused);
            }
            // One behind this one is about to take itself back.
            SessionLimit::RejectNew => {}
        }
    }
    Ok(Verdict::Admitted)
}

/// Whether a session that is missing from its owner's list is the owner's all the same: somebody has damaged
/// the index. It is written again, which gives it its entry back.
async fn is_still_owned(
    shared: &Shared,
    key: SessionKey,
    owner: &str,
    known: &[Proof],
) -> Result<bool, SessionError> {
    let (owner, known) = (owner.to_owned(), known.to_vec());
    let change: RecordUpdate = Arc::new(move |record| {
        if record.owner.as_deref() != Some(owner.as_str()) || !known.contains(&record.proof) {
            return Decision::Keep;
        }
        Decision::Replace(Record {
            revision: record.revision.next(),
            ..record.clone()
        })
    });
    let modified = shared.store.modify(&key, None, &change).await?;
    Ok(matches!(modified, ModifyOutcome::Replaced { .. }))
}

/// Makes a session the newest of its owner, if its privileges have not been changed by another request.
async fn bring_forward(
    shared: &Shared,
    key: SessionKey,
    since: Timestamp,
    known: Vec<Proof>,
) -> Result<(), SessionError> {
    let change: RecordUpdate = Arc::new(move |record| {
        if !known.contains(&record.proof) || record.owner_since >= since {
            return Decision::Keep;
        }
        Decision::Replace(Record {
            revision: record.revision.next(),
            owner_since: since,
            ..record.clone()
        })
    });
    let _ = shared.store.modify(&key, None, &change).await?;
    Ok(())
}

/// Ends sessions, if they are still as they were listed; false when one was not.
async fn evict(
    shared: &Shared,
    owner: &str,
    sessions: &[SessionInfo],
) -> Result<bool, SessionError> {
    let mut are_as_listed = true;
    for info in sessions {
        let change = delete_if_owned(owner, Some(info.owner_since));
        match shared.store.modify(&info.key, None, &change).await? {
            ModifyOutcome::Deleted(record) => {
                shared.ended(info.key, EndReason::Evicted, Some(&record));
            }
            ModifyOutcome::Replaced { .. } | ModifyOutcome::Kept(_) | ModifyOutcome::Missing => {
                are_as_listed = false;
            }
        }
    }
    Ok(are_as_listed)
}

/// Takes a sign-in back: the session is again what it was before it, or is removed where that is not
/// known. Done once, however often it is tried.
pub(super) async fn take_back(
    shared: &Shared,
    key: SessionKey,
    before: Option<Record>,
    known: Vec<Proof>,
) -> Result<TakenBack, SessionError> {
    let before = before.filter(|_| !mistake!("a refused sign-in deletes the session"));
    let proof_before = before.as_ref().map(|before| before.proof);
    let change: RecordUpdate = Arc::new(move |record| match &before {
        // Taken back already, by a try whose answer was lost; others may have saved since.
        Some(before)
            if before.proof == record.proof
                && !mistake!("taking back is done again after its answer was lost") =>
        {
            Decision::Keep
        }
        _ if !known.contains(&record.proof) => Decision::Keep,
        Some(before) => Decision::Replace(Record {
            revision: record.revision.next(),
            saves: record.saves.clone(),
            ..before.clone()
        }),
        None => Decision::Delete,
    });
    Ok(match shared.store.modify(&key, None, &change).await? {
        ModifyOutcome::Replaced { after, .. } => TakenBack::Restored(Box::new(after)),
        ModifyOutcome::Kept(record) if proof_before == Some(record.proof) => {
            TakenBack::Restored(Box::new(record))
        }
        ModifyOutcome::Deleted(record) => {
            shared.ended(key, EndReason::Destroyed, Some(&record));
            TakenBack::Removed
        }
        ModifyOutcome::Kept(_) | ModifyOutcome::Missing => TakenBack::Overtaken,
    })
}
