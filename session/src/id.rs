//! The two names of a session: the [`SessionId`] that the client holds, and the [`StoreKey`] that
//! the store sees. The second follows from the first, never the first from the second.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// What the client holds: 256 bits from the operating system's generator, written as 43 canonical
/// base64url characters.
///
/// Whoever has it *is* the visitor, so `Debug` never prints it and there is no `Display`;
/// [`as_str`](Self::as_str) is the one way to the text. A `SessionId` in hand is well formed:
/// [`parse`](Self::parse) refuses everything else before any store is asked.
///
/// More than the 128 bits that ASVS 5.0 row 7.2.3 asks for, and nothing but random bits (OWASP
/// Session Management Cheat Sheet, "Session ID Content").
///
/// ```
/// use session::SessionId;
///
/// let id = SessionId::generate()?;
/// assert_eq!(SessionId::parse(id.as_str()), Some(id.clone()));
/// assert_eq!(format!("{id:?}"), "SessionId(…)");
/// assert_eq!(SessionId::parse("../../etc/passwd"), None);
/// # Ok::<(), session::GenerateError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// How many characters every id has.
    pub const LENGTH: usize = 43;

    /// A new id from the operating system's generator.
    ///
    /// # Errors
    ///
    /// When the generator fails. There is no weaker source to fall back on, by intention.
    pub fn generate() -> Result<Self, GenerateError> {
        let mut bytes = [0; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|source| GenerateError(Box::new(source)))?;
        Ok(SessionId(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// The id that `text` spells, or `None` when it spells none.
    ///
    /// Accepts exactly the texts that [`generate`](Self::generate) can give: 43 characters of the
    /// base64url alphabet, the last of which leaves no stray bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::LENGTH {
            return None;
        }
        let mut bytes = [0; 32];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => Some(SessionId(text.into())),
            _ => None,
        }
    }

    /// The text for the cookie. A secret: keep it out of logs, pages and addresses.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// The operating system's random generator failed, so no session id could be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct GenerateError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// What a store knows a session by: a hash of the id, as 64 lower-case hex digits.
///
/// SHA-256 over a fixed label, the cookie's name and the id. A stolen store therefore lets nobody
/// in, and an id that is good under one cookie's name is worthless under another's. The digits are
/// safe as a file name on every file system, case-insensitive ones included.
///
/// `Debug` prints none of it: a key in a log would let its reader recognise a session in a stolen
/// store.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey([u8; 64]);

impl StoreKey {
    /// The key under which the session `id` of the cookie `cookie_name` is stored.
    #[must_use]
    pub fn new(cookie_name: &str, id: &SessionId) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"session store key v1\0");
        // A cookie's name has no NUL (RFC 6265 §4.1.1: a token), so the parts cannot run together.
        hasher.update(cookie_name.as_bytes());
        hasher.update(b"\0");
        hasher.update(id.as_str().as_bytes());
        StoreKey(hex_digits(hasher.finalize().into()))
    }

    /// A key that is always the same.
    #[cfg(feature = "testing")]
    pub(crate) fn of_test() -> Self {
        StoreKey([b'0'; 64])
    }

    /// The key that `text` spells: exactly 64 digits of `0-9a-f`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; 64] = text.as_bytes().try_into().ok()?;
        is_hex(&digits).then_some(StoreKey(digits))
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Hex digits by construction, so the fallback is never seen.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The 64 hex digits as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(…)")
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether all of `text` is lower-case hex digits.
pub(crate) fn is_hex(text: &[u8]) -> bool {
    text.iter()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A hash as 64 lower-case hex digits.
pub(crate) fn hex_digits(hash: [u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 0xf)];
    }
    digits
}
