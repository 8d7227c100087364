//! The contract of [`SessionStore`] as a test suite, which every store can run.
//!
//! [`all`] runs every behaviour, each against an empty store, and panics at the first sentence of
//! the contract that the store breaks. The message begins with the behaviour's name. Each behaviour is also
//! a function of its own here.
//!
//! This is a whole store, and its test:
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::ops::Bound;
//! use std::sync::{Arc, Mutex, MutexGuard};
//!
//! use session::testing::conformance::{self, Handles};
//! use session::{
//!     CreateOutcome, Cursor, DeleteOutcome, Page, Record, Revision, SessionInfo, SessionKey, SessionStore,
//!     StoreError, Unreadable, UpdateOutcome,
//! };
//!
//! type Map = BTreeMap<SessionKey, Vec<u8>>;
//!
//! #[derive(Clone, Default)]
//! struct MapStore(Arc<Mutex<Map>>);
//!
//! impl MapStore {
//!     fn map(&self) -> MutexGuard<'_, Map> {
//!         self.0.lock().unwrap()
//!     }
//! }
//!
//! fn read(map: &Map, key: &SessionKey) -> Result<Option<Record>, StoreError> {
//!     let Some(bytes) = map.get(key) else { return Ok(None) };
//!     Record::decode(key, bytes.clone()).map(Some).map_err(StoreError::Unreadable)
//! }
//!
//! impl SessionStore for MapStore {
//!     async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
//!         read(&self.map(), key)
//!     }
//!
//!     async fn create(&self, key: &SessionKey, record: &Record) -> Result<CreateOutcome, StoreError> {
//!         let mut map = self.map();
//!         if map.contains_key(key) {
//!             return Ok(CreateOutcome::Exists);
//!         }
//!         map.insert(*key, record.encode(key));
//!         Ok(CreateOutcome::Created)
//!     }
//!
//!     async fn update(
//!         &self,
//!         key: &SessionKey,
//!         record: &Record,
//!         expected: Revision,
//!     ) -> Result<UpdateOutcome, StoreError> {
//!         let mut map = self.map();
//!         match read(&map, key)? {
//!             None => return Ok(UpdateOutcome::Missing),
//!             Some(stored) if stored.revision != expected => return Ok(UpdateOutcome::RevisionMismatch),
//!             Some(_) => map.insert(*key, record.encode(key)),
//!         };
//!         Ok(UpdateOutcome::Updated)
//!     }
//!
//!     async fn delete(&self, key: &SessionKey, expected: Option<Revision>) -> Result<DeleteOutcome, StoreError> {
//!         let mut map = self.map();
//!         if let Some(expected) = expected
//!             && read(&map, key)?.is_some_and(|stored| stored.revision != expected)
//!         {
//!             return Ok(DeleteOutcome::RevisionMismatch);
//!         }
//!         Ok(map.remove(key).map_or(DeleteOutcome::Missing, |_| DeleteOutcome::Deleted))
//!     }
//!
//!     async fn list(&self, after: Option<Cursor>, at_most: usize) -> Result<Page, StoreError> {
//!         let last = after.as_ref().and_then(Cursor::get::<SessionKey>);
//!         let start = last.map_or(Bound::Unbounded, |key| Bound::Excluded(*key));
//!         let map = self.map();
//!         let mut page = Page::default();
//!         for (key, bytes) in map.range((start, Bound::Unbounded)).take(at_most) {
//!             match Record::decode(key, bytes.clone()) {
//!                 Ok(record) => page.sessions.push(SessionInfo::new(*key, &record, bytes.len() as u64)),
//!                 Err(error) => page.unreadable.push(Unreadable::new(*key, StoreError::Unreadable(error))),
//!             }
//!             page.next = Some(Cursor::new(*key));
//!         }
//!         Ok(page)
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! conformance::all(async || {
//!     let store = MapStore::default();
//!     let map = store.clone();
//!     Handles::new(store.clone(), store)
//!         .damage(async move |key| map.map().entry(key).or_default().truncate(40))
//! })
//! .await;
//! # });
//! ```
//!
//! A store that is [`Clone`] needs no [`Handles`]: `conformance::all(async || MapStore::default())` runs
//! all that can be tested without damaging a record. A store that several processes can open is best opened
//! twice, as `(S, S)`: only then does the suite notice a cache that the other process does not see.
//!
//! The suite needs no runtime of its own: it runs on the one that awaits it. Behaviours under
//! concurrency have many calls under way at once, so a store whose calls run in parallel is
//! tested in parallel. No behaviour passes or fails by the clock.

#![expect(clippy::panic, reason = "a test suite tells of a failure by panicking")]

mod check;
mod concurrency;
mod damage;
mod expiry;
mod handles;
mod history;
mod interruption;
mod listing;
mod modify;
mod owners;
mod round_trip;
mod sample;
mod touch;
mod writing;

pub use concurrency::{
    a_deleted_record_stays_deleted, concurrent_calls_have_one_order, one_of_many_creates_wins,
    one_of_many_updates_wins,
};
pub use damage::{
    a_damaged_record_can_be_deleted, a_damaged_record_does_not_stop_a_listing,
    a_damaged_record_does_not_stop_a_sweep, a_damaged_record_is_never_written_over,
    a_damaged_record_is_unreadable,
};
pub use expiry::{
    an_expired_record_is_like_any_other, take_expired_gives_each_record_once,
    take_expired_gives_the_records_it_removed, take_expired_is_exact, take_expired_is_limited,
    take_expired_spares_what_was_used,
};
pub use handles::{Handles, IntoHandles};
pub use interruption::{
    a_dropped_call_did_all_or_nothing, a_dropped_call_is_not_carried_out_later,
    a_lost_answer_is_not_tried_again, a_suspended_call_holds_nothing,
};
pub use listing::{
    list_gives_every_session_once, list_is_stable_while_sessions_come_and_go,
    list_keeps_to_at_most, list_tells_what_is_stored,
};
pub use modify::{
    modify_decides_by_what_is_stored, modify_does_what_is_decided, modify_loses_no_change,
    modify_of_a_missing_record_does_nothing,
};
pub use owners::{
    sessions_of_compares_the_whole_owner, sessions_of_follows_every_change,
    sessions_of_gives_every_session_once, sessions_of_is_stable_while_sessions_come_and_go,
    sessions_of_never_misses_a_stored_session,
};
pub use round_trip::{
    a_large_record_comes_back, a_record_comes_back_exactly, a_record_is_under_its_own_key_only,
};
pub use touch::{
    touch_compares_the_revision, touch_ignores_an_older_use,
    touch_moves_two_times_and_nothing_else, touch_never_creates,
    touch_shortens_as_well_as_it_lengthens,
};
pub use writing::{
    a_deleted_record_is_gone_everywhere, create_never_replaces, delete_compares_the_revision,
    every_call_sees_the_calls_before_it, update_compares_the_revision, update_never_creates,
};

use crate::SessionStore;

/// Runs every behaviour, each with new handles that `fresh` gives: on an empty store.
///
/// `fresh` gives a store that is [`Clone`], or a pair of stores that were opened on the same data, or
/// [`Handles`] with what else the suite may use.
///
/// # Panics
///
/// When the store breaks the contract. The message begins with the name of the behaviour.
pub async fn all<H: IntoHandles>(fresh: impl AsyncFn() -> H) {
    macro_rules! run {
        ($($behaviour:ident,)*) => {
            $(Box::pin($behaviour(&fresh().await.into_handles())).await;)*
        };
    }
    run!(
        a_record_comes_back_exactly,
        every_call_sees_the_calls_before_it,
        a_large_record_comes_back,
        a_record_is_under_its_own_key_only,
        create_never_replaces,
        update_compares_the_revision,
        delete_compares_the_revision,
        a_deleted_record_is_gone_everywhere,
        update_never_creates,
        touch_moves_two_times_and_nothing_else,
        touch_shortens_as_well_as_it_lengthens,
        touch_ignores_an_older_use,
        touch_compares_the_revision,
        touch_never_creates,
        list_tells_what_is_stored,
        list_keeps_to_at_most,
        list_gives_every_session_once,
        list_is_stable_while_sessions_come_and_go,
        sessions_of_compares_the_whole_owner,
        sessions_of_follows_every_change,
        sessions_of_gives_every_session_once,
        sessions_of_is_stable_while_sessions_come_and_go,
        sessions_of_never_misses_a_stored_session,
        modify_of_a_missing_record_does_nothing,
        modify_does_what_is_decided,
        modify_decides_by_what_is_stored,
        an_expired_record_is_like_any_other,
        take_expired_is_exact,
        take_expired_gives_the_records_it_removed,
        take_expired_is_limited,
        a_suspended_call_holds_nothing,
        take_expired_spares_what_was_used,
        take_expired_gives_each_record_once,
        one_of_many_creates_wins,
        one_of_many_updates_wins,
        a_deleted_record_stays_deleted,
        modify_loses_no_change,
        concurrent_calls_have_one_order,
        a_dropped_call_is_not_carried_out_later,
        a_dropped_call_did_all_or_nothing,
        a_lost_answer_is_not_tried_again,
        a_damaged_record_is_unreadable,
        a_damaged_record_is_never_written_over,
        a_damaged_record_can_be_deleted,
        a_damaged_record_does_not_stop_a_listing,
        a_damaged_record_does_not_stop_a_sweep,
    );
}
