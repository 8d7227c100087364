//! The filesystem store on real files: whose they are, what may be among them, and what happens to
//! what cannot be read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use session::{
    CreateOutcome, Decision, DecodeError, DeleteOutcome, Durability, FilesystemStore, OpenError,
    Record, RecordUpdate, Revision, SessionKey, SessionStore as _, SessionToken, StoreError,
    Timestamp, UpdateOutcome, minutes,
};

fn key() -> SessionKey {
    SessionToken::generate().expect("a token").key()
}

fn record(value: u8) -> Record {
    let now = Timestamp::from_millis(1_767_225_600_000);
    let mut record = Record::new(now, now + minutes(30));
    record.fields.set("value", &[value & 0x7f]);
    record
}

/// A store, its folder, and what keeps that alive.
fn store() -> (tempfile::TempDir, PathBuf, FilesystemStore) {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::open(&path).expect("a store");
    (kept, path, store)
}

fn file(path: &Path, key: &SessionKey) -> PathBuf {
    path.join(format!("{key}.session"))
}

/// What the unreadable records in the folder hold.
fn quarantined(path: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(path).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_quarantined = |path: &PathBuf| path.to_string_lossy().contains(".session.unreadable");
    let read = |path: PathBuf| fs::read(path).expect("readable");
    paths.filter(is_quarantined).map(read).collect()
}

/// Removes what has expired at `now`; gives how many sessions that are.
async fn sweep(store: &FilesystemStore, now: Timestamp) -> usize {
    store.take_expired(now, 1000).await.expect("swept").len()
}

/// Nobody but the owner can read anything, whatever the umask.
#[tokio::test]
async fn nobody_else_can_read_anything() {
    if std::env::var_os("UMASK_CHILD").is_some() {
        let path = PathBuf::from(std::env::var_os("UMASK_CHILD").expect("set"));
        let store = FilesystemStore::open(&path).expect("a store");
        for value in 0..20 {
            let key = key();
            let created = store.create(&key, &record(value)).await;
            assert_eq!(created.expect("created"), CreateOutcome::Created);
            fs::write(file(&path, &key).with_extension("bad"), b"").expect("a foreign file");
            fs::set_permissions(
                file(&path, &key).with_extension("bad"),
                fs::Permissions::from_mode(0o600),
            )
            .expect("its mode");
        }
        let broken = key();
        fs::write(file(&path, &broken), b"rubbish").expect("written");
        fs::set_permissions(file(&path, &broken), fs::Permissions::from_mode(0o600)).expect("mode");
        assert!(store.load(&broken).await.is_err());
        return;
    }
    for umask in ["000", "022", "077"] {
        let kept = tempfile::tempdir().expect("a folder");
        let path = kept.path().join("a/b/sessions");
        let this = std::env::current_exe().expect("this test");
        let status = Command::new("sh")
            .args([
                "-c",
                &format!("umask {umask}; exec \"$0\" --exact nobody_else_can_read_anything -q"),
            ])
            .arg(&this)
            .env("UMASK_CHILD", &path)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("sh runs");
        assert!(status.success(), "umask {umask}");
        let mut seen = 0;
        for entry in walk(&path) {
            let mode = fs::symlink_metadata(&entry).expect("there").mode();
            assert_eq!(mode & 0o077, 0, "umask {umask}: {}", entry.display());
            seen += 1;
        }
        assert!(seen > 100, "{seen}");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o700);
        // The folders that were made on the way there, too.
        assert_eq!(
            fs::metadata(kept.path().join("a")).expect("there").mode() & 0o077,
            0
        );
    }
}

