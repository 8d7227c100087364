//! What caches are told of responses that have to do with the session.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use session::MemoryStore;
use session_tests::client::Client;
use session_tests::server::ProbeServer;
use session_tests::tools;

use super::FRAMEWORK;

/// A response that sets the session's cookie is never stored, whatever the handler says.
#[test]
fn a_response_that_sets_the_cookie_is_never_stored() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
    let mut visitor = probe.client();
    let response = visitor.get("/cacheable/1");
    assert_eq!(response.set_cookies("__Host-id").len(), 1);
    let said: Vec<&str> = response.all("cache-control").collect();
    assert_eq!(said, ["no-store"]);
    assert!(response.varies_by_cookie());
    // Neither is one that removes it.
    let response = visitor.get("/logout");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    // One that does not change the cookie may be, by what the handler says.
    let response = visitor.get("/cacheable");
    assert!(response.header("set-cookie").is_none());
    assert_eq!(
        response.header("cache-control"),
        Some("public, max-age=600")
    );
    assert!(response.varies_by_cookie());
}

/// `Vary: Cookie` whenever the session was looked at, beside what the handler says.
#[test]
fn a_response_varies_by_cookie_when_the_session_was_looked_at() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
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

/// A page that shows session data and changes no cookie is for its visitor only, where the handler says
/// nothing else; a page that does not look at the session says nothing about caches.
#[test]
fn a_page_of_session_data_is_private_unless_the_handler_says_otherwise() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
    let mut visitor = probe.client();
    let said = |visitor: &mut Client, path: &str| -> Vec<String> {
        let response = visitor.get(path);
        response.all("cache-control").map(str::to_owned).collect()
    };
    assert_eq!(said(&mut visitor, "/who"), ["private"]);
    visitor.get("/set/a/1");
    assert_eq!(said(&mut visitor, "/who"), ["private"]);
    assert_eq!(said(&mut visitor, "/set/a/2"), ["private"]);
    assert_eq!(said(&mut visitor, "/fail/404"), ["private"]);
    assert_eq!(said(&mut visitor, "/cacheable"), ["public, max-age=600"]);
    assert_eq!(said(&mut visitor, "/noop"), [] as [&str; 0]);
}

/// A route that does not touch the session never refreshes its cookie.
#[test]
fn a_route_without_the_session_never_refreshes_the_cookie() {
    let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/persist/3600");
    probe.clock.advance(session::minutes(29));
    let calls = probe.store_calls();
    let response = visitor.get("/noop");
    assert!(response.header("set-cookie").is_none());
    assert_eq!(probe.store_calls(), calls);
}

/// Signing out can ask the browser to forget the site's data.
#[test]
fn signing_out_can_ask_the_browser_to_clear_its_data() {
    let probe = ProbeServer::configured_in(FRAMEWORK, MemoryStore::new(), |builder| {
        builder.clear_site_data(true)
    });
    let mut visitor = probe.client();
    assert!(visitor.get("/set/a/1").header("clear-site-data").is_none());
    let response = visitor.get("/logout");
    assert_eq!(
        response.header("clear-site-data"),
        Some("\"cache\", \"cookies\", \"storage\"")
    );
}

/// nginx as a cache in front of a server; ends when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// `directives` go into its one location.
    fn start(upstream: SocketAddr, directives: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let user = if rustix::process::geteuid().is_root() {
            "user root;"
        } else {
            ""
        };
        let settings = format!(
            "{user} pid nginx.pid; error_log stderr; events {{}}
             http {{
                 access_log off;
                 client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f;
                 uwsgi_temp_path u; scgi_temp_path s;
                 proxy_cache_path cache keys_zone=all:1m;
                 server {{
                     listen {address};
                     location / {{
                         proxy_pass http://{upstream};
                         proxy_cache all;
                         proxy_cache_key $request_uri;
                         add_header X-Cache $upstream_cache_status;
                         {directives}
                     }}
                 }}
             }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), settings).expect("written");
        let child = Command::new("nginx")
            .args(["-c", "nginx.conf", "-g", "daemon off;", "-p"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx runs");
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Nginx {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker goes with it when it is told to end, but not when it is killed.
        let id = i32::try_from(self.child.id()).expect("a pid");
        if let Some(id) = rustix::process::Pid::from_raw(id) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// Behind a real cache, one that would store what sets a cookie too, nobody is
/// given another's token or another's page.
#[test]
fn a_cache_in_between_mixes_up_nobody() {
    if !tools::has("nginx", &["-v"]) {
        return;
    }
    for directives in ["", "proxy_ignore_headers Set-Cookie;"] {
        let probe = ProbeServer::start_in(FRAMEWORK, MemoryStore::new());
        let nginx = Nginx::start(probe.server.address, directives);
        let mut tokens = std::collections::HashSet::new();
        for _ in 0..10 {
            let mut visitor = Client::new(nginx.address);
            let response = visitor.get("/cacheable/1");
            assert_eq!(response.header("x-cache"), Some("MISS"));
            assert!(
                tokens.insert(visitor.token()),
                "a token was given out twice"
            );
        }
        let mut alice = Client::new(nginx.address);
        alice.get("/login/alice");
        let seen = ["MISS", "HIT"].map(|expected| {
            let response = alice.get("/cacheable");
            assert_eq!(response.header("x-cache"), Some(expected), "it does cache");
            response.text()
        });
        assert!(seen[0].contains("user=alice\n"));
        assert_eq!(seen[0], seen[1]);
        let mut bob = Client::new(nginx.address);
        for user in ["user=-\n", "user=bob\n"] {
            assert!(bob.get("/cacheable").text().contains(user), "{user}");
            bob.get("/login/bob");
        }
    }
}
