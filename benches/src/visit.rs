//! The session that is measured: a user, a cart of five lines, a token and a counter.

use serde::{Deserialize, Serialize};
use session::{
    DeleteOutcome, MemoryStore, Record, Session, SessionManager, SessionStore as _, SessionToken,
};
use tokio::runtime::Runtime;

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

/// Makes records of [filled](fill) sessions, for cookies that are given.
#[derive(Debug)]
pub struct Records {
    runtime: Runtime,
    store: MemoryStore,
    manager: SessionManager,
}

impl Records {
    /// Of sessions of the cookie that a manager has by default.
    ///
    /// # Panics
    ///
    /// When there is no runtime.
    #[must_use]
    pub fn new() -> Self {
        let store = MemoryStore::new();
        // So that a session takes the token that it is asked to have.
        let builder = SessionManager::builder(store.clone()).renew_missing(false);
        Records {
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime"),
            store,
            manager: builder.build().expect("good settings"),
        }
    }

    /// The record of a session whose client holds `token`.
    ///
    /// # Panics
    ///
    /// When there is a session of this token already.
    #[must_use]
    pub fn record(&self, token: &SessionToken) -> Record {
        self.runtime.block_on(async {
            let session = self.manager.open(Some(&token.expose())).await;
            let mut session: Session<Visit> = session.expect("opened");
            assert!(session.is_new(), "each token once");
            fill(&mut session);
            session.save().await.expect("saved");
            let record = self.store.load(&token.key()).await.expect("loaded");
            let deleted = self.store.delete(&token.key(), None).await;
            assert_eq!(deleted.expect("deleted"), DeleteOutcome::Deleted);
            record.expect("there")
        })
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}
