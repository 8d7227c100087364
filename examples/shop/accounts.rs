//! Who can sign in. A real shop has these in a database; here a changed password lasts until the shop
//! is closed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use actix_web::web;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::handlers::Problem;

/// Someone who can sign in.
pub(crate) struct Account {
    pub(crate) name: &'static str,
    /// Shown on the page, as this is an example.
    pub(crate) password: &'static str,
    hash: &'static str,
}

pub(crate) const ACCOUNTS: [Account; 2] = [
    Account {
        name: "ada",
        password: "difference-engine",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$YewXIeyIyYSZZ7UJ+uW1xg$857WXkja6QZ/AFbhch8zAbyEhlNny42ZsZnz2W8hTOQ",
    },
    Account {
        name: "grace",
        password: "first-actual-bug",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$bACVcnKm8AhLhcr50X144Q$B8hnLFDMxBqkxk9nINNK3p2Tvcu1vh2nZqKMcomERws",
    },
];

/// The hash that a password is compared with when no account has the name, so that the time it takes
/// does not tell who has an account. It fits no password.
const NO_ACCOUNT: &str = "$argon2id$v=19$m=19456,t=2,p=1$1sLXWWx3JnD3FgAvXQa4+w$XLRKapACU7iFjKn7b4dBylD3QQZ5NExFQ9aU/oilqjQ";

/// The accounts and their passwords, as hashes.
#[derive(Clone, Default)]
pub(crate) struct Accounts {
    changed: Arc<RwLock<HashMap<&'static str, String>>>,
}

impl Accounts {
    /// The account's name, if the password is right.
    ///
    /// Hashing takes long, by intention: it has a thread of its own.
    pub(crate) async fn authenticate(
        &self,
        name: String,
        password: String,
    ) -> Result<Option<&'static str>, Problem> {
        let account = ACCOUNTS.iter().find(|account| account.name == name);
        let hash = account.map_or(NO_ACCOUNT.to_owned(), |account| self.hash(account));
        let is_right = web::block(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| {
                Argon2::default()
                    .verify_password(password.as_bytes(), &hash)
                    .is_ok()
            })
        });
        let is_right = is_right.await.map_err(|_| Problem::Internal)?;
        Ok(account.filter(|_| is_right).map(|account| account.name))
    }

    /// Gives the account of this name another password.
    pub(crate) async fn change(&self, name: &str, password: String) -> Result<(), Problem> {
        let account = ACCOUNTS.iter().find(|account| account.name == name);
        let account = account.ok_or(Problem::NotFound)?;
        let hash = web::block(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
        });
        let hash = hash.await.ok().and_then(Result::ok);
        let hash = hash.ok_or(Problem::Internal)?;
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        changed.insert(account.name, hash);
        Ok(())
    }

    fn hash(&self, account: &Account) -> String {
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        let changed = changed.get(account.name).cloned();
        changed.unwrap_or_else(|| account.hash.to_owned())
    }
}