/// Not for a moment either: whatever is there while ten thousand records are saved was
/// made with its final mode.
#[tokio::test]
async fn nothing_is_readable_by_others_for_a_moment() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::builder(&path)
        .durability(Durability::Relaxed)
        .open()
        .expect("a store");
    let (is_done, seen) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let watch = {
        let (path, is_done, seen) = (path.clone(), Arc::clone(&is_done), Arc::clone(&seen));
        std::thread::spawn(move || {
            while !is_done.load(Ordering::SeqCst) {
                for entry in fs::read_dir(&path).expect("the folder") {
                    let entry = entry.expect("an entry").path();
                    // It may be gone again.
                    let Ok(found) = fs::symlink_metadata(&entry) else {
                        continue;
                    };
                    assert_eq!(found.mode() & 0o077, 0, "{}", entry.display());
                    let is_temporary = entry.extension().is_some_and(|end| end == "tmp");
                    seen.fetch_add(usize::from(is_temporary), Ordering::SeqCst);
                }
            }
        })
    };
    let keys: Vec<SessionKey> = (0..10).map(|_| key()).collect();
    for key in &keys {
        let created = store.create(key, &record(1)).await;
        assert_eq!(created.expect("created"), CreateOutcome::Created);
    }
    let mut revision = Revision::FIRST;
    // Ten thousand saves, and as many more as it takes to have seen some of them half way.
    for round in 0..100_000 {
        if watch.is_finished() || round >= 1000 && seen.load(Ordering::SeqCst) >= 10 {
            break;
        }
        for key in &keys {
            let mut next = record(2);
            next.revision = revision.next();
            let swapped = store.update(key, &next, revision).await;
            assert_eq!(swapped.expect("updated"), UpdateOutcome::Updated);
        }
        revision = revision.next();
    }
    is_done.store(true, Ordering::SeqCst);
    watch.join().expect("all were private");
    assert!(
        seen.load(Ordering::SeqCst) >= 10,
        "no temporary file was seen"
    );
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A folder that is not this user's alone is not opened, and nothing is made in it.
#[test]
fn a_folder_of_others_is_not_opened() {
    let kept = tempfile::tempdir().expect("a folder");
    for mode in [0o777, 0o750, 0o701, 0o1777, 0o2770] {
        let path = kept.path().join(format!("mode-{mode:o}"));
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        let error = FilesystemStore::open(&path).expect_err("opened");
        assert!(matches!(error, OpenError::Mode { .. }), "{error}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
        assert_eq!(fs::read_dir(&path).expect("there").count(), 0);
    }
    let real = kept.path().join("real");
    fs::create_dir(&real).expect("made");
    fs::set_permissions(&real, fs::Permissions::from_mode(0o700)).expect("its mode");
    let link = kept.path().join("link");
    symlink(&real, &link).expect("a link");
    for path in [link.clone(), link.join("")] {
        let error = FilesystemStore::open(&path).expect_err("opened");
        assert!(matches!(error, OpenError::Symlink { .. }), "{error}");
    }
    fs::write(kept.path().join("file"), b"").expect("a file");
    let error = FilesystemStore::open(kept.path().join("file")).expect_err("opened");
    assert!(matches!(error, OpenError::NotAFolder { .. }), "{error}");
    let error = FilesystemStore::open(std::env::temp_dir()).expect_err("opened");
    assert!(
        matches!(error, OpenError::Mode { .. } | OpenError::Owner { .. }),
        "{error}"
    );
    assert_eq!(fs::read_dir(&real).expect("there").count(), 0);
}

/// Nor is one that belongs to somebody else. Needs root to give one away.
#[test]
fn a_folder_that_belongs_to_somebody_else_is_not_opened() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("foreign");
    fs::create_dir(&path).expect("made");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its mode");
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        // Not root: such a folder cannot even be entered.
        return;
    }
    let error = FilesystemStore::open(&path).expect_err("opened");
    assert!(matches!(error, OpenError::Owner { .. }), "{error}");
}

/// The names and the mode of the files are checked when the store is opened, and used.
#[tokio::test]
async fn the_file_name_and_the_mode_are_checked_and_used() {
    let kept = tempfile::tempdir().expect("a folder");
    for bad in [
        "session",
        "{}{}",
        "../{}",
        "a/{}",
        "{}.tmp",
        ".{}",
        "{}.unreadable",
    ] {
        let error = FilesystemStore::builder(kept.path().join("x"))
            .file_name(bad)
            .open();
        assert!(matches!(error, Err(OpenError::FileName { .. })), "{bad}");
    }
    for bad in [0o000, 0o400, 0o200, 0o4600] {
        let error = FilesystemStore::builder(kept.path().join("x"))
            .mode(bad)
            .open();
        assert!(matches!(error, Err(OpenError::FileMode { .. })), "{bad:o}");
    }
    assert!(!kept.path().join("x").exists());
    let path = kept.path().join("good");
    let store = FilesystemStore::builder(&path)
        .file_name("visit-{}.mp")
        .mode(0o640)
        .open()
        .expect("a store");
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        CreateOutcome::Created
    );
    let file = path.join(format!("visit-{key}.mp"));
    assert_eq!(fs::metadata(file).expect("there").mode() & 0o777, 0o640);
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
    // A folder keeps the names that it was first opened with: neither store would see the other's sessions.
    let other = FilesystemStore::open(&path);
    assert!(matches!(other, Err(OpenError::OtherFileName { .. })));
}

