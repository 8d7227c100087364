//! The filesystem store on real files: whose they are, what may be among them, and what happens to
//! what cannot be read.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use session::{
    Created, DecodeError, Durability, FilesystemStore, OpenError, Record, Revision, SessionId,
    SessionStore as _, StoreError, StoreKey, Swapped, Timestamp, minutes, seconds,
};

fn key() -> StoreKey {
    StoreKey::new("id", &SessionId::generate().expect("an id"))
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

fn file(path: &Path, key: &StoreKey) -> PathBuf {
    path.join(format!("{}.session", key.as_str()))
}

fn quarantined(path: &Path) -> Vec<Vec<u8>> {
    fs::read_dir(path.join("quarantine"))
        .expect("the quarantine")
        .map(|entry| fs::read(entry.expect("an entry").path()).expect("readable"))
        .collect()
}

/// FS-1 [gate]: nobody but the owner can read anything, whatever the umask.
#[tokio::test]
async fn nobody_else_can_read_anything() {
    if std::env::var_os("UMASK_CHILD").is_some() {
        let path = PathBuf::from(std::env::var_os("UMASK_CHILD").expect("set"));
        let store = FilesystemStore::open(&path).expect("a store");
        for value in 0..20 {
            let key = key();
            let created = store.create(&key, &record(value)).await;
            assert_eq!(created.expect("created"), Created::Done);
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

/// FS-1 [gate]: not for a moment either: whatever is there while ten thousand records are saved was
/// made with its final mode.
#[tokio::test]
async fn nothing_is_readable_by_others_for_a_moment() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::builder(&path)
        .durability(Durability::Process)
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
    let keys: Vec<StoreKey> = (0..10).map(|_| key()).collect();
    for key in &keys {
        let created = store.create(key, &record(1)).await;
        assert_eq!(created.expect("created"), Created::Done);
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
            assert_eq!(swapped.expect("updated"), Swapped::Done);
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

/// FS-2 [gate]: a folder that is not this user's alone is not opened, and nothing is made in it.
#[test]
fn a_folder_of_others_is_not_opened() {
    let kept = tempfile::tempdir().expect("a folder");
    for mode in [0o777, 0o750, 0o701, 0o1777, 0o2770] {
        let path = kept.path().join(format!("mode-{mode:o}"));
        fs::create_dir(&path).expect("made");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        let error = FilesystemStore::open(&path).expect_err("opened");
        assert!(matches!(error, OpenError::Mode { .. }), "{error}");
        assert!(error.to_string().contains("0700"), "{error}");
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

/// FS-2: nor is one that belongs to somebody else. Needs root to give one away.
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

/// SEED `filename_template` and `mode`: checked when the store is opened, and used.
#[tokio::test]
async fn the_template_and_the_mode_are_checked_and_used() {
    let kept = tempfile::tempdir().expect("a folder");
    for bad in ["session", "%s%s", "../%s", "a/%s", "%s.tmp", ".%s"] {
        let error = FilesystemStore::builder(kept.path().join("x"))
            .template(bad)
            .open();
        assert!(matches!(error, Err(OpenError::Template { .. })), "{bad}");
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
        .template("visit-%s.mp")
        .mode(0o640)
        .open()
        .expect("a store");
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        Created::Done
    );
    let file = path.join(format!("visit-{}.mp", key.as_str()));
    assert_eq!(fs::metadata(file).expect("there").mode() & 0o777, 0o640);
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
}

/// SEED `path=None`: a private folder in the temporary folder, checked like any other.
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

/// FS-4 [gate]: whatever is planted under a session's name, no link is followed, nothing blocks, no
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
        let started = Instant::now();
        let created = store.create(&key, &record(1)).await.expect("answered");
        assert_eq!(created, Created::Exists, "{what}");
        let loaded = store.load(&key).await;
        assert!(
            matches!(loaded, Err(StoreError::Unreadable(_))),
            "{what}: {loaded:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(1), "{what} blocked");
        // Set aside: the name is free, and nothing went through to the target.
        assert_eq!(store.load(&key).await.expect("loaded"), None, "{what}");
        assert_eq!(
            store.create(&key, &record(1)).await.expect("created"),
            Created::Done,
            "{what}"
        );
        assert_eq!(fs::read(&target).expect("there"), b"do not touch", "{what}");
    }
}

/// SR-4 [gate]: what is set aside under one key in quick succession does not take each other's place.
#[tokio::test]
async fn nothing_that_is_set_aside_is_lost_to_the_next() {
    let (_kept, path, store) = store();
    let key = key();
    let rubbish: Vec<Vec<u8>> = (0..300)
        .map(|n| format!("rubbish {n:03}").into_bytes())
        .collect();
    for bytes in &rubbish {
        fs::write(file(&path, &key), bytes).expect("written");
        assert!(store.load(&key).await.is_err());
    }
    let mut found = quarantined(&path);
    found.sort();
    assert_eq!(found, rubbish);
}

/// SR-1 [gate]: a record is data. What other libraries store as a program to be run, a pickle here, is
/// bytes that cannot be read, and is set aside.
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

/// FS-4 [gate]: a file that has a second name may be changed through that one: it is not believed,
/// even when it is a whole record.
#[tokio::test]
async fn a_record_with_a_second_name_is_not_read() {
    let (kept, path, store) = store();
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        Created::Done
    );
    let second = kept.path().join("second");
    fs::hard_link(file(&path, &key), &second).expect("linked");
    let loaded = store.load(&key).await;
    assert!(
        matches!(loaded, Err(StoreError::Unreadable(_))),
        "{loaded:?}"
    );
    assert!(!file(&path, &key).exists(), "it was left in its place");
    assert_eq!(quarantined(&path).len(), 1);
}

/// SR-3, SR-4 [gate]: a record that is cut short, zeroed, altered or another's is unreadable, and its
/// bytes are found in quarantine as they were.
#[tokio::test]
async fn what_cannot_be_read_is_set_aside_with_its_bytes() {
    let (_kept, path, store) = store();
    let (one, other) = (key(), key());
    for key in [&one, &other] {
        assert_eq!(
            store.create(key, &record(1)).await.expect("created"),
            Created::Done
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
        assert_eq!(updated.expect("answered"), Swapped::Gone);
        assert!(
            quarantined(&path).contains(bytes),
            "{} bytes are lost",
            bytes.len()
        );
    }
    assert_eq!(quarantined(&path).len(), damaged.len());
    assert_eq!(store.load(&other).await.expect("loaded"), Some(record(1)));
}

/// SR-4: writers set aside what they cannot read, too, rather than writing over it.
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
                let change: session::Change = std::sync::Arc::new(|current| Some(current.clone()));
                store.modify(&key, &record(1), &change).await.err()
            }
            2 => store
                .touch(&key, Timestamp::MAX, Timestamp::MAX)
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

/// SR-5: a record of a later version stays where it is, through reads, writes and sweeps.
#[tokio::test]
async fn a_newer_format_is_left_alone() {
    let (_kept, path, store) = store();
    let key = StoreKey::parse(&"0123456789abcdef".repeat(4)).expect("a key");
    let newer = include_bytes!("../../session/tests/golden/newer.session");
    fs::write(file(&path, &key), newer).expect("written");
    let is_newer = |error: Option<StoreError>| {
        matches!(
            error,
            Some(StoreError::Unreadable(DecodeError::NewerFormat {
                version: 2
            }))
        )
    };
    assert!(is_newer(store.load(&key).await.err()));
    assert!(is_newer(
        store.update(&key, &record(1), Revision::FIRST).await.err()
    ));
    assert_eq!(
        store.create(&key, &record(1)).await.expect("answered"),
        Created::Exists
    );
    assert_eq!(
        store.remove_expired(Timestamp::MAX).await.expect("swept"),
        0
    );
    assert_eq!(fs::read(file(&path, &key)).expect("there"), newer);
    assert!(quarantined(&path).is_empty());
}

/// FS-7 [gate]: the sweep touches no file that the store did not make.
#[tokio::test]
async fn foreign_files_are_left_alone() {
    let (_kept, path, store) = store();
    let mut foreign: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for number in 0..66 {
        foreign.push((path.join(format!(".gitkeep{number}")), b"keep".to_vec()));
        foreign.push((path.join(format!("x{number}.tmp")), b"temporary".to_vec()));
        // A session's name with other content: reported, and left where it is.
        foreign.push((file(&path, &key()), format!("mine {number}").into_bytes()));
    }
    foreign.push((
        path.join(format!(".{}.session.tmp", key().as_str())),
        b"no random part".to_vec(),
    ));
    foreign.push((path.join("README"), b"read".to_vec()));
    for (path, bytes) in &foreign {
        fs::write(path, bytes).expect("written");
    }
    let expired = key();
    assert_eq!(
        store.create(&expired, &record(1)).await.expect("created"),
        Created::Done
    );
    assert_eq!(
        store.remove_expired(Timestamp::MAX).await.expect("swept"),
        1
    );
    for (path, bytes) in &foreign {
        assert_eq!(&fs::read(path).expect("still there"), bytes);
    }
    let mut listing = store.list();
    let (mut readable, mut reported) = (0, 0);
    while let Some(session) = listing.next().await {
        match session {
            Ok(_) => readable += 1,
            Err(StoreError::Unreadable(_)) => reported += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((readable, reported), (0, 66));
}

/// FS-9: the quarantine is bounded in number and bytes; the newest stays.
#[tokio::test]
async fn the_quarantine_is_bounded() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::builder(&path)
        .quarantine_limits(5, 1000, minutes(60))
        .open()
        .expect("a store");
    for number in 0..12_u8 {
        let key = key();
        fs::write(file(&path, &key), vec![number; 100]).expect("written");
        assert!(store.load(&key).await.is_err());
        // Names in quarantine tell the time to the millisecond.
        std::thread::sleep(Duration::from_millis(3));
    }
    let now = Timestamp::from(std::time::SystemTime::now());
    store.remove_expired(now).await.expect("swept");
    let mut left = quarantined(&path);
    left.sort();
    assert_eq!(
        left,
        (7..12_u8)
            .map(|number| vec![number; 100])
            .collect::<Vec<_>>()
    );
    store
        .remove_expired(now + minutes(61))
        .await
        .expect("swept");
    assert_eq!(quarantined(&path), [vec![11; 100]], "the newest stays");
}

/// The names and contents of the files that are no records.
fn spares(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(path).expect("the folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let spares = paths.filter(|path| path.extension().is_some_and(|end| end == "tmp"));
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("read"));
    spares.map(read).collect()
}

/// A save writes over the file of an earlier one, where it may: nothing is left in it, it has the mode
/// that a new one would have, and it goes with the sweep or when the store does.
#[tokio::test]
async fn what_a_save_has_replaced_is_wiped_and_written_over() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    for (durability, count) in [
        (Durability::Atomic, 0),
        (Durability::Process, 1),
        (Durability::Durable, 1),
    ] {
        let open = |mode| {
            let builder = FilesystemStore::builder(&path).durability(durability);
            builder.mode(mode).open().expect("a store")
        };
        let (store, key) = (open(0o600), key());
        let mut revision = Revision::FIRST;
        assert_eq!(
            store.create(&key, &record(1)).await.expect("created"),
            Created::Done
        );
        let mut inodes = std::collections::BTreeSet::new();
        for round in 0..20_u8 {
            let mut next = record(round);
            // Longer and shorter ones.
            next.owner = Some("x".repeat(usize::from(round * 7 % 30)));
            next.revision = revision.next();
            let swapped = store.update(&key, &next, revision).await.expect("updated");
            assert_eq!(swapped, Swapped::Done);
            revision = revision.next();
            assert_eq!(store.load(&key).await.expect("loaded"), Some(next));
            inodes.insert(fs::metadata(file(&path, &key)).expect("there").ino());
            let spares = spares(&path);
            assert_eq!(spares.len(), count, "{durability:?}");
            assert!(
                spares
                    .iter()
                    .all(|(_, bytes)| bytes.iter().all(|byte| *byte == 0))
            );
            // Gone with a sweep, and the next save makes another one.
            if round == 10 {
                store
                    .remove_expired(Timestamp::default())
                    .await
                    .expect("swept");
                assert!(self::spares(&path).is_empty());
            }
        }
        if durability != Durability::Atomic {
            assert!(inodes.len() <= 4, "{durability:?}: {} files", inodes.len());
        }
        drop(store);
        assert!(spares(&path).is_empty(), "{durability:?}");

        // Whose files are to have another mode writes over none that has the old one.
        let store = open(0o640);
        for _ in 0..3 {
            let mut next = record(1);
            next.revision = revision.next();
            let swapped = store.update(&key, &next, revision).await.expect("updated");
            assert_eq!(swapped, Swapped::Done);
            revision = revision.next();
            let mode = fs::metadata(file(&path, &key)).expect("there").mode();
            assert_eq!(mode & 0o777, 0o640, "{durability:?}");
        }
    }
}

/// Readers, listings and sweeps, without a lock, beside writers whose files are written over by those of
/// other sessions: each sees whole records, its own ones, and never one that is older than it has seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_their_own_session_whole_while_files_are_written_over() {
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    // Each with its own spare files, as two processes have.
    let stores: Vec<FilesystemStore> = (0..2)
        .map(|_| {
            let builder = FilesystemStore::builder(&path).durability(Durability::Process);
            builder.open().expect("a store")
        })
        .collect();
    // Of one stripe, so that they share the spare file.
    let stripe = |key: &StoreKey| u8::from_str_radix(&key.as_str()[..2], 16).expect("hex") % 64;
    let keys: Vec<StoreKey> = std::iter::repeat_with(key)
        .filter(|key| stripe(key) == 7)
        .take(3)
        .collect();
    let of = |index: usize| record(u8::try_from(index).expect("small"));
    for (index, key) in keys.iter().enumerate() {
        let created = stores[0].create(key, &of(index)).await;
        assert_eq!(created.expect("created"), Created::Done);
    }
    let writers: Vec<_> = (0..keys.len() * stores.len())
        .map(|number| {
            let index = number % keys.len();
            let (store, key) = (stores[number % stores.len()].clone(), keys[index].clone());
            tokio::spawn(async move {
                let change: session::Change = Arc::new(|current: &Record| {
                    let mut next = current.clone();
                    next.revision = current.revision.next();
                    next.owner =
                        Some("x".repeat(usize::try_from(u64::from(next.revision) % 50).ok()?));
                    Some(next)
                });
                for _ in 0..2_000 {
                    let saved = store.modify(&key, &record(0), &change).await;
                    assert!(matches!(saved, Ok(session::Modified::Done(_))), "{saved:?}");
                }
            })
        })
        .collect();
    let mut seen = vec![Revision::FIRST; keys.len()];
    let (mut reads, mut rounds) = (0, 0);
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        for (index, key) in keys.iter().enumerate() {
            let loaded = stores[0].load(key).await.expect("readable").expect("there");
            assert_eq!(loaded.fields.get("value"), of(index).fields.get("value"));
            assert!(loaded.revision >= seen[index], "an older one");
            seen[index] = loaded.revision;
            reads += 1;
        }
        rounds += 1;
        if rounds % 50 == 0 {
            let mut listing = stores[1].list();
            while let Some(session) = listing.next().await {
                session.expect("it can be read");
            }
            stores[1]
                .remove_expired(Timestamp::default())
                .await
                .expect("swept");
        }
    }
    for writer in writers {
        writer.await.expect("written");
    }
    assert!(reads > 1000, "{reads} reads");
    for key in &keys {
        let last = stores[0].load(key).await.expect("readable").expect("there");
        assert_eq!(u64::from(last.revision), 1 + 2 * 2_000);
    }
    assert!(quarantined(&path).is_empty());
}

/// FS-8 [gate]: temporary files that a killed process left are swept; one whose writer is at work is
/// not.
#[tokio::test]
async fn left_over_temporary_files_are_swept_and_those_in_use_are_not() {
    use rustix::fs::{FlockOperation, flock};
    let (_kept, path, store) = store();
    let (dead, busy) = (key(), key());
    let temporary =
        |key: &StoreKey| path.join(format!(".{}.session.0123456789abcdef.tmp", key.as_str()));
    for key in [&dead, &busy] {
        fs::write(temporary(key), b"half a rec").expect("written");
    }
    let stripe = |key: &StoreKey| u8::from_str_radix(&key.as_str()[..2], 16).expect("hex") % 64;
    if stripe(&dead) == stripe(&busy) {
        return;
    }
    let lock = fs::File::open(path.join(format!("locks/{:02}", stripe(&busy)))).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("locked");
    store
        .remove_expired(Timestamp::default())
        .await
        .expect("swept");
    assert!(!temporary(&dead).exists());
    assert!(temporary(&busy).exists());
    drop(lock);
    store
        .remove_expired(Timestamp::default())
        .await
        .expect("swept");
    assert!(!temporary(&busy).exists());
}

/// One that cannot be removed, a folder by this name for instance, keeps the sweep from nothing.
#[tokio::test]
async fn a_temporary_file_that_cannot_be_removed_does_not_stop_the_sweep() {
    let (_kept, path, store) = store();
    for _ in 0..20 {
        let name = format!(".{}.session.0123456789abcdef.tmp", key().as_str());
        fs::create_dir(path.join(name)).expect("made");
        let _ = store.create(&key(), &record(1)).await.expect("created");
    }
    let removed = store.remove_expired(Timestamp::MAX).await.expect("swept");
    assert_eq!(removed, 20);
}

/// Decision 11, C12: a lock that somebody does not give back is an error after the set time, for those
/// who need it and for nobody else, and heals.
#[tokio::test]
async fn a_lock_that_is_not_given_back_is_an_error_in_time() {
    use rustix::fs::{FlockOperation, flock};
    let kept = tempfile::tempdir().expect("a folder");
    let path = kept.path().join("sessions");
    let store = FilesystemStore::builder(&path)
        .lock_timeout(Duration::from_millis(300))
        .open()
        .expect("a store");
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        Created::Done
    );
    let stripe = u8::from_str_radix(&key.as_str()[..2], 16).expect("hex") % 64;
    let lock = fs::File::open(path.join(format!("locks/{stripe:02}"))).expect("a lock");
    flock(&lock, FlockOperation::LockExclusive).expect("locked");
    let started = Instant::now();
    let stuck = store.update(&key, &record(2), record(1).revision).await;
    assert!(
        matches!(stuck, Err(StoreError::Unavailable { .. })),
        "{stuck:?}"
    );
    assert!(stuck.expect_err("stuck").is_temporary());
    assert!((Duration::from_millis(250)..seconds(2)).contains(&started.elapsed()));
    // Reading takes no lock.
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
    drop(lock);
    let updated = store.update(&key, &record(2), record(1).revision).await;
    assert_eq!(updated.expect("healed"), Swapped::Done);
}

/// No file is made by a read, or by an empty session; lock files are made once.
#[tokio::test]
async fn reading_makes_no_file() {
    let (_kept, path, store) = store();
    let before = walk(&path).len();
    for _ in 0..100 {
        assert_eq!(store.load(&key()).await.expect("loaded"), None);
        assert!(
            !store
                .touch(&key(), Timestamp::MAX, Timestamp::MAX)
                .await
                .expect("answered")
        );
        assert_eq!(
            store.delete(&key(), None).await.expect("answered"),
            Swapped::Gone
        );
    }
    assert_eq!(walk(&path).len(), before);
}

/// AV-8: no operation leaves a handle open, those that fail neither.
#[tokio::test]
async fn no_handle_is_left_open() {
    let (_kept, path, store) = store();
    let open = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let work = async |rounds: u32| {
        for _ in 0..rounds {
            let key = key();
            assert_eq!(
                store.create(&key, &record(1)).await.expect("created"),
                Created::Done
            );
            assert_eq!(
                store.create(&key, &record(1)).await.expect("answered"),
                Created::Exists
            );
            let updated = store.update(&key, &record(2), record(1).revision).await;
            assert_eq!(updated.expect("updated"), Swapped::Done);
            fs::write(file(&path, &key), b"rubbish").expect("written");
            assert!(store.load(&key).await.is_err());
            let _ = store.list().next().await;
            assert_eq!(
                store.delete(&key, None).await.expect("answered"),
                Swapped::Gone
            );
        }
    };
    work(5).await;
    let before = open();
    work(200).await;
    // Other tests of this process open files of their own meanwhile.
    assert!(open() < before + 150, "{} handles, {before} before", open());
}

/// FS-5, the folder stays the store's whatever is done to its path: everything is relative to what was
/// opened.
#[tokio::test]
async fn a_folder_that_is_moved_is_still_the_store() {
    let (kept, path, store) = store();
    let key = key();
    assert_eq!(
        store.create(&key, &record(1)).await.expect("created"),
        Created::Done
    );
    fs::rename(&path, kept.path().join("moved")).expect("moved");
    symlink("/etc", &path).expect("a link in its place");
    assert_eq!(store.load(&key).await.expect("loaded"), Some(record(1)));
    let updated = store.update(&key, &record(2), record(1).revision).await;
    assert_eq!(updated.expect("updated"), Swapped::Done);
}
