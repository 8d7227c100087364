//! A record comes back exactly as it went in.

use std::sync::Arc;

use super::Handles;
use super::check::Check;
use super::sample::{
    expiring_at, full_record, key, owned_by, record, record_of_fields, record_of_length,
};
use crate::{
    Decision, MAX_ENCODED_LENGTH, ModifyOutcome, Record, RecordUpdate, SessionKey, SessionStore,
};

/// A record comes back exactly as it went in, with every entry that it can have, whichever method stored it.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_record_comes_back_exactly<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_record_comes_back_exactly", stores);
    let long = "\u{1f980}'\"\0".repeat(600);
    let records = [
        record(0),
        full_record(),
        Record::new(crate::Timestamp::default(), crate::Timestamp::default()),
        expiring_at(0),
        expiring_at(u64::MAX),
        owned_by(Some("")),
        owned_by(Some(&long[..1001])),
        owned_by(Some(&long)),
        record_of_fields(1500),
    ];
    for expected in records {
        let by_create = key();
        assert_survives_encoding(&by_create, &expected);
        check.create(&by_create, &expected).await;
        let sentence = "a created record is as it went in";
        check.stored(&by_create, Some(&expected), sentence).await;

        let by_update = key();
        let first = record(1);
        check.create(&by_update, &first).await;
        check.update(&by_update, &expected, first.revision).await;
        let sentence = "an updated record is as it went in";
        check.stored(&by_update, Some(&expected), sentence).await;

        let by_modify = key();
        check.create(&by_modify, &first).await;
        let change: RecordUpdate = {
            let expected = expected.clone();
            Arc::new(move |_| Decision::Replace(expected.clone()))
        };
        let modified = stores.second.modify(&by_modify, None, &change).await;
        let ModifyOutcome::Replaced { before, after } = check.done(modified) else {
            check.fail("a modify that decides to replace does so");
        };
        check.same(Some(&before), Some(&first), "modify gives what was stored");
        check.same(Some(&after), Some(&expected), "modify gives what is stored");
        let sentence = "a modified record is as it went in";
        check.stored(&by_modify, Some(&expected), sentence).await;
    }
}

/// A record comes back exactly up to the largest one that there is, of
/// [`MAX_ENCODED_LENGTH`] bytes.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_large_record_comes_back<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_large_record_comes_back", stores);
    let key = key();
    let mut current = record(1);
    check.create(&key, &current).await;
    // Around the limits that engines have: of a packet, of a page, of a value.
    for length in [
        4096,
        8192,
        61_440,
        65_535,
        65_536,
        65_537,
        400_000,
        MAX_ENCODED_LENGTH,
    ] {
        let mut next = record_of_length(length);
        next.revision = current.revision.next();
        check.update(&key, &next, current.revision).await;
        let sentence = "a large record is as it went in";
        check.stored(&key, Some(&next), sentence).await;
        current = next;
    }
    let mut small = record(2);
    small.revision = current.revision.next();
    check.update(&key, &small, current.revision).await;
    let sentence = "a small record leaves nothing of a large one";
    check.stored(&key, Some(&small), sentence).await;
    let another = super::sample::key();
    check
        .create(&another, &record_of_length(MAX_ENCODED_LENGTH))
        .await;
}

/// A record is under its own key and under no other, however similar.
///
/// # Panics
///
/// When the store breaks this.
pub async fn a_record_is_under_its_own_key_only<S: SessionStore>(stores: &Handles<S>) {
    let check = Check::new("a_record_is_under_its_own_key_only", stores);
    let key = key();
    let one = record(1);
    check.create(&key, &one).await;
    for bit in 0..128 {
        let mut bytes = *key.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let similar = SessionKey::from_bytes(bytes);
        check
            .stored(
                &similar,
                None,
                "a key that differs in one bit is another one",
            )
            .await;
    }
    let extremes = [[0; 16], [0xff; 16], *b"%_*?'\"\\/\0\r\n {}:\x7f"];
    for (value, bytes) in (2..).zip(extremes) {
        let (unusual, expected) = (SessionKey::from_bytes(bytes), record(value));
        check.create(&unusual, &expected).await;
        let sentence = "every 16 bytes are a key";
        check.stored(&unusual, Some(&expected), sentence).await;
    }
    check
        .stored(&key, Some(&one), "other keys do not touch a record")
        .await;
    for _ in 0..1000 {
        let unknown = super::sample::key();
        let found = check.done(stores.first.load(&unknown).await);
        check.is(found.is_none(), "an unknown key has no record");
    }
}

/// The suite asks nothing of a store that the record's own form cannot keep.
fn assert_survives_encoding(key: &SessionKey, record: &Record) {
    let decoded = Record::decode(key, record.encode(key));
    assert!(
        decoded.as_ref() == Ok(record),
        "the suite's own record is wrong"
    );
}
