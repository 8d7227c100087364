//! The names of the store's files. All of them are made of a key's hex digits, never of what a client
//! sent.

use crate::StoreKey;
use crate::id::is_hex;

/// Temporary files begin with a dot, which no session's file does, and end so.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// How many random hex digits the name of a temporary file has.
const RANDOM_DIGITS: usize = 16;

/// The longest template, which leaves room for a key and the marks of a temporary file within the
/// 255 bytes that a file name may have.
const MAX_TEMPLATE_LENGTH: usize = 120;

#[derive(Debug, Clone)]
pub(super) struct Template {
    prefix: String,
    suffix: String,
}

/// What a file in the store's folder is, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Record(StoreKey),
    Temporary { key: StoreKey, name: String },
    Foreign,
}

impl Template {
    /// `None` when `template` cannot name files of the store.
    pub(super) fn parse(template: &str) -> Option<Self> {
        let (prefix, suffix) = template.split_once("%s")?;
        let is_good = !suffix.contains("%s")
            && !template.contains(['/', '\\', '\0'])
            && !template.starts_with('.')
            && !template.ends_with(TEMPORARY_SUFFIX)
            && template.len() <= MAX_TEMPLATE_LENGTH;
        is_good.then(|| Template {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
        })
    }

    pub(super) fn record(&self, key: &StoreKey) -> String {
        [&self.prefix, key.as_str(), &self.suffix].concat()
    }

    pub(super) fn temporary(&self, key: &StoreKey, random: u64) -> String {
        let (record, random) = (self.record(key), format!("{random:016x}"));
        [".", &record, ".", &random, TEMPORARY_SUFFIX].concat()
    }

    pub(super) fn named(&self, name: &[u8]) -> Named {
        let Ok(name) = std::str::from_utf8(name) else {
            return Named::Foreign;
        };
        if let Some(key) = self.key(name) {
            return Named::Record(key);
        }
        let temporary = name
            .strip_prefix('.')
            .and_then(|name| name.strip_suffix(TEMPORARY_SUFFIX))
            .and_then(|name| name.rsplit_once('.'))
            .filter(|(_, random)| random.len() == RANDOM_DIGITS && is_hex(random.as_bytes()))
            .and_then(|(record, _)| self.key(record));
        temporary.map_or(Named::Foreign, |key| Named::Temporary {
            key,
            name: name.to_owned(),
        })
    }

    fn key(&self, name: &str) -> Option<StoreKey> {
        let digits = name
            .strip_prefix(self.prefix.as_str())?
            .strip_suffix(self.suffix.as_str())?;
        StoreKey::parse(digits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SessionId;

    #[test]
    fn a_template_has_exactly_one_place_for_the_key() {
        for good in ["%s.session", "%s", "visit-%s", "a%sb"] {
            assert!(Template::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "session",
            "%s%s",
            "%s/%s",
            "../%s",
            "a/%s",
            "%s\\",
            "%s\0",
            ".%s",
            "%s.tmp",
            "%s.%s.session",
        ] {
            assert!(Template::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Template::parse(&format!("%s{}", "x".repeat(200))).is_none());
    }

    proptest! {
        /// FS-5 [gate]: a file's name is the key's digits in the template and nothing else.
        #[test]
        fn a_name_is_hex_digits_in_the_template(random: u64) {
            let template = Template::parse("%s.session").unwrap();
            let key = StoreKey::new("id", &SessionId::generate().unwrap());
            let name = template.record(&key);
            prop_assert!(is_hex(&name.as_bytes()[..64]));
            prop_assert_eq!(&name[64..], ".session");
            prop_assert_eq!(template.named(name.as_bytes()), Named::Record(key.clone()));
            let temporary = template.temporary(&key, random);
            let named = template.named(temporary.as_bytes());
            prop_assert_eq!(named, Named::Temporary { key, name: temporary });
        }

        #[test]
        fn other_names_are_foreign(name in proptest::collection::vec(any::<u8>(), 0..90)) {
            let template = Template::parse("%s.session").unwrap();
            prop_assert_eq!(template.named(&name), Named::Foreign);
        }
    }
}
