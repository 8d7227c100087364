//! Tokens that a form must send back, so that no other site can send it in the visitor's name.
//! `SameSite=Lax` is a second line of defence, not the first.

use rand::TryRng as _;
use rand::rngs::SysRng;
use serde::{Deserialize, Serialize};
use session::Session;
use subtle::ConstantTimeEq as _;

use crate::visit::Visit;

/// What the forms of one visit must send back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CsrfToken(String);

impl CsrfToken {
    fn generate() -> Result<Self, rand::rngs::SysError> {
        let mut bytes = [0; 16];
        SysRng.try_fill_bytes(&mut bytes)?;
        Ok(CsrfToken(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes as long for every `sent` of its length, so that time tells nothing about the token.
    pub(crate) fn is(&self, sent: &str) -> bool {
        self.0.as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

/// The visit's token, which is made for its first form.
pub(crate) fn token(session: &mut Session<Visit>) -> Result<CsrfToken, rand::rngs::SysError> {
    if let Some(token) = &session.csrf {
        return Ok(token.clone());
    }
    renew(session)
}

/// A new token: at a sign-in, as what was known before it must not be good after it.
pub(crate) fn renew(session: &mut Session<Visit>) -> Result<CsrfToken, rand::rngs::SysError> {
    let token = CsrfToken::generate()?;
    session.set_csrf(Some(token.clone()));
    Ok(token)
}
