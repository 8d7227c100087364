//! Reading `Cookie` headers as the bytes they are.

/// How many distinct values of the session's cookie are looked at. A browser sends several when
/// they were set for different paths or domains; more than a few are an attack.
pub const MAX_CANDIDATES: usize = 4;

/// The values of one cookie in a request, see [`candidates`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidates<T> {
    /// The distinct well-formed ones, [`MAX_CANDIDATES`] at the most, in the order they came in,
    /// which says nothing about which is right (RFC 6265bis §4.2.2).
    pub values: Vec<T>,
    /// How many were not well formed.
    pub malformed: usize,
}

impl<T> Candidates<T> {
    /// No cookie at all.
    pub(crate) fn none() -> Self {
        Candidates {
            values: Vec::new(),
            malformed: 0,
        }
    }
}

/// Finds the cookie `name` in the values of a request's `Cookie` headers.
///
/// The headers are split at semicolons, space and tab are stripped around a pair, and the
/// name must equal `name` byte by byte: nothing is decoded, unquoted or trimmed in any other way. What
/// is foreign is skipped pair by pair, whatever bytes it is made of. `parse` says which values are
/// well formed.
///
/// Linear in the length of the headers; nothing is allocated for foreign cookies.
///
/// ```
/// use session::cookie::candidates;
///
/// let headers = [&b"theme=\xff; __Host-id=abc"[..]];
/// let found = candidates(headers, "__Host-id", |value| std::str::from_utf8(value).ok());
/// assert_eq!(found.values, ["abc"]);
/// ```
pub fn candidates<'a, T: PartialEq>(
    headers: impl IntoIterator<Item = &'a [u8]>,
    name: &str,
    mut parse: impl FnMut(&'a [u8]) -> Option<T>,
) -> Candidates<T> {
    let mut found = Candidates::none();
    for pair in headers
        .into_iter()
        .flat_map(|header| header.split(|byte| *byte == b';'))
    {
        let Some(value) = trimmed(pair)
            .strip_prefix(name.as_bytes())
            .and_then(|rest| rest.strip_prefix(b"="))
        else {
            continue;
        };
        if found.values.len() == MAX_CANDIDATES {
            break;
        }
        match parse(value) {
            Some(value) if found.values.contains(&value) => {}
            Some(value) => found.values.push(value),
            None => found.malformed += 1,
        }
    }
    found
}

/// Without the space and tab around it (RFC 6265bis §5.6), and with nothing else taken away.
fn trimmed(mut pair: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = pair {
        pair = rest;
    }
    pair
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SessionToken;

    const NAME: &str = "__Host-id";

    fn read(headers: &[&[u8]]) -> Candidates<SessionToken> {
        candidates(headers.iter().copied(), NAME, SessionToken::parse_bytes)
    }

    /// Nothing that merely looks like the name is the name.
    #[test]
    fn look_alikes_of_the_name_are_foreign() {
        let id = SessionToken::generate().unwrap();
        let id = id.expose();
        for look_alike in [
            "%5f%5fHost-id",
            "__Host-%69d",
            "\u{2000}__Host-id",
            "\u{85}__Host-id",
            "\u{a0}__Host-id",
            "__Host-id\u{2000}",
            "__Host-id\u{85}",
            "__Host-id\u{a0}",
            "\"__Host-id\"",
            "=__Host-id",
            "__host-id",
            "__Host-id ",
            "__Host-id\t",
            "\u{b}__Host-id",
            "$Version=1,__Host-id",
            "x__Host-id",
            "__Host-idx",
        ] {
            let found = read(&[format!("{look_alike}={id}").as_bytes()]);
            assert!(found.values.is_empty(), "{look_alike:?}");
            assert_eq!(found.malformed, 0, "{look_alike:?}");
        }
        for value in [
            format!("\"{id}\""),
            format!("={id}"),
            format!("{id}="),
            String::new(),
        ] {
            let found = read(&[format!("{NAME}={value}").as_bytes()]);
            assert!(found.values.is_empty(), "{value:?}");
            assert_eq!(found.malformed, 1, "{value:?}");
        }
        let spaced = format!(" \t{NAME}={id}\t ");
        assert_eq!(read(&[spaced.as_bytes()]).values.len(), 1);
    }

    /// Four distinct values are looked at, and the same value twice is one.
    #[test]
    fn four_distinct_values_are_looked_at() {
        let ids: Vec<SessionToken> = (0..9).map(|_| SessionToken::generate().unwrap()).collect();
        let header: Vec<String> = ids
            .iter()
            .flat_map(|id| [id, &ids[0]])
            .map(|id| format!("{NAME}={}", id.expose()))
            .collect();
        assert_eq!(read(&[header.join("; ").as_bytes()]).values, ids[..4]);
    }

    /// A flood of our own cookies is bounded work.
    #[test]
    fn a_flood_is_read_in_bounded_work() {
        let pair = format!("{NAME}={};", "x".repeat(43));
        let flood = pair.repeat(64 * 1024 / pair.len());
        let mut parsed = 0;
        let found = candidates([flood.as_bytes()], NAME, |value| {
            parsed += 1;
            Some(value.to_owned())
        });
        assert_eq!(found.values.len(), 1);
        let distinct: Vec<String> = (0..2000)
            .map(|number| format!("{NAME}={number:043}"))
            .collect();
        let distinct = distinct.join(";");
        let mut parsed_distinct = 0;
        let found = candidates([distinct.as_bytes()], NAME, |value| {
            parsed_distinct += 1;
            Some(value.to_owned())
        });
        assert_eq!(found.values.len(), MAX_CANDIDATES);
        assert_eq!(parsed_distinct, MAX_CANDIDATES);
        assert!(parsed <= flood.len() / pair.len());
    }

    proptest! {
        /// Wherever it stands, among whatever bytes, ours is found.
        #[test]
        fn ours_is_found_among_any_rubbish(
            before in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..20),
            after in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..20),
            split: bool,
        ) {
            let id = SessionToken::generate().unwrap();
            let ours = format!("{NAME}={}", id.expose());
            let before = before.join(&b"; "[..]);
            let after = after.join(&b"; "[..]);
            let found = if split {
                read(&[&before, ours.as_bytes(), &after])
            } else {
                read(&[&[&before[..], b"; ", ours.as_bytes(), b"; ", &after].concat()])
            };
            prop_assert_eq!(found.values, [id]);
        }

        #[test]
        fn no_bytes_make_it_panic(header in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&[&header]);
        }
    }
}