/// A private folder in the temporary folder, checked like any other.
#[test]
fn in_temp_dir_is_private() {
    let kept = tempfile::tempdir().expect("a folder");
    if std::env::var_os("TEMP_CHILD").is_some() {
        FilesystemStore::in_temp_dir().expect("a store");
        return;
    }
    let run = |folder: &Path| {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "in_temp_dir_is_private", "-q"])
            .env("TEMP_CHILD", "1")
            .env("TMPDIR", folder)
            .output()
            .expect("it runs")
    };
    assert!(run(kept.path()).status.success());
    let made = fs::read_dir(kept.path())
        .expect("there")
        .next()
        .expect("one folder")
        .expect("an entry")
        .path();
    assert_eq!(fs::metadata(&made).expect("there").mode() & 0o777, 0o700);
    // Somebody was there first and put a link.
    fs::remove_dir_all(&made).expect("removed");
    symlink("/etc", &made).expect("a link");
    assert!(!run(kept.path()).status.success());
}

/// Puts something under a session's name.
type Plant<'a> = Box<dyn Fn(&Path) + 'a>;

/// Whatever is planted under a session's name, no link is followed, nothing blocks, no
/// foreign file is read, and the target stays as it is.
#[tokio::test]
async fn planted_objects_are_neither_followed_nor_read() {
    let (kept, path, store) = store();
    let target = kept.path().join("target");
    fs::write(&target, b"do not touch").expect("written");
    let plant: Vec<(&str, Plant<'_>)> = vec![
        (
            "a link",
            Box::new(|at| symlink(&target, at).expect("planted")),
        ),
        (
            "a link to a system file",
            Box::new(|at| symlink("/etc/passwd", at).expect("planted")),
        ),
        (
            "a dangling link",
            Box::new(|at| symlink("/nowhere", at).expect("planted")),
        ),
        (
            "a pipe",
            Box::new(|at| {
                assert!(
                    Command::new("mkfifo")
                        .arg(at)
                        .status()
                        .expect("mkfifo")
                        .success()
                );
            }),
        ),
        (
            "a socket",
            Box::new(|at| {
                // A socket's path may have 108 bytes, a session's name is longer: made, then moved.
                let short = std::env::temp_dir().join(format!("s{}", std::process::id()));
                let _ = fs::remove_file(&short);
                std::os::unix::net::UnixListener::bind(&short).expect("planted");
                if fs::rename(&short, at).is_err() {
                    // Another file system: a pipe serves as well.
                    fs::remove_file(&short).expect("removed");
                    assert!(
                        Command::new("mkfifo")
                            .arg(at)
                            .status()
                            .expect("mkfifo")
                            .success()
                    );
                }
            }),
        ),
        (
            "a folder",
            Box::new(|at| fs::create_dir(at).expect("planted")),
        ),
        (
            "a hard link",
            Box::new(|at| fs::hard_link(&target, at).expect("planted")),
        ),
    ];
    for (what, plant) in plant {
        let key = key();
        plant(&file(&path, &key));
        let created = store.create(&key, &record(1)).await.expect("answered");
        assert_eq!(created, CreateOutcome::Exists, "{what}");
        let loaded = store.load(&key).await;
        assert!(
            matches!(loaded, Err(StoreError::Unreadable(_))),
            "{what}: {loaded:?}"
        );
        // Quarantined: the name is free, and nothing went through to the target.
        assert_eq!(store.load(&key).await.expect("loaded"), None, "{what}");
        assert_eq!(
            store.create(&key, &record(1)).await.expect("created"),
            CreateOutcome::Created,
            "{what}"
        );
        assert_eq!(fs::read(&target).expect("there"), b"do not touch", "{what}");
    }
}

/// What is quarantined under one key in quick succession does not take each other's place. When there are a
/// hundred, the next one stays where it is, and is not written over either.
#[tokio::test]
async fn nothing_that_is_quarantined_is_lost_to_the_next() {
    let (_kept, path, store) = store();
    let key = key();
    let rubbish: Vec<Vec<u8>> = (0..100)
        .map(|n| format!("rubbish {n:03}").into_bytes())
        .collect();
    for bytes in &rubbish {
        fs::write(file(&path, &key), bytes).expect("written");
        assert!(store.load(&key).await.is_err());
    }
    let mut found = quarantined(&path);
    found.sort();
    assert!(found == rubbish, "{} of 100 are kept", found.len());
    fs::write(file(&path, &key), b"one more").expect("written");
    for _ in 0..2 {
        assert!(store.load(&key).await.is_err());
        let created = store.create(&key, &record(1)).await;
        assert_eq!(created.expect("answered"), CreateOutcome::Exists);
        assert_eq!(fs::read(file(&path, &key)).expect("there"), b"one more");
    }
}

