//! A counting store counts every method, and passes each on to the same method of the store inside.
#![cfg(feature = "testing")]

use std::sync::Arc;

use session::testing::{Calls, CountingStore};
use session::{
    Decision, MemoryStore, Record, RecordUpdate, Revision, SessionKey, SessionStore as _,
    StoreError, Timestamp,
};

#[tokio::test]
async fn every_method_is_counted_and_passed_on_to_the_same_one() -> Result<(), StoreError> {
    let inner = CountingStore::new(MemoryStore::new());
    let outer = CountingStore::new(inner.clone());
    let (key, now) = (SessionKey::from_bytes([7; 16]), Timestamp::from_millis(5));
    let record = Record::new(now, Timestamp::MAX);
    let keep: RecordUpdate = Arc::new(|_| Decision::Keep);
    let revision = Revision::FIRST;

    let _ = outer.create(&key, &record).await?;
    for count in 1..=2 {
        let _ = outer.load(&key).await?;
        let _ = outer.update(&key, &record, revision).await?;
        let _ = outer.list(None, 10).await?;
        let _ = outer.modify(&key, Some(&record), &keep).await?;
        let _ = outer.touch(&key, now, Timestamp::MAX, revision).await?;
        let _ = outer.sessions_of("owner", None, 10).await?;
        let _ = outer.take_expired(now, 10).await?;
        let _ = outer.delete(&key, Some(Revision::from(9))).await?;

        let calls = outer.calls();
        let counted = (
            calls.load,
            calls.update,
            calls.list,
            calls.modify,
            calls.touch,
        );
        assert_eq!(counted, (count, count, count, count, count));
        let counted = (
            calls.sessions_of,
            calls.take_expired,
            calls.delete,
            calls.create,
        );
        assert_eq!(counted, (count, count, count, 1));
        assert_eq!(calls.total(), 8 * count + 1);
        // A method that was made of others would show here.
        assert_eq!(inner.calls(), calls);
    }
    assert_eq!(
        CountingStore::new(MemoryStore::new()).calls(),
        Calls::default()
    );
    assert_eq!(outer.inner().inner().len(), 1);
    Ok(())
}
