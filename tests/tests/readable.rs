//! A stored session is one MessagePack value that tools which are not ours can read.

use std::process::Command;

use session::testing::TestClock;
use session::{FilesystemStore, Session, SessionManager};
use session_tests::tools;

#[derive(Debug, Default, Session)]
struct Visit {
    #[session(rotate)]
    user: Option<String>,
    cart: Vec<(u32, String)>,
    views: u64,
}

const READ: &str = "
import json, msgpack, sys
print(json.dumps(msgpack.unpackb(open(sys.argv[1], 'rb').read()), sort_keys=True, default=bytes.hex))
";

/// Python's msgpack prints the file of a session, whole, with all of its fields.
#[tokio::test]
async fn python_reads_a_stored_session() {
    let python = std::env::var("SESSION_TEST_PYTHON").unwrap_or_else(|_| String::from("python3"));
    if !tools::has(&python, &["-c", "import msgpack"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions");
    let sessions = SessionManager::builder(FilesystemStore::open(&path).expect("a store"))
        .clock(TestClock::default())
        .build()
        .expect("good settings");
    let mut session: Session<Visit> = sessions.open(None).await.expect("a session");
    session.set_user(Some(String::from("ada")));
    session.cart_mut().push((7, String::from("tea")));
    session.set_views(300);
    sessions.save(&mut session).await.expect("saved");

    let file = std::fs::read_dir(&path)
        .expect("the folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "session"))
        .expect("one file");
    let output = Command::new(&python)
        .args(["-c", READ])
        .arg(&file)
        .output()
        .expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(read["session"], 1);
    assert_eq!(read["revision"], 1);
    assert_eq!(read["created"], 1_767_225_600_000_u64);
    assert_eq!(read["expires"], 1_767_225_600_000_u64 + 30 * 60 * 1000);
    assert_eq!(
        read["fields"],
        serde_json::json!({ "user": "ada", "cart": [[7, "tea"]], "views": 300 })
    );
}
