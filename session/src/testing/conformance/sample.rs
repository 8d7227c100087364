//! The keys and records that the suite stores.

use std::future::Future;
use std::task::Poll;

use crate::id::Proof;
use crate::{MAX_ENCODED_LENGTH, Record, Revision, SessionKey, SessionToken, Timestamp};

/// When the suite's sessions begin: the first of January 2026.
pub(super) const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A key that was never used.
pub(super) fn key() -> SessionKey {
    match SessionToken::generate() {
        Ok(token) => token.key(),
        Err(error) => panic!("no key could be made: {error}"),
    }
}

/// A record with one field, `value`.
pub(super) fn record(value: u32) -> Record {
    let mut record = Record::new(START, START + crate::minutes(30));
    let mut bytes = vec![0xce];
    bytes.extend_from_slice(&value.to_be_bytes());
    record.fields.set("value", &bytes);
    record
}

/// A record of `owner`.
pub(super) fn owned_by(owner: Option<&str>) -> Record {
    let mut record = record(1);
    record.owner = owner.map(str::to_owned);
    record.owner_since = owner.map_or(Timestamp::default(), |_| START);
    record
}

/// A record that expires at `millis`.
pub(super) fn expiring_at(millis: u64) -> Record {
    let mut record = record(1);
    record.expires = Timestamp::from_millis(millis);
    record
}

/// A record with every entry that a record can have, each different from all others.
pub(super) fn full_record() -> Record {
    let mut full = record(7);
    full.revision = Revision::from(5_000_000_000);
    full.created = Timestamp::from_millis(1);
    full.last_seen = Timestamp::from_millis(u64::MAX - 1);
    full.expires = Timestamp::MAX;
    full.proof = Proof([0xa5; Proof::LENGTH]);
    full.proof.0[0] = 0;
    full.persist_for = Some(crate::days(30));
    full.end_at = Some(Timestamp::from_millis(u64::MAX - 2));
    full.idle_within = Some(crate::minutes(7));
    full.owner = Some(String::from(
        "\u{f6}wner\0 \"quoted\" 'twice'; --%_\\ \u{1f980} ",
    ));
    full.owner_since = START;
    for byte in [1, 0xff] {
        let since = START + crate::seconds(byte.into());
        full.replaced.push((Proof([byte; Proof::LENGTH]), since));
    }
    // One more than the list keeps, so that it has a floor.
    for number in 0..33 {
        let revision = Revision::from(4_999_999_000 + number);
        full.saves.add(u64::MAX - number, revision);
    }
    for (name, value) in [
        ("nil", &b"\xc0"[..]),
        ("", b"\x01"),
        (
            "unknown.to-this build",
            b"\x82\xa1a\x93\x01\x02\x03\xa1b\xc7\x03\x05xyz",
        ),
        ("non-canonical number", b"\xcf\0\0\0\0\0\0\0\x01"),
        ("na\u{ef}ve\0 \u{1f980}", b"\xc2"),
    ] {
        full.fields.set(name, value);
        full.fields.set_deadline(name, START + crate::hours(1));
    }
    full
}

/// A record that is stored as exactly `length` bytes, none of them UTF-8.
pub(super) fn record_of_length(length: usize) -> Record {
    let mut record = record(1);
    let mut value = vec![0xff; length];
    let mut set = |filling: usize| {
        value.truncate(5 + filling);
        value[..5].copy_from_slice(&[0xc6, 0, 0, 0, 0]);
        value[1..5].copy_from_slice(&u32::try_from(filling).unwrap_or(u32::MAX).to_be_bytes());
        record.fields.set("large", &value);
        record.encoded_length()
    };
    let overhead = set(length - 5) - length;
    set(length - 5 - overhead);
    assert!(record.encoded_length() == length && length <= MAX_ENCODED_LENGTH);
    record
}

/// A record with more fields than any application has.
pub(super) fn record_of_fields(count: u32) -> Record {
    let mut record = record(1);
    for number in 0..count {
        let name = format!("unknown field {number}");
        record
            .fields
            .set(&name, &[0xcd, 0x03, number.to_be_bytes()[3]]);
    }
    record
}

/// The next revision of `record`, with the counter `field` raised by one.
pub(super) fn counted(record: &Record, field: &str) -> Record {
    let mut next = record.clone();
    set_number(&mut next, field, number(record, field) + 1);
    next.revision = record.revision.next();
    next
}

/// `record` after a touch.
pub(super) fn touched(record: &Record, last_seen: Timestamp, expires: Timestamp) -> Record {
    let mut next = record.clone();
    next.last_seen = last_seen;
    next.expires = expires;
    next.revision = record.revision.next();
    next
}

/// Sets the field `field` to `number`.
pub(super) fn set_number(record: &mut Record, field: &str, number: u64) {
    let mut bytes = vec![0xcf];
    bytes.extend_from_slice(&number.to_be_bytes());
    record.fields.set(field, &bytes);
}

/// The number in the field `field`, 0 without one.
pub(super) fn number(record: &Record, field: &str) -> u64 {
    let bytes = record.fields.get(field).and_then(|value| value.get(1..9));
    bytes.map_or(0, |bytes| {
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    })
}

/// Waits for all of `futures`, which are under way at the same time.
pub(super) async fn join<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| Some(Box::pin(future)))
        .collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(context)
            {
                *output = Some(value);
                *future = None;
            }
        }
        if futures.iter().all(Option::is_none) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Polls `future` at most `times`, and lets the runtime work in between. Gives its output if it is done.
pub(super) async fn poll_up_to<F: Future>(
    future: &mut std::pin::Pin<Box<F>>,
    times: usize,
) -> Option<F::Output> {
    for _ in 0..times {
        let once = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(output) = once.await {
            return Some(output);
        }
        std::thread::yield_now();
        super::handles::yield_once().await;
    }
    None
}
