//! Opening a folder, and what errors mean.

use std::io;

use super::super::error::{OpenError, store_error};
use super::*;
use crate::store::FilesystemStore;

#[test]
fn a_folder_with_other_file_names_is_not_opened() {
    let folder = TestFolder::new();
    let (key, store) = (key(), folder.operations());
    let record = owned(&record(1), "ada");
    assert_eq!(store.create(&key, &record).unwrap(), CreateOutcome::Created);
    let error = folder.builder().file_name("{}.visit").open().unwrap_err();
    assert!(matches!(error, OpenError::OtherFileName { .. }));
    let text = error.to_string();
    for part in ["{}.session", "{}.visit", &folder.0.display().to_string()] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(folder.operations().keys_of("ada"), [key]);
    drop(store);
    assert_eq!(
        std::fs::read(folder.path("file-name")).unwrap(),
        b"{}.session\n"
    );
    // Any other name is as good, for a folder of its own.
    let other = TestFolder::new();
    for _ in 0..2 {
        assert!(other.builder().file_name("{}.visit").open().is_ok());
    }
    assert!(other.builder().open().is_err());
}

#[test]
fn a_setting_that_cannot_name_files_is_refused() {
    let folder = TestFolder::new();
    let error = folder.builder().file_name("%s.session").open().unwrap_err();
    assert!(matches!(error, OpenError::FileName { .. }));
    assert!(error.to_string().contains("exactly one `{}`"), "{error}");
    assert!(!folder.0.exists());
}

#[test]
fn a_folder_that_admits_other_users_is_not_opened() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = TestFolder::new();
    std::fs::create_dir(&folder.0).unwrap();
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = FilesystemStore::open(&folder.0).unwrap_err();
    let text = error.to_string();
    assert_eq!(format!("{error:?}"), text, "what `main` prints");
    assert!(
        text.contains("mode 755") && text.contains("chmod 700"),
        "{text}"
    );
}

/// A folder that was restored from a backup of the records alone.
#[test]
fn the_index_of_a_folder_without_one_is_built() {
    let (folder, key) = (TestFolder::new(), key());
    let record = owned(&record(1), "ada");
    let created = folder.operations().create(&key, &record).unwrap();
    assert_eq!(created, CreateOutcome::Created);
    std::fs::remove_dir_all(folder.path("owners")).unwrap();
    assert_eq!(folder.operations().keys_of("ada"), [key]);
}

/// A client is told to try again later only when that can help.
#[test]
fn only_what_heals_by_itself_is_temporary() {
    use io::ErrorKind as Kind;

    for kind in [
        Kind::PermissionDenied,
        Kind::ReadOnlyFilesystem,
        Kind::Other,
    ] {
        let error = store_error("save", kind.into());
        assert!(matches!(error, StoreError::Failed { .. }), "{kind}");
        assert!(!error.is_temporary(), "{kind}");
    }
    for kind in [Kind::StorageFull, Kind::TimedOut, Kind::OutOfMemory] {
        assert!(store_error("save", kind.into()).is_temporary(), "{kind}");
    }
    let (key, fs) = (key(), SimulatedFs::default());
    let store = simulated(&fs, Durability::Durable);
    assert_eq!(
        store.create(&key, &record(1)).unwrap(),
        CreateOutcome::Created
    );
    fs.state().forbidden.insert(store.0.names.record(&key));
    for error in [
        store.load(&key).unwrap_err(),
        store.save(&key, Record::clone).unwrap_err(),
    ] {
        assert_eq!(error.status(), 500, "{error}");
    }
}
