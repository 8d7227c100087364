//! `list`, page by page.

use std::collections::BTreeMap;

use super::Handles;
use super::check::{Check, Listed};
use super::sample::{START, expiring_at, full_record, key, owned_by, record};
use crate::{Record, SessionInfo, SessionKey, SessionStore, Timestamp};

/// `list` tells the revision, the times, the owner and the size of what is stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn list_tells_what_is_stored<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("list_tells_what_is_stored", stores);
    let listed = check.list(10).await;
    check.is(listed.is_empty(), "an empty store has an empty listing");
    let mut stored = BTreeMap::new();
    for record in [
        record(1),
        full_record(),
        expiring_at(0),
        expiring_at(u64::MAX),
        owned_by(Some("")),
        Record::new(Timestamp::default(), Timestamp::default()),
    ] {
        let key = key();
        check.create(&key, &record).await;
        stored.insert(key, record);
    }
    let listed = check.list(10).await;
    check.equal(
        listed.len(),
        stored.len(),
        "every session is listed, expired or not",
    );
    for (key, record) in &stored {
        let Some(found) = listed.get(key) else {
            check.fail("a session is listed under its key");
        };
        check.is(found.size > 0, "a listing tells the size");
        let expected = SessionInfo::new(*key, record, found.size);
        check.is(*found == expected, "a listing tells what is stored");
    }
}

/// A page has at most as many sessions as were asked for.
///
/// # Panics
///
/// When the store breaks this.
pub async fn list_keeps_to_at_most<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("list_keeps_to_at_most", stores);
    for number in 0..20 {
        check.create(&key(), &record(number)).await;
    }
    for at_most in [1, 2, 7, 19, 20, 21, 256, usize::MAX] {
        let listed = check.list(at_most).await;
        check.equal(listed.len(), 20, "every session is on a page");
    }
}

/// Every session is on exactly one page, whatever the pages' length.
///
/// # Panics
///
/// When the store breaks this.
pub async fn list_gives_every_session_once<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("list_gives_every_session_once", stores);
    for number in 0..600 {
        // Some share their times and owner, so that an order by those is ambiguous.
        let mut record = owned_by((number % 2 == 0).then_some("owner"));
        record.created = START + crate::seconds(number / 100);
        check.create(&key(), &record).await;
    }
    for at_most in [7, 256, 1000] {
        let listed = check.list(at_most).await;
        check.equal(listed.len(), 600, "every session is on a page");
    }
    let listed = check.list(1).await;
    check.equal(listed.len(), 600, "every session is on a page of its own");
}

/// A session that stays is on exactly one page, whatever is created, changed and deleted between two pages.
///
/// # Panics
///
/// When the store breaks this.
pub async fn list_is_stable_while_sessions_come_and_go<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("list_is_stable_while_sessions_come_and_go", stores);
    stable(&check, stores, None).await;
}

/// The same for the sessions of `owner`, or for all.
pub(super) async fn stable<S: SessionStore>(
    check: &Check<'_, S>,
    stores: &Handles<S>,
    owner: Option<&str>,
) {
    for at_most in [1, 7, 25] {
        let mut passing: Vec<SessionKey> = Vec::new();
        let mut staying: BTreeMap<SessionKey, Record> = BTreeMap::new();
        for number in 0..60_u32 {
            let (key, record) = (key(), owned_by(owner));
            check.create(&key, &record).await;
            if number % 3 == 0 {
                staying.insert(key, record);
            } else {
                passing.push(key);
            }
        }
        let mut listed = Listed::default();
        while !listed.pages.is_done {
            let after = listed.pages.after();
            let page = match owner {
                Some(owner) => check.owner_page(owner, after, at_most).await,
                None => check.list_page(after, at_most).await,
            };
            // Those that were just listed are what an offset counts, and the last one what a cursor holds.
            let mut doomed: Vec<SessionKey> = page
                .sessions
                .iter()
                .map(|session| session.key)
                .filter(|key| !staying.contains_key(key))
                .collect();
            doomed.extend(passing.pop());
            listed.add(check, page);
            for key in doomed {
                let _ = check.done(stores.first.delete(&key, None).await);
            }
            // As many as a page has at the most, and no more than the listing can overtake.
            if listed.sessions.len() < 60 {
                for _ in 0..2 {
                    check.create(&key(), &owned_by(owner)).await;
                }
            }
            if let Some((key, record)) = staying.iter_mut().next() {
                let next = super::sample::counted(record, "between pages");
                check.update(key, &next, record.revision).await;
                *record = next;
            }
        }
        let mut seen = staying
            .keys()
            .filter(|key| listed.sessions.contains_key(key));
        let is_complete = seen.by_ref().count() == staying.len();
        check.is(is_complete, "a session that stays is on exactly one page");
        for key in check.list(256).await.into_keys() {
            let _ = check.done(stores.first.delete(&key, None).await);
        }
    }
}
