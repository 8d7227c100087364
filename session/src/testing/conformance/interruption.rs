//! Calls that are suspended, dropped, or lose their answer.

use std::pin::Pin;
use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::sample::{START, counted, key, number, poll_up_to, record, touched};
use crate::{
    CreateOutcome, Decision, DeleteOutcome, Record, RecordUpdate, Revision, SessionKey,
    SessionStore, StoreError, Timestamp, UpdateOutcome,
};

/// How often a call is polled before it is left alone: at each of these places it may have begun to write.
const POLLS: usize = 12;

/// The calls that are interrupted.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Interrupted {
    Create,
    Update,
    Delete,
    Touch,
    Modify,
}

impl Interrupted {
    const ALL: [Interrupted; 5] = [
        Interrupted::Create,
        Interrupted::Update,
        Interrupted::Delete,
        Interrupted::Touch,
        Interrupted::Modify,
    ];

    /// What is stored before the call.
    fn before(self) -> Option<Record> {
        (self != Interrupted::Create).then(|| record(1))
    }

    /// What is stored after it.
    fn after(self) -> Option<Record> {
        match self {
            Interrupted::Create => Some(record(2)),
            Interrupted::Update | Interrupted::Modify => Some(counted(&record(1), "interrupted")),
            Interrupted::Delete => None,
            Interrupted::Touch => {
                let (seen, expires) = (START + crate::seconds(1), START + crate::seconds(2));
                Some(touched(&record(1), seen, expires))
            }
        }
    }

    fn call<'a, S: SessionStore>(
        self,
        store: &'a S,
        key: &'a SessionKey,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>> {
        let record = self.after().unwrap_or_else(|| record(1));
        Box::pin(async move {
            match self {
                Interrupted::Create => {
                    let _ = store.create(key, &record).await?;
                }
                Interrupted::Update => {
                    let _ = store.update(key, &record, Revision::FIRST).await?;
                }
                Interrupted::Delete => {
                    let _ = store.delete(key, None).await?;
                }
                Interrupted::Touch => {
                    let (seen, expires) = (record.last_seen, record.expires);
                    let _ = store.touch(key, seen, expires, Revision::FIRST).await?;
                }
                Interrupted::Modify => {
                    let _ = store.modify(key, None, &count("interrupted")).await?;
                }
            }
            Ok(())
        })
    }
}

fn count(field: &'static str) -> RecordUpdate {
    Arc::new(move |stored| Decision::Replace(counted(stored, field)))
}

/// A call that nothing polls any more holds nothing that another call needs, on the same record or another
/// one. A store that breaks this hangs here.
///
/// # Panics
///
/// When the store breaks this in another way.
pub async fn a_suspended_call_holds_nothing<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_suspended_call_holds_nothing", stores);
    for kind in Interrupted::ALL {
        for polls in 0..POLLS {
            let (key, other) = (key(), key());
            if let Some(before) = kind.before() {
                check.create(&key, &before).await;
            }
            let mut suspended = Box::pin(kind.call(&stores.first, &key));
            let done = poll_up_to(&mut suspended, polls).await;
            for store in [&stores.first, &stores.second] {
                let _ = check.done(store.load(&key).await);
                let _ = check.done(store.modify(&key, None, &count("meanwhile")).await);
                let _ = check.done(store.delete(&key, None).await);
                let _ = check.done(store.list(None, 10).await);
                let _ = check.done(store.create(&other, &record(3)).await);
                let _ = check.done(store.delete(&other, None).await);
            }
            check.done(match done {
                Some(done) => done,
                None => suspended.await,
            });
            let _ = check.done(stores.first.delete(&key, None).await);
        }
    }
}

/// A call that is dropped before it is done has done the whole step or nothing, and that stays so.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_dropped_call_did_all_or_nothing<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_dropped_call_did_all_or_nothing", stores);
    for kind in Interrupted::ALL {
        for polls in 0..POLLS {
            let key = key();
            if let Some(before) = kind.before() {
                check.create(&key, &before).await;
            }
            let mut dropped = Box::pin(kind.call(&stores.first, &key));
            poll_up_to(&mut dropped, polls).await;
            drop(dropped);
            let found = check.done(stores.second.load(&key).await);
            let is_whole = found == kind.before() || found == kind.after();
            check.is(is_whole, "a dropped call did the whole step or nothing");
            stores.wait().await;
            let sentence = "a dropped call does nothing more once another one has returned";
            check.stored(&key, found.as_ref(), sentence).await;
        }
    }
}

/// A call whose future was dropped is not carried out after a later call on the same key, by whichever handle.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_dropped_call_is_not_carried_out_later<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_dropped_call_is_not_carried_out_later", stores);
    for kind in Interrupted::ALL {
        for polls in 0..POLLS {
            let key = key();
            if let Some(before) = kind.before() {
                check.create(&key, &before).await;
            }
            let mut dropped = Box::pin(kind.call(&stores.first, &key));
            poll_up_to(&mut dropped, polls).await;
            drop(dropped);
            // Calls after which the dropped one could still be carried out, if something had kept it.
            let store = &stores.second;
            let expected = match kind {
                Interrupted::Create => {
                    let _ = check.done(store.delete(&key, None).await);
                    None
                }
                Interrupted::Update | Interrupted::Delete => {
                    let _ = check.done(store.delete(&key, None).await);
                    let another = record(4);
                    let created = check.done(store.create(&key, &another).await);
                    check.equal(created, CreateOutcome::Created, "a free key takes a record");
                    Some(another)
                }
                Interrupted::Touch => {
                    // The dropped touch may have raised the revision before this load, and not after it.
                    let Some(found) = check.done(store.load(&key).await) else {
                        check.fail("the record is missing");
                    };
                    let (seen, expires) = (START + crate::seconds(1), Timestamp::MAX);
                    let outcome = store.touch(&key, seen, expires, found.revision).await;
                    let sentence = "the revision is as it was loaded";
                    check.equal(check.done(outcome), UpdateOutcome::Updated, sentence);
                    Some(touched(&found, seen, expires))
                }
                Interrupted::Modify => {
                    let _ = check.done(store.modify(&key, None, &count("later")).await);
                    let loaded = check.done(store.load(&key).await);
                    let later = loaded.as_ref().map(|record| number(record, "later"));
                    check.equal(later, Some(1), "the later call is carried out once");
                    loaded
                }
            };
            stores.wait().await;
            let sentence = "a dropped call is not carried out after a later one";
            check.stored(&key, expected.as_ref(), sentence).await;
        }
    }
}

/// A write whose answer was lost is not tried again: `modify` applies its change once. Left out
/// unless [`Handles::lose_next_answer`] is given.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_lost_answer_is_not_tried_again<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_lost_answer_is_not_tried_again", stores);
    for has_base in [false, true] {
        for store in [&stores.first, &stores.second] {
            let key = key();
            let base = record(1);
            check.create(&key, &base).await;
            if !stores.lose_answer().await {
                return;
            }
            let base = has_base.then_some(&base);
            let modified = store.modify(&key, base, &count("changed")).await;
            let is_error = matches!(
                modified,
                Err(StoreError::Unavailable { .. } | StoreError::DurabilityUnknown { .. })
            );
            check.is(
                is_error,
                "a write whose answer is lost is reported as in doubt",
            );
            stores.wait().await;
            let expected = counted(&record(1), "changed");
            let sentence = "a change whose answer is lost is made once";
            check.stored(&key, Some(&expected), sentence).await;
            let deleted = check.done(store.delete(&key, None).await);
            check.equal(deleted, DeleteOutcome::Deleted, "the store goes on working");
        }
    }
}
