//! Holds the stored form of a session type to what live sessions are stored in.

use std::fmt::Write as _;
use std::path::Path;

use crate::record::{Changes, Field, Fields, Record};
use crate::typed::{Companion as _, Reader, SessionData, Writer};
use crate::{SessionKey, Timestamp};

/// Set to `update`, it has the forms written anew.
const VARIABLE: &str = "SESSION_STORED_FORM";

/// Checks that this build still reads what is stored of sessions of the type `T`, as it is pinned in
/// the file at `path`, which is to be committed.
///
/// `fill` sets every field to something other than its default. The file is written when there is
/// none, and anew when the environment variable `SESSION_STORED_FORM` is `update`: do that when
/// sessions of the old form are no longer alive.
///
/// ```
/// use session::Session;
/// use session::testing::assert_stored_form;
///
/// #[derive(Debug, Default, Session)]
/// struct Visit {
///     user: Option<String>,
///     views: u64,
/// }
///
/// # let folder = std::env::temp_dir().join(format!("stored-form-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("visit.session");
/// # let _ = std::panic::catch_unwind(|| assert_stored_form::<Visit>(&path, |visit| {
/// #     visit.set_user(Some("ada".into()));
/// #     visit.set_views(7);
/// # }));
/// // let path = "tests/visit.session";
/// assert_stored_form::<Visit>(&path, |visit| {
///     visit.set_user(Some("ada".into()));
///     visit.set_views(7);
/// });
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
///
/// When a live session would lose a field, with the field's name and what to write; when there was no
/// file yet; when the file cannot be read or written.
#[track_caller]
#[expect(clippy::panic, reason = "an assertion fails by panicking")]
pub fn assert_stored_form<T: SessionData>(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut T::Tracked),
) {
    let path = path.as_ref();
    let bytes = encoded::<T>(fill).encode(&key());
    let wants_update = std::env::var_os(VARIABLE).is_some_and(|value| value == "update");
    let is_missing = !path.exists();
    if wants_update || is_missing {
        if let Err(error) = std::fs::write(path, bytes) {
            panic!("{} cannot be written: {error}", path.display());
        }
        assert!(
            !is_missing || wants_update,
            "the stored form of `{}` was not pinned yet: it is now, in {}; look at it, commit it, and \
             run the test again",
            std::any::type_name::<T>(),
            path.display(),
        );
        return;
    }
    let pinned = match std::fs::read(path) {
        Ok(pinned) => pinned,
        Err(error) => panic!("{} cannot be read: {error}", path.display()),
    };
    let pinned = match Record::decode(&key(), pinned) {
        Ok(pinned) => pinned,
        Err(error) => panic!("{} is no pinned form: {error}", path.display()),
    };
    let problems = problems::<T>(&pinned.fields);
    assert!(
        problems.is_empty(),
        "live sessions would not be read as they are by this `{}`:\n{problems}",
        std::any::type_name::<T>(),
    );
}

/// The key that every pinned form is encoded for.
fn key() -> SessionKey {
    SessionKey::from_bytes([0; 16])
}

fn encoded<T: SessionData>(fill: impl FnOnce(&mut T::Tracked)) -> Record {
    let nothing = Fields::default();
    let mut tracked = T::Tracked::decode(&mut Reader::new(&nothing, Timestamp::default()));
    fill(&mut tracked);
    for index in 0..T::Tracked::FIELDS.len() {
        tracked.changed_mut()[index / 64] |= 1 << (index % 64);
    }
    let mut changes = match T::Tracked::VERSION {
        Some(version) => version.initial(),
        None => Changes::default(),
    };
    tracked.encode_changes(&mut Writer::new(&mut changes, &nothing));
    let mut record = Record::new(Timestamp::default(), Timestamp::default());
    // Nothing was there before, so that nothing can be in conflict.
    let _ = changes.apply(&mut record.fields, Timestamp::default());
    record
}

/// What would be lost, a line each.
fn problems<T: SessionData>(pinned: &Fields) -> String {
    let mut problems = String::new();
    let (brought_up, migrated) = match T::Tracked::VERSION {
        Some(version) => version.migrate(T::Tracked::FIELDS, pinned),
        None => (None, Changes::default()),
    };
    let fields = brought_up.as_ref().unwrap_or(pinned);
    let reads = |name: &str| {
        let mut known = T::Tracked::FIELDS.iter();
        known.any(|field| field.names().any(|known| known == name))
    };
    for (name, _) in pinned.iter() {
        // What a migration reads is the migration's to keep.
        if !reads(name) && !name.ends_with("#version") && migrated.is_empty() {
            let _ = writeln!(
                problems,
                "- `{name}` is stored, and no field reads it. If the field was renamed, write \
                 `#[session(alias = \"{name}\")]` on what it is now; if it is gone for good, pin the \
                 new form with {VARIABLE}=update"
            );
        }
    }
    let mut reader = Reader::new(fields, Timestamp::default());
    T::Tracked::decode(&mut reader);
    for name in reader.undecodable() {
        let _ = writeln!(
            problems,
            "- what is stored in `{name}` is no value of the field's type any more: live sessions \
             would read it as the default. Write `#[session(migrate = function)]` on the field, with \
             a function from the type that it had"
        );
    }
    let is_pinned = |field: &&Field| fields.stored(field).is_some();
    for field in T::Tracked::FIELDS.iter().filter(|field| !is_pinned(field)) {
        let _ = writeln!(
            problems,
            "- `{}` is new, and is not pinned yet: pin the form with {VARIABLE}=update",
            field.name
        );
    }
    problems
}
