//! The session that is measured: who it is, a cart of five lines, a token and a counter.

use serde::{Deserialize, Serialize};
use session::{MemoryStore, Record, Session, SessionManager, SessionStore as _, StoreKey};

/// A typical session.
#[derive(Debug, Default, Session)]
pub struct Visit {
    /// Who it is.
    pub user: Option<String>,
    /// What is to be bought.
    pub cart: Vec<Line>,
    /// What forms must bring back.
    pub csrf: Option<String>,
    /// A counter: what a save changes.
    pub views: u64,
}

/// A line of the cart.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is bought.
    pub product: u32,
    /// How many of it.
    pub quantity: u32,
    /// What the visitor says about it.
    pub note: String,
}

/// The user of every session.
pub const USER: &str = "ada.lovelace@example.org";

/// The token of every session.
pub const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The cart of every session.
#[must_use]
pub fn cart() -> Vec<Line> {
    (0..5)
        .map(|product| Line {
            product,
            quantity: 2,
            note: String::from("gift wrapped"),
        })
        .collect()
}

/// Gives every field of `session` a value.
pub fn fill(session: &mut Session<Visit>) {
    session.set_user(Some(String::from(USER)));
    session.set_cart(cart());
    session.set_csrf(Some(String::from(TOKEN)));
    session.set_views(41);
}

/// The fields of a record as a bare contender decodes them, one after the other.
///
/// # Panics
///
/// When the record is not of a [`Visit`].
#[must_use]
pub fn decode(record: &Record) -> (Option<String>, Vec<Line>, Option<String>, u64) {
    fn field<T: for<'de> Deserialize<'de>>(record: &Record, name: &str) -> T {
        rmp_serde::from_slice(record.fields.get(name).expect("stored")).expect("decodes")
    }
    (
        field(record, "user"),
        field(record, "cart"),
        field(record, "csrf"),
        field(record, "views"),
    )
}

/// The record that is stored of a [filled](fill) session.
///
/// # Panics
///
/// Never: memory takes one record.
#[must_use]
pub fn record() -> Record {
    let manager = SessionManager::builder(MemoryStore::new()).build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut session: Session<Visit> = manager.create().expect("an id");
        fill(&mut session);
        session.save().await.expect("saved");
        let key = StoreKey::new(manager.cookie().name(), &session.id());
        let record = manager.store().load(&key).await.expect("loaded");
        record.expect("there")
    })
}
