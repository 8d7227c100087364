//! The names of the store's files. Each is made of a session's key or of the hash of an owner, never of
//! bytes that a client chose.

use sha2::{Digest as _, Sha256};

use crate::SessionKey;
use crate::id::write_hex;

/// Stands for the session's key in the setting `file_name`.
const PLACE: &str = "{}";

/// The name of a temporary file begins with a dot, as no session's file does, and ends so.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// How many random hex digits the name of a temporary file has.
const RANDOM_DIGITS: usize = 16;

/// The name of a quarantined record is the record's name and this, and perhaps a number.
const QUARANTINED_SUFFIX: &str = ".unreadable";

/// The longest setting that leaves room for a key and for either suffix within the 255 bytes that
/// a file name may have.
const MAX_LENGTH: usize = 120;

/// How the store's files are named.
#[derive(Debug, Clone)]
pub(super) struct FileNames {
    prefix: String,
    suffix: String,
}

/// What a file in the store's folder is, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Record(SessionKey),
    Temporary {
        key: SessionKey,
        name: String,
    },
    Quarantined {
        name: String,
    },
    /// Not a file of the store.
    Foreign,
}

impl FileNames {
    /// `None` when `file_name` cannot name the files of a store.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (prefix, suffix) = file_name.split_once(PLACE)?;
        let is_good = !suffix.contains(PLACE)
            && !file_name.contains(['/', '\\'])
            && !file_name.contains(char::is_control)
            && !file_name.starts_with('.')
            && !file_name.ends_with(TEMPORARY_SUFFIX)
            && !file_name.ends_with(QUARANTINED_SUFFIX)
            && file_name.len() <= MAX_LENGTH;
        is_good.then(|| FileNames {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        })
    }

    pub(super) fn record(&self, key: &SessionKey) -> String {
        format!("{}{key}{}", self.prefix, self.suffix)
    }

    pub(super) fn temporary(&self, key: &SessionKey, random: u64) -> String {
        let record = self.record(key);
        format!(".{record}.{random:016x}{TEMPORARY_SUFFIX}")
    }

    /// The name for the record under `key` when it is quarantined for the time `number`, counted from 1.
    pub(super) fn quarantined(&self, key: &SessionKey, number: u32) -> String {
        let record = self.record(key);
        match number {
            1 => format!("{record}{QUARANTINED_SUFFIX}"),
            _ => format!("{record}{QUARANTINED_SUFFIX}.{number}"),
        }
    }

    pub(super) fn named(&self, name: &[u8]) -> Named {
        let Ok(name) = std::str::from_utf8(name) else {
            return Named::Foreign;
        };
        if let Some(key) = self.key(name) {
            return Named::Record(key);
        }
        if let Some(key) = self.temporary_key(name) {
            let name = name.to_owned();
            return Named::Temporary { key, name };
        }
        if self.is_quarantined(name) {
            let name = name.to_owned();
            return Named::Quarantined { name };
        }
        Named::Foreign
    }

    fn key(&self, name: &str) -> Option<SessionKey> {
        let digits = name
            .strip_prefix(self.prefix.as_str())?
            .strip_suffix(self.suffix.as_str())?;
        digits.parse().ok()
    }

    fn temporary_key(&self, name: &str) -> Option<SessionKey> {
        let name = name.strip_prefix('.')?.strip_suffix(TEMPORARY_SUFFIX)?;
        let (record, random) = name.rsplit_once('.')?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_random = random.len() == RANDOM_DIGITS && random.bytes().all(is_hex);
        is_random.then(|| self.key(record))?
    }

    fn is_quarantined(&self, name: &str) -> bool {
        let name = match name.rsplit_once('.') {
            Some((name, number)) if number.parse::<u32>().is_ok() => name,
            _ => name,
        };
        let record = name.strip_suffix(QUARANTINED_SUFFIX);
        record.is_some_and(|record| self.key(record).is_some())
    }
}

/// The name of an owner's folder in the index: a hash, as an owner may be any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnerName(String);

impl OwnerName {
    pub(super) fn new(owner: &str) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"session owner v1\0");
        hasher.update(owner.as_bytes());
        let mut digits = [0; 64];
        write_hex(&hasher.finalize(), &mut digits);
        OwnerName(String::from_utf8_lossy(&digits).into_owned())
    }

    /// `None` when `name` is not the name of an owner's folder.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_hash = name.len() == 64 && name.iter().all(is_hex);
        is_hash.then(|| OwnerName(String::from_utf8_lossy(name).into_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key that a file of the index is named by.
pub(super) fn index_key(name: &[u8]) -> Option<SessionKey> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_name_has_exactly_one_place_for_the_key() {
        for good in ["{}.session", "{}", "visit-{}", "a{}b", "{}.{x}"] {
            assert!(FileNames::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "session",
            "%s.session",
            "{}{}",
            "{}/{}",
            "../{}",
            "a/{}",
            "{}\\",
            "{}\0",
            "{}\n",
            ".{}",
            "{}.tmp",
            "{}.unreadable",
            "{}.{}.session",
        ] {
            assert!(FileNames::parse(bad).is_none(), "{bad:?}");
        }
        assert!(FileNames::parse(&format!("{{}}{}", "x".repeat(200))).is_none());
    }

    #[test]
    fn an_owner_has_a_name_of_hex_digits() {
        let name = OwnerName::new("../ada");
        assert_eq!(name.as_str().len(), 64);
        assert_eq!(OwnerName::parse(name.as_str().as_bytes()), Some(name));
        assert_eq!(OwnerName::parse(b"complete"), None);
    }

    proptest! {
        /// A file's name is the key's digits in the setting and nothing else.
        #[test]
        fn a_name_leads_back_to_the_key(bytes: [u8; 16], random: u64, number in 1..1000u32) {
            let key = SessionKey::from_bytes(bytes);
            for file_name in ["{}.session", "{}"] {
                let names = FileNames::parse(file_name).unwrap();
                let name = names.record(&key);
                prop_assert_eq!(&name, &file_name.replace(PLACE, &key.to_string()));
                prop_assert_eq!(names.named(name.as_bytes()), Named::Record(key));
                let name = names.temporary(&key, random);
                let named = names.named(name.as_bytes());
                prop_assert_eq!(named, Named::Temporary { key, name });
                let name = names.quarantined(&key, number);
                let named = names.named(name.as_bytes());
                prop_assert_eq!(named, Named::Quarantined { name });
            }
        }

        #[test]
        fn other_names_are_foreign(name in proptest::collection::vec(any::<u8>(), 0..90)) {
            let names = FileNames::parse("{}.session").unwrap();
            prop_assert_eq!(names.named(&name), Named::Foreign);
        }
    }
}
