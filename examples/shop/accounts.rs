//! Who can sign in. A real shop has these in a database.

use actix_web::web;
use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;

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

/// The hash that a password is compared with when nobody has the name, so that the time it takes
/// does not tell who has an account. It fits no password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$1sLXWWx3JnD3FgAvXQa4+w$XLRKapACU7iFjKn7b4dBylD3QQZ5NExFQ9aU/oilqjQ";

/// The account's name, if the password is right.
///
/// Hashing takes long, by intention: it has a thread of its own.
pub(crate) async fn authenticate(
    name: String,
    password: String,
) -> Result<Option<&'static str>, actix_web::error::BlockingError> {
    web::block(move || {
        let account = ACCOUNTS.iter().find(|account| account.name == name);
        let hash = account.map_or(NOBODY, |account| account.hash);
        let is_right = PasswordHash::new(hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        });
        account.filter(|_| is_right).map(|account| account.name)
    })
    .await
}
