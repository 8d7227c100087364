//! A session handle that is moved into the body of a response, and used after its head has left.

use session::MemoryStore;
use session_tests::server::ProbeServer;

use super::FRAMEWORK;

/// A handle that is moved into the body and changed there without a save is loud in the log.
#[test]
fn a_change_after_the_head_that_is_not_saved_is_loud() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/set/a/before");
    let _ = probe.events.take();
    assert_eq!(visitor.get("/stream").text(), "streamed");
    assert_eq!(probe.events.take(), ["dropped_after_commit"]);
    assert!(visitor.get("/who").text().contains("\na=before\n"));
}

/// With a save it is saved, as long as the client need not learn a new token.
#[test]
fn a_stream_saves_by_hand() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
    let mut visitor = probe.client();
    // A new session: the head has left without its token, so saving is an error and makes none.
    assert!(visitor.get("/stream-saving").text().contains("HeadSent"));
    assert_eq!(probe.records(), 0);
    // One that was saved before the head can be saved again after it.
    let response = visitor.get("/stream-new");
    assert_eq!(response.text(), "Ok(Written)");
    let seen = visitor.get("/who").text();
    assert!(
        seen.contains("\na=before the head\nb=after the head\n"),
        "{seen}"
    );
    assert_eq!(visitor.get("/stream-saving").text(), "Ok(Written)");
    assert!(visitor.get("/who").text().contains("\na=from the stream\n"));
}