/// A record is data. What other libraries store as a program to be run, a pickle here, is
/// bytes that cannot be read, and is quarantined.
#[tokio::test]
async fn a_pickle_is_not_run() {
    let (kept, path, store) = store();
    let key = key();
    let proof = kept.path().join("was-run");
    let pickle = format!("cos\nsystem\n(S'touch {}'\ntR.", proof.display());
    fs::write(file(&path, &key), &pickle).expect("written");
    let loaded = store.load(&key).await;
    assert!(
        matches!(loaded, Err(StoreError::Unreadable(_))),
        "{loaded:?}"
    );
    assert!(!proof.exists());
    assert_eq!(quarantined(&path), [pickle.into_bytes()]);
}

/// A record with a second name, as a backup by `cp -al` gives it, is read; a save leaves the bytes under the
/// second name as they were.
#[tokio::test]
async fn a_record_with_a_second_name_is_read_and_the_second_name_keeps_its_bytes() {
    let (kept, path, store) = store();
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        CreateOutcome::Created
    );
    let second = kept.path().join("second");
    fs::hard_link(file(&path, &key), &second).expect("linked");
    let bytes = fs::read(&second).expect("there");
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
    let mut revision = Revision::FIRST;
    for _ in 0..5 {
        let mut next = record(2);
        next.revision = revision.next();
        let updated = store.update(&key, &next, revision).await;
        assert_eq!(updated.expect("updated"), UpdateOutcome::Updated);
        revision = revision.next();
        let touched = store
            .touch(&key, next.last_seen + minutes(1), Timestamp::MAX, revision)
            .await;
        assert_eq!(touched.expect("touched"), UpdateOutcome::Updated);
        revision = revision.next();
        assert_eq!(fs::read(&second).expect("there"), bytes);
    }
    let deleted = store.delete(&key, None).await;
    assert_eq!(deleted.expect("deleted"), DeleteOutcome::Deleted);
    assert_eq!(fs::read(&second).expect("there"), bytes);
    assert_eq!(quarantined(&path).len(), 0);
}

/// A record that is cut short, zeroed, altered or another's is unreadable, and its
/// bytes are found in quarantine as they were.
#[tokio::test]
async fn what_cannot_be_read_is_quarantined_with_its_bytes() {
    let (_kept, path, store) = store();
    let (one, other) = (key(), key());
    for key in [&one, &other] {
        assert_eq!(
            store.create(key, &record(1)).await.expect("created"),
            CreateOutcome::Created
        );
    }
    let good = fs::read(file(&path, &one)).expect("there");
    let foreign = fs::read(file(&path, &other)).expect("there");
    let mut damaged: Vec<Vec<u8>> = vec![
        Vec::new(),
        vec![0; good.len()],
        good[..good.len() / 2].to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"x"].concat(),
        foreign,
        vec![0xff; 2 * 1024 * 1024],
    ];
    for bit in [0, 100, 333, good.len() * 8 - 1] {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damaged.push(flipped);
    }
    for bytes in &damaged {
        fs::write(file(&path, &one), bytes).expect("damaged");
        for _ in 0..2 {
            match store.load(&one).await {
                Err(StoreError::Unreadable(DecodeError::Unreadable)) => {}
                Ok(None) => break,
                other => panic!("{other:?}"),
            }
        }
        // Under the same key nothing is overwritten: a save that began before finds it gone.
        let updated = store.update(&one, &record(2), Revision::FIRST).await;
        assert_eq!(updated.expect("answered"), UpdateOutcome::Missing);
        assert!(
            quarantined(&path).contains(bytes),
            "{} bytes are lost",
            bytes.len()
        );
    }
    assert_eq!(quarantined(&path).len(), damaged.len());
    assert_eq!(store.load(&other).await.expect("loaded"), Some(record(1)));
}

