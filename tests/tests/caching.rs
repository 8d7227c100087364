//! What caches are told of responses that have to do with the session.

use session::{MemoryStore, SessionManager, SessionMiddleware};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::probe;
use session_tests::server::{ProbeServer, Server};

/// HC-1 [gate]: a response that sets the session's cookie is never stored, whatever the handler says.
#[test]
fn a_response_that_sets_the_cookie_is_never_stored() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    let response = visitor.get("/cacheable/1");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    let said: Vec<&str> = response.all("cache-control").collect();
    assert_eq!(said, ["no-store"]);
    assert!(response.varies_by_cookie());
    // Neither is one that removes it.
    let response = visitor.get("/logout");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    // One that changes the session but not the cookie may be, by what the handler says.
    let response = visitor.get("/cacheable");
    assert!(response.header("set-cookie").is_none());
    assert_eq!(
        response.header("cache-control"),
        Some("public, max-age=600")
    );
    assert!(response.varies_by_cookie());
}

/// HC-2 [gate]: `Vary: Cookie` whenever the session was looked at, beside what the handler says.
#[test]
fn a_response_varies_by_cookie_when_the_session_was_looked_at() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    for method in ["GET", "HEAD", "OPTIONS", "POST"] {
        assert!(
            visitor.request(method, "/who").varies_by_cookie(),
            "{method}"
        );
        let response = visitor.request(method, "/noop");
        assert!(response.header("vary").is_none(), "{method}");
    }
    let response = visitor.get("/varying");
    let vary: Vec<&str> = response.all("vary").collect();
    assert_eq!(vary.join(", "), "Accept, Cookie");
    // With and without a session, and when the answer is an error.
    visitor.get("/set/a/1");
    for path in [
        "/who",
        "/fail/404",
        "/fail/500",
        "/fail-as-response/404",
        "/slow",
    ] {
        assert!(visitor.get(path).varies_by_cookie(), "{path}");
    }
}

/// HC-3: a route that does not touch the session never refreshes its cookie.
#[test]
fn a_route_without_the_session_never_refreshes_the_cookie() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/persist/3600");
    probe.clock.advance(session::minutes(29));
    let calls = probe.store_calls();
    let response = visitor.get("/noop");
    assert!(response.header("set-cookie").is_none());
    assert_eq!(probe.store_calls(), calls);
}

/// HC-4: signing out can ask the browser to forget the site's data.
#[test]
fn signing_out_can_ask_the_browser_to_clear_its_data() {
    let sessions = SessionManager::builder(MemoryStore::new()).build();
    let server = Server::start(1, &Events::default(), move |config| {
        config.service(
            actix_web::web::scope("")
                .wrap(SessionMiddleware::new(sessions.clone()).clear_site_data(true))
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    assert!(visitor.get("/set/a/1").header("clear-site-data").is_none());
    let response = visitor.get("/logout");
    assert_eq!(
        response.header("clear-site-data"),
        Some("\"cache\", \"cookies\", \"storage\"")
    );
}
