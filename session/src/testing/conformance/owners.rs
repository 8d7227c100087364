//! `sessions_of`: the sessions of one owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Handles;
use super::check::Check;
use super::handles::yield_once;
use super::listing::stable;
use super::sample::{START, join, key, owned_by, touched};
use crate::{Decision, DeleteOutcome, RecordUpdate, SessionStore};

/// `sessions_of` compares the whole owner, byte by byte.
///
/// # Panics
///
/// When the store breaks this.
pub async fn sessions_of_compares_the_whole_owner<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("sessions_of_compares_the_whole_owner", stores);
    let (kibibyte, longest) = ("k".repeat(1023), "l".repeat(4095));
    let mut owners: Vec<String> = [
        "alice",
        "Alice",
        "alic",
        "alice ",
        " alice",
        "alice\0",
        "alice\0\0",
        "",
        "\0",
        " ",
        "%",
        "_",
        "*",
        "al%",
        "alic_",
        "'",
        "\"",
        "\\",
        "a'; --",
        "\u{1f980}",
        "\u{1f980}\u{1f980}",
        "\u{e9}",
        // The same letter as two code points.
        "e\u{301}",
        "{owner}",
        "0",
        "00",
        "null",
    ]
    .map(String::from)
    .into();
    for end in ["a", "b"] {
        owners.push(format!("{}{end}", "s".repeat(64)));
        owners.push(format!("{kibibyte}{end}"));
        owners.push(format!("{longest}{end}"));
        // In the middle, where a hash of both ends does not look.
        owners.push(format!("{}{end}{}", "m".repeat(2048), "m".repeat(2047)));
    }
    let mut keys = Vec::new();
    for owner in &owners {
        let pair = [key(), key()];
        for key in pair {
            check.create(&key, &owned_by(Some(owner))).await;
        }
        keys.push(pair);
    }
    check.create(&key(), &owned_by(None)).await;
    for (owner, pair) in owners.iter().zip(&keys) {
        let found = check.sessions_of(owner, 10).await;
        let start: String = owner.chars().take(12).collect();
        check.equal(found.len(), 2, &format!("{start:?} has two sessions"));
        let is_pair = pair.iter().all(|key| found.contains_key(key));
        check.is(is_pair, "an owner's sessions are found");
    }
    for stranger in ["ALICE", "bob", "alicea", "s"] {
        let found = check.sessions_of(stranger, 10).await;
        check.is(found.is_empty(), "an owner without sessions has none");
    }
}

/// `sessions_of` follows every owner that is set, changed or removed, by whatever method, and every end.
///
/// # Panics
///
/// When the store breaks this.
pub async fn sessions_of_follows_every_change<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("sessions_of_follows_every_change", stores);
    let key = key();
    let mut current = owned_by(None);
    check.create(&key, &current).await;
    let owners = [
        Some("alice"),
        Some("bob"),
        None,
        Some("bob"),
        Some("alice"),
        Some("alice"),
    ];
    for (step, owner) in owners.into_iter().enumerate() {
        let mut next = owned_by(owner);
        next.revision = current.revision.next();
        if step % 2 == 0 {
            check.update(&key, &next, current.revision).await;
        } else {
            let change: RecordUpdate = {
                let next = next.clone();
                Arc::new(move |_| Decision::Replace(next.clone()))
            };
            let modified = stores.first.modify(&key, Some(&current), &change).await;
            let _ = check.done(modified);
        }
        current = touched(&next, START + crate::seconds(step as u64), next.expires);
        check.touch(&key, &current, next.revision).await;
        for other in ["alice", "bob"] {
            let found = check.sessions_of(other, 10).await;
            let expected = usize::from(owner == Some(other));
            check.equal(
                found.len(),
                expected,
                "a session is found by its owner of now",
            );
            let seen = found.get(&key).map(|info| info.last_seen);
            let is_now = seen.is_none_or(|seen| seen == current.last_seen);
            check.is(is_now, "a session is told as it is now");
        }
    }
    let deleted = check.done(stores.second.delete(&key, None).await);
    check.equal(deleted, DeleteOutcome::Deleted, "a record is deleted");
    let found = check.sessions_of("alice", 10).await;
    check.is(found.is_empty(), "a deleted session is not found");
    check.create(&key, &owned_by(Some("bob"))).await;
    let found = check.sessions_of("alice", 10).await;
    check.is(
        found.is_empty(),
        "a new session under an old key has its own owner",
    );
    let found = check.sessions_of("bob", 10).await;
    check.equal(found.len(), 1, "a new session under an old key is found");
}

/// `sessions_of` gives each session of an owner on exactly one page, also when there are 600.
///
/// # Panics
///
/// When the store breaks this.
pub async fn sessions_of_gives_every_session_once<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("sessions_of_gives_every_session_once", stores);
    for number in 0..700_u32 {
        let owner = if number % 7 == 0 { "other" } else { "owner" };
        check.create(&key(), &owned_by(Some(owner))).await;
    }
    for at_most in [7, 256, 10_000] {
        let found = check.sessions_of("owner", at_most).await;
        check.equal(found.len(), 600, "every session of an owner is on a page");
    }
    let found = check.sessions_of("other", 1).await;
    check.equal(
        found.len(),
        100,
        "every session of an owner is on a page of its own",
    );
}

/// A session that stays is on exactly one page of its owner's, whatever is created, changed and deleted
/// between two pages.
///
/// # Panics
///
/// When the store breaks this.
pub async fn sessions_of_is_stable_while_sessions_come_and_go<S: SessionStore>(
    stores: &Handles<S>,
) {
    let check = Check::new("sessions_of_is_stable_while_sessions_come_and_go", stores);
    stable(&check, stores, Some("owner")).await;
}

/// `sessions_of` never misses a session that can be loaded: an index knows it before it is stored.
///
/// # Panics
///
/// When the store breaks this.
pub async fn sessions_of_never_misses_a_stored_session<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("sessions_of_never_misses_a_stored_session", stores);
    for round in 0..40 {
        let key = key();
        let mut owned = owned_by(Some("owner"));
        // Signed in at its first save, or at a later one.
        let is_first = round % 2 == 0;
        let before = owned_by(None);
        if !is_first {
            check.create(&key, &before).await;
            owned.revision = before.revision.next();
        }
        let is_stored = AtomicBool::new(false);
        let (check, is_stored, owned, before) = (&check, &is_stored, &owned, &before);
        let sign_in = async move {
            if is_first {
                check.create(&key, owned).await;
            } else {
                check.update(&key, owned, before.revision).await;
            }
            is_stored.store(true, Ordering::SeqCst);
        };
        let watch = async move {
            loop {
                let is_last = is_stored.load(Ordering::SeqCst);
                let loaded = check.done(stores.second.load(&key).await);
                if loaded.is_some_and(|record| record.owner.is_some()) {
                    let found = check.sessions_of("owner", 256).await;
                    let sentence = "a session that can be loaded is found by its owner";
                    check.is(found.contains_key(&key), sentence);
                }
                if is_last {
                    return;
                }
                yield_once().await;
            }
        };
        let futures: [std::pin::Pin<Box<dyn Future<Output = ()> + '_>>; 2] =
            [Box::pin(sign_in), Box::pin(watch)];
        join(futures).await;
    }
}