/// Writers quarantine what they cannot read, too, rather than writing over it.
#[tokio::test]
async fn no_writer_writes_over_what_it_cannot_read() {
    let (_kept, path, store) = store();
    for operation in 0..4 {
        let key = key();
        let bytes = format!("not a record, number {operation}").into_bytes();
        fs::write(file(&path, &key), &bytes).expect("written");
        let unreadable = match operation {
            0 => store.update(&key, &record(1), Revision::FIRST).await.err(),
            1 => {
                let change: RecordUpdate = Arc::new(|current| Decision::Replace(current.clone()));
                store.modify(&key, Some(&record(1)), &change).await.err()
            }
            2 => store
                .touch(&key, Timestamp::MAX, Timestamp::MAX, Revision::FIRST)
                .await
                .err(),
            _ => store.delete(&key, Some(Revision::FIRST)).await.err(),
        };
        assert!(
            matches!(unreadable, Some(StoreError::Unreadable(_))),
            "{operation}"
        );
        assert!(quarantined(&path).contains(&bytes), "{operation}");
    }
}

/// The sweep touches no file that the store did not make.
#[tokio::test]
async fn foreign_files_are_left_alone() {
    let (_kept, path, store) = store();
    let mut foreign: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for number in 0..66 {
        foreign.push((path.join(format!(".gitkeep{number}")), b"keep".to_vec()));
        foreign.push((path.join(format!("x{number}.tmp")), b"temporary".to_vec()));
    }
    foreign.push((
        path.join(format!(".{}.session.tmp", key())),
        b"no random part".to_vec(),
    ));
    foreign.push((path.join("README"), b"read".to_vec()));
    for (path, bytes) in &foreign {
        fs::write(path, bytes).expect("written");
    }
    let expired = key();
    assert_eq!(
        store.create(&expired, &record(1)).await.expect("created"),
        CreateOutcome::Created
    );
    assert_eq!(sweep(&store, Timestamp::MAX).await, 1);
    for (path, bytes) in &foreign {
        assert_eq!(&fs::read(path).expect("still there"), bytes);
    }
    let page = store.list(None, 100).await.expect("listed");
    assert_eq!((page.sessions.len(), page.unreadable.len()), (0, 0));
}

/// No file is made by a read, or by an empty session; lock files are made once.
#[tokio::test]
async fn reading_makes_no_file() {
    let (_kept, path, store) = store();
    let before = walk(&path).len();
    for _ in 0..100 {
        assert_eq!(store.load(&key()).await.expect("loaded"), None);
        let touched = store
            .touch(&key(), Timestamp::MAX, Timestamp::MAX, Revision::FIRST)
            .await;
        assert_eq!(touched.expect("answered"), UpdateOutcome::Missing);
        assert_eq!(
            store.delete(&key(), None).await.expect("answered"),
            DeleteOutcome::Missing
        );
    }
    assert_eq!(walk(&path).len(), before);
}

/// No operation leaves a handle open, those that fail neither.
#[tokio::test]
async fn no_handle_is_left_open() {
    let (_kept, path, store) = store();
    let open = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let work = async |rounds: u32| {
        for _ in 0..rounds {
            let key = key();
            assert_eq!(
                store.create(&key, &record(1)).await.expect("created"),
                CreateOutcome::Created
            );
            assert_eq!(
                store.create(&key, &record(1)).await.expect("answered"),
                CreateOutcome::Exists
            );
            let updated = store.update(&key, &record(2), record(1).revision).await;
            assert_eq!(updated.expect("updated"), UpdateOutcome::Updated);
            fs::write(file(&path, &key), b"rubbish").expect("written");
            assert!(store.load(&key).await.is_err());
            let _ = store.list(None, 10).await.expect("listed");
            assert_eq!(
                store.delete(&key, None).await.expect("answered"),
                DeleteOutcome::Missing
            );
        }
    };
    work(5).await;
    let before = open();
    work(200).await;
    // Other tests of this process open files of their own meanwhile.
    assert!(open() < before + 150, "{} handles, {before} before", open());
}

/// The folder stays the store's whatever is done to its path: everything is relative to what was
/// opened.
#[tokio::test]
async fn a_folder_that_is_moved_is_still_the_store() {
    let (kept, path, store) = store();
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        CreateOutcome::Created
    );
    fs::rename(&path, kept.path().join("moved")).expect("moved");
    symlink("/etc", &path).expect("a link in its place");
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
    let updated = store.update(&key, &record(2), record(1).revision).await;
    assert_eq!(updated.expect("updated"), UpdateOutcome::Updated);
}
