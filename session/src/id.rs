//! The names of a session: its [`SessionKey`], which is public, and the [`SessionToken`], which the
//! client holds and which proves that the session is its own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// How many bytes a key has, and how many a secret has.
const LENGTH: usize = 16;

/// Names a session for its whole life: in the store, in logs, and on a page such as "your devices".
///
/// 16 random bytes, written as 32 lower-case hex digits. A key is no secret: it opens nothing without
/// the other half of the [`SessionToken`]. It is safe as a file name on every file system, those that
/// ignore case included.
///
/// ```
/// use session::SessionKey;
///
/// let key: SessionKey = "00112233445566778899aabbccddeeff".parse()?;
/// assert_eq!(key.to_string(), "00112233445566778899aabbccddeeff");
/// assert!("../../etc/passwd".parse::<SessionKey>().is_err());
/// # Ok::<(), session::ParseKeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; LENGTH]);

impl SessionKey {
    /// The key that consists of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        SessionKey(bytes)
    }

    /// The bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The 32 hex digits, as bytes.
    pub(crate) fn digits(&self) -> [u8; 2 * LENGTH] {
        let mut digits = [0; 2 * LENGTH];
        write_hex(&self.0, &mut digits);
        digits
    }
}

impl std::str::FromStr for SessionKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let digits: &[u8; 2 * LENGTH] = text.as_bytes().try_into().map_err(|_| ParseKeyError)?;
        let mut bytes = [0; LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (hex_value(pair[0]).ok_or(ParseKeyError)? << 4)
                | hex_value(pair[1]).ok_or(ParseKeyError)?;
        }
        Ok(SessionKey(bytes))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hex digits by construction, so the fallback is never seen.
        f.pad(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

/// As its 32 hex digits: for the path of a "sign this device out" form, for instance.
impl serde::Serialize for SessionKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for SessionKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({self})")
    }
}

/// The text is not a session key: a key is exactly 32 digits of `0-9a-f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session key is exactly 32 lower-case hex digits")]
pub struct ParseKeyError;

/// What the client holds: the key of its session and the secret that proves it.
///
/// 32 bytes, written as 43 characters of base64url, of which 128 bits are secret and random (ASVS 5.0
/// row 7.2.3) and nothing has a meaning (OWASP Session Management Cheat Sheet, "Session ID Content").
/// The holder of a token acts as the visitor, so `Debug` never prints the secret and there is no `Display`;
/// [`expose`](Self::expose) is the one way to the text.
///
/// ```
/// use session::SessionToken;
///
/// let token = SessionToken::generate()?;
/// assert_eq!(SessionToken::parse(&token.expose()), Some(token.clone()));
/// assert!(!format!("{token:?}").contains(&token.expose()));
/// assert_eq!(SessionToken::parse("../../etc/passwd"), None);
/// # Ok::<(), session::GenerateError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken {
    pub(crate) key: SessionKey,
    pub(crate) secret: Secret,
}

impl SessionToken {
    /// How many characters the text of every token has.
    pub const LENGTH: usize = 43;

    /// A new key and a new secret from the operating system's generator.
    ///
    /// # Errors
    ///
    /// When the generator fails. There is no weaker source to fall back on, by intention.
    pub fn generate() -> Result<Self, GenerateError> {
        let bytes: [u8; 2 * LENGTH] = random()?;
        Ok(SessionToken::from_bytes(bytes))
    }

    /// The token that `text` spells, or `None` when it spells none.
    ///
    /// Accepts exactly the texts that [`generate`](Self::generate) can give: 43 characters of the
    /// base64url alphabet, the last of which leaves no stray bits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        SessionToken::parse_bytes(text.as_bytes())
    }

    pub(crate) fn parse_bytes(text: &[u8]) -> Option<Self> {
        if text.len() != Self::LENGTH {
            return None;
        }
        let mut bytes = [0; 2 * LENGTH];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(32) => Some(SessionToken::from_bytes(bytes)),
            _ => None,
        }
    }

    /// The key, which is public.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The text for the cookie. A secret: keep it out of logs, pages and addresses.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut bytes = [0; 2 * LENGTH];
        bytes[..LENGTH].copy_from_slice(&self.key.0);
        bytes[LENGTH..].copy_from_slice(&self.secret.0);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn from_bytes(bytes: [u8; 2 * LENGTH]) -> Self {
        let (mut key, mut secret) = ([0; LENGTH], [0; LENGTH]);
        key.copy_from_slice(&bytes[..LENGTH]);
        secret.copy_from_slice(&bytes[LENGTH..]);
        SessionToken {
            key: SessionKey(key),
            secret: Secret(secret),
        }
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionToken({}, …)", self.key)
    }
}

