//! The session of the shop: what it keeps of a visitor.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use session::{Requirement, Session, merge};

use crate::catalog::{Product, ProductId};
use crate::handlers::Problem;

/// A visit to the shop.
#[derive(Default, Session)]
pub(crate) struct Visit {
    /// Who is signed in. A change gives the session a new secret, and the user's sessions can be listed.
    #[session(rotate, owner)]
    pub(crate) user: Option<String>,

    /// The visitor has just typed the password, and may change it.
    #[session(rotate, ttl = "10m")]
    pub(crate) sudo: bool,

    /// The visitor's browser, to tell the user's sessions apart.
    pub(crate) browser: String,

    /// What the visitor is about to buy. Two tabs may change it at once.
    #[session(merge = Cart::merge)]
    pub(crate) cart: Cart,

    /// What the next page says, once.
    #[session(flash)]
    pub(crate) notice: Option<Notice>,

    /// How many orders were paid for. Two tabs may pay at once.
    #[session(merge = merge::sum)]
    pub(crate) orders: u32,
}

/// What came of the last form.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// What the visitor asked for was done.
    Done(String),
    /// It was not.
    Refused(String),
}

impl Notice {
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Notice::Done(text.into())
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Notice::Refused(text.into())
    }
}

/// A visitor who is signed in.
pub(crate) struct SignedIn;

impl Requirement for SignedIn {
    type Data = Visit;
    type Rejection = Problem;

    fn check(session: &Session<Visit>) -> Result<(), Problem> {
        match session.user {
            Some(_) => Ok(()),
            None => Err(Problem::SignInFirst),
        }
    }
}

/// A visitor who has just typed the password.
pub(crate) struct Sudo;

impl Requirement for Sudo {
    type Data = Visit;
    type Rejection = Problem;

    fn check(session: &Session<Visit>) -> Result<(), Problem> {
        SignedIn::check(session)?;
        if session.sudo {
            Ok(())
        } else {
            Err(Problem::PasswordFirst)
        }
    }
}

/// How many of each product.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cart(BTreeMap<ProductId, u8>);

impl Cart {
    /// The most of one product that can be bought at once.
    pub(crate) const MOST: u8 = 99;

    pub(crate) fn add(&mut self, product: &Product) {
        let quantity = self.0.entry(product.id).or_default();
        *quantity = quantity.saturating_add(1).min(Self::MOST);
    }

    /// Zero removes the product.
    pub(crate) fn set(&mut self, product: &Product, quantity: u8) {
        if quantity == 0 {
            self.0.remove(&product.id);
        } else {
            self.0.insert(product.id, quantity.min(Self::MOST));
        }
    }

    /// Merges product by product, so that two tabs do not undo each other.
    pub(crate) fn merge(base: &Self, mine: Self, theirs: Self) -> Self {
        Cart(merge::per_key(&base.0, mine.0, theirs.0))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.values().map(|quantity| u32::from(*quantity)).sum()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static Product, u8)> {
        self.0
            .iter()
            .filter_map(|(id, quantity)| Some((id.product()?, *quantity)))
    }

    pub(crate) fn total_cents(&self) -> u32 {
        self.lines()
            .map(|(product, quantity)| product.cents * u32::from(quantity))
            .sum()
    }
}