/// The half of a token that proves a session: 16 bytes of the operating system's generator.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; LENGTH]);

impl Secret {
    pub(crate) fn generate() -> Result<Self, GenerateError> {
        random().map(Secret)
    }

    /// What a record keeps of this secret of the session `key` under the cookie `cookie_name`.
    ///
    /// A stolen store lets nobody in, and a secret is worthless for another key or another cookie.
    pub(crate) fn proof(&self, cookie_name: &str, key: &SessionKey) -> Proof {
        let mut hasher = Sha256::new();
        hasher.update(b"session proof v1\0");
        // A cookie's name has no NUL (RFC 6265 §4.1.1: a token), and what follows has a fixed length, so
        // the parts cannot run together.
        hasher.update(cookie_name.as_bytes());
        hasher.update(b"\0");
        hasher.update(key.0);
        hasher.update(self.0);
        Proof(hasher.finalize().into())
    }
}

/// A hash of the secret that is good for a session: what its record keeps in the secret's place.
///
/// Made by the library and kept by stores; no way leads from it to the secret. Compared in constant
/// time.
#[derive(Clone, Copy, Eq)]
pub struct Proof(pub(crate) [u8; Proof::LENGTH]);

impl Proof {
    pub(crate) const LENGTH: usize = 32;
}

impl PartialEq for Proof {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |differences, (one, other)| differences | (one ^ other)) == 0
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof(…)")
    }
}

/// The number by which a record knows that a save was applied to it already.
pub(crate) fn save_number() -> Result<u64, GenerateError> {
    random().map(u64::from_be_bytes)
}

fn random<const N: usize>() -> Result<[u8; N], GenerateError> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|source| GenerateError(Box::new(source)))?;
    Ok(bytes)
}

/// The operating system's random generator failed, so no session token could be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct GenerateError(#[source] Box<dyn std::error::Error + Send + Sync>);

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` as lower-case hex digits, two for each, as far as both reach.
pub(crate) fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 0xf)];
    }
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_text_and_nothing_else_is() {
        let token = SessionToken::generate().unwrap();
        let text = token.expose();
        assert_eq!(text.len(), SessionToken::LENGTH);
        assert_eq!(SessionToken::parse(&text), Some(token.clone()));
        for wrong in [
            &text[1..],
            &format!("{text}A"),
            &text.replace(|_| true, "*"),
        ] {
            assert_eq!(SessionToken::parse(wrong), None);
        }
        // The last of 43 characters carries four bits: a character with stray bits is another spelling.
        let stray = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB";
        assert_eq!(SessionToken::parse(stray), None);
        assert!(!format!("{token:?}").contains(&text[24..]));
    }

    #[test]
    fn a_proof_is_of_one_secret_one_key_and_one_cookie() {
        let (one, other) = (
            SessionToken::generate().unwrap(),
            SessionToken::generate().unwrap(),
        );
        let proof = one.secret.proof("id", &one.key);
        assert_eq!(proof, one.secret.proof("id", &one.key));
        assert_ne!(proof, one.secret.proof("prefs", &one.key));
        assert_ne!(proof, one.secret.proof("id", &other.key));
        assert_ne!(proof, other.secret.proof("id", &one.key));
        assert_eq!(format!("{proof:?}"), "Proof(…)");
    }

    #[test]
    fn a_key_is_thirty_two_lower_case_hex_digits() {
        let key = SessionToken::generate().unwrap().key();
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        for wrong in [
            text.to_uppercase() + "g",
            text.replace(|_| true, "G"),
            text[1..].into(),
        ] {
            assert_eq!(wrong.parse::<SessionKey>(), Err(ParseKeyError));
        }
    }
}
