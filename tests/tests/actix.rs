//! Sessions in actix-web applications of every shape, over real sockets.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use actix_web::dev::{Service as _, ServiceRequest};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpRequest, HttpResponse, HttpServer, web};
use session::testing::TestClock;
use session::{
    CookieSettings, MemoryStore, Session, SessionManager, SessionMiddleware, SessionToken, hours,
    minutes, seconds,
};
use session_tests::client::Client;
use session_tests::events::Events;
use session_tests::probe::{self, Visit};
use session_tests::server::{ProbeServer, Server, block_on};

fn manager(name: &str) -> SessionManager {
    let cookie = CookieSettings::builder()
        .name(name)
        .build()
        .expect("good settings");
    SessionManager::builder(MemoryStore::new())
        .cookie(cookie)
        .build()
        .expect("good settings")
}

/// A request that does not extract the session touches no store and gets no header.
#[test]
fn a_request_without_extraction_touches_nothing() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/login/alice");
    let before = probe.store_calls();
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE"] {
        let response = visitor.request(method, "/noop");
        assert_eq!(response.status, 200);
        for header in ["set-cookie", "vary", "cache-control"] {
            assert!(response.header(header).is_none(), "{method}: {header}");
        }
    }
    assert_eq!(visitor.get("/nowhere").status, 404);
    assert_eq!(probe.store_calls(), before);
}

/// HEAD and OPTIONS commit like any other method.
#[test]
fn head_and_options_commit_like_any_other_method() {
    let probe = ProbeServer::start(MemoryStore::new());
    for method in ["HEAD", "OPTIONS", "PUT"] {
        let mut visitor = probe.client();
        let response = visitor.request(method, "/set/a/1");
        assert_eq!(response.set_cookies("__Host-id").len(), 1, "{method}");
        assert!(visitor.get("/who").text().contains("\na=1\n"), "{method}");
    }
}

/// Two extractors of one type and one of another in one handler: all changes are there, in one save.
#[test]
fn several_extractors_in_one_handler_make_one_save() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    assert_eq!(visitor.get("/two/x").text(), "visits=1");
    let calls = probe.calls();
    assert_eq!((calls.create, calls.modify, calls.update), (1, 0, 0));
    assert_eq!(visitor.get("/two/y").text(), "visits=2");
    let calls = probe.calls();
    assert_eq!((calls.load, calls.create, calls.modify), (1, 1, 1));
    let seen = visitor.get("/who").text();
    assert!(seen.contains("\na=y\nb=y\n"), "{seen}");
}

/// An extraction sees what an earlier handle of the same request changed, once that is dropped.
#[test]
fn later_extractions_see_earlier_changes() {
    async fn outer(
        mut session: Session<Visit>,
        request: ServiceRequest,
        next: Next<impl actix_web::body::MessageBody>,
    ) -> Result<actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>, Error> {
        session.set_a(String::from("from the middleware"));
        drop(session);
        next.call(request).await
    }
    let sessions = manager("__Host-id");
    let server = Server::start(1, &Events::default(), move |config| {
        config.service(
            web::scope("")
                .wrap(from_fn(outer))
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    assert!(
        visitor
            .get("/who")
            .text()
            .contains("\na=from the middleware\n")
    );
    assert!(visitor.cookie().is_some());
    // Also where the handler does not look at the session, and where it fails.
    assert!(
        Client::new(server.address)
            .get("/noop")
            .header("set-cookie")
            .is_some()
    );
    assert!(
        Client::new(server.address)
            .get("/fail/404")
            .header("set-cookie")
            .is_some()
    );
    assert!(
        Client::new(server.address)
            .get("/fail/500")
            .header("set-cookie")
            .is_none()
    );
}

/// An inner middleware that ends in an `Err` is answered as any other response of its
/// status: below 500 the changes are saved and the cookie is set, from 500 on they are dropped; a
/// destroy is carried out either way.
#[test]
fn an_err_of_an_inner_middleware_is_committed_like_a_response() {
    async fn fail(
        mut session: Session<Visit>,
        request: ServiceRequest,
        _next: Next<impl actix_web::body::MessageBody>,
    ) -> Result<actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>, Error> {
        let path = request.path().to_owned();
        session.set_a(path.clone());
        if path.ends_with("destroy") {
            session.destroy();
        }
        let status = path.split('/').nth(2).and_then(|code| code.parse().ok());
        let status = status.and_then(|code| actix_web::http::StatusCode::from_u16(code).ok());
        let error = actix_web::error::InternalError::new("no", status.expect("a status"));
        Err::<actix_web::dev::ServiceResponse<actix_web::body::BoxBody>, _>(error.into())
    }
    let sessions = manager("__Host-id");
    let server = Server::start(1, &Events::default(), move |config| {
        config.service(
            web::scope("/failing")
                .wrap(from_fn(fail))
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
        config.service(
            web::scope("")
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    let refused = visitor.get("/failing/403");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.text(), "no");
    assert_eq!(refused.set_cookies("__Host-id").len(), 1);
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert!(refused.varies_by_cookie());
    let seen = |visitor: &mut Client| visitor.get("/who").text();
    assert!(seen(&mut visitor).contains("\na=/failing/403\n"));
    let broken = visitor.get("/failing/500");
    assert_eq!(broken.status, 500);
    assert!(broken.header("set-cookie").is_none());
    assert!(broken.varies_by_cookie());
    assert!(seen(&mut visitor).contains("\na=/failing/403\n"));
    let left = visitor.get("/failing/500/destroy");
    assert_eq!(left.status, 500);
    assert_eq!(left.set_cookies("__Host-id").len(), 1);
    assert!(visitor.cookie().is_none());
}

/// A helper that is given no more than the request, and a guard, see the session that is open.
#[test]
fn guards_and_helpers_see_the_open_session() {
    async fn open(
        session: Session<Visit>,
        request: ServiceRequest,
        next: Next<impl actix_web::body::MessageBody>,
    ) -> Result<actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>, Error> {
        drop(session);
        next.call(request).await
    }
    let sessions = manager("__Host-id");
    let server = Server::start(1, &Events::default(), move |config| {
        config.service(
            web::scope("/opened")
                .wrap(from_fn(open))
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
        config.service(
            web::scope("/closed")
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::new(server.address);
    assert_eq!(visitor.get("/opened/guarded").status, 404);
    visitor.get("/opened/login/alice");
    assert_eq!(visitor.get("/opened/guarded").status, 200);
    assert_eq!(
        visitor.get("/closed/guarded").status,
        404,
        "a guard opens nothing by itself"
    );
}

/// The same middleware twice is one; with different cookies the innermost is meant; with the
/// same cookie of different managers it is an error that says so.
#[test]
fn nested_middlewares_are_told_apart_by_their_cookies() {
    let (one, other, rival) = (manager("one"), manager("other"), manager("one"));
    let events = Events::default();
    let server = Server::start(1, &events, move |config| {
        let outer = || SessionMiddleware::new(one.clone());
        config.service(
            web::scope("/twice").service(
                web::scope("")
                    .wrap(outer())
                    .wrap(outer())
                    .configure(probe::routes),
            ),
        );
        config.service(
            web::scope("/mixed")
                .wrap(outer())
                .service(
                    web::scope("/inner")
                        .wrap(SessionMiddleware::new(other.clone()))
                        .configure(probe::routes),
                )
                .configure(probe::routes),
        );
        config.service(
            web::scope("/rivals")
                .wrap(SessionMiddleware::new(rival.clone()))
                .wrap(outer())
                .configure(probe::routes),
        );
    });
    let mut visitor = Client::named(server.address, "one");
    let response = visitor.get("/twice/everything/x");
    assert_eq!(response.set_cookies("one").len(), 1);
    assert_eq!(response.all("set-cookie").count(), 4);
    assert_eq!(response.all("vary").count(), 1);

    let response = visitor.get("/mixed/inner/set/a/inner");
    assert_eq!(response.set_cookies("one").len(), 0);
    assert_eq!(response.set_cookies("other").len(), 1);
    let response = visitor.get("/mixed/set/a/outer");
    assert_eq!(response.set_cookies("other").len(), 0);
    assert!(visitor.get("/mixed/who").text().contains("\na=outer\n"));
    // A session of one cookie is nothing under the other's.
    let header = format!("Cookie: other={}", visitor.token());
    let response = visitor.raw("GET", "/mixed/inner/who", &[header.as_bytes()]);
    assert!(response.text().contains("new=true\n"));

    assert_eq!(visitor.get("/rivals/who").status, 500);
    assert_eq!(events.count("two_managers"), 1);
}

/// Without the middleware, extraction is a 500 whose log says what to write.
#[test]
fn extraction_without_the_middleware_says_what_is_missing() {
    let events = Events::default();
    let server = Server::start(1, &events, probe::routes);
    let response = Client::new(server.address).get("/who");
    assert_eq!(response.status, 500);
    assert!(response.body.is_empty());
    let lines = events.lines();
    let line = lines
        .iter()
        .find(|line| line.name == "missing_middleware")
        .expect("an event");
    assert!(
        line.text
            .contains(".wrap(SessionMiddleware::new(sessions.clone()))")
    );
    assert_eq!(line.level, tracing::Level::ERROR);
}

async fn socket(
    mut session: Session<Visit>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Error> {
    session.set_a(String::from("connected"));
    session.save().await?;
    let (response, mut socket, mut messages) = actix_ws::handle(&request, body)?;
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = messages.recv().await {
            let actix_ws::Message::Text(text) = message else {
                continue;
            };
            let answer = match &*text {
                "reload" => {
                    let reloaded = session.reload().await;
                    format!("{reloaded:?} user={:?} b={}", session.user, session.b)
                }
                "refresh" => {
                    session.refresh();
                    format!("user={:?} b={}", session.user, session.b)
                }
                text => {
                    session.set_b(text.to_owned());
                    format!("{:?}", session.save().await)
                }
            };
            if socket.text(answer).await.is_err() {
                break;
            }
        }
    });
    Ok(response)
}

/// Opens the probe's socket, with this cookie if there is one; gives the cookie that its head sets.
fn connect(address: std::net::SocketAddr, cookie: Option<&str>) -> (TcpStream, Option<String>) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream
        .set_read_timeout(Some(minutes(1)))
        .expect("a time-out");
    let cookie = cookie.map_or_else(String::new, |value| {
        format!("Cookie: __Host-id={value}\r\n")
    });
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{cookie}\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let set = head.split_once("__Host-id=");
    let set = set.map(|(_, rest)| rest[..SessionToken::LENGTH].to_owned());
    (stream, set)
}

/// A server with the socket and the probe's routes, and a clock to move.
fn with_socket() -> (Server, SessionManager, TestClock) {
    let clock = TestClock::default();
    let sessions = SessionManager::builder(MemoryStore::new())
        .clock(clock.clone())
        .build()
        .expect("good settings");
    let manager = sessions.clone();
    let server = Server::start(1, &Events::default(), move |config| {
        config.service(
            web::scope("")
                .wrap(SessionMiddleware::new(manager.clone()))
                .route("/socket", web::get().to(socket))
                .configure(probe::routes),
        );
    });
    (server, sessions, clock)
}

/// A web socket saves what it changes, and cannot bring back a session that was signed out of.
#[test]
fn a_web_socket_saves_by_hand() {
    let (server, _, _) = with_socket();
    let (mut stream, token) = connect(server.address, None);
    let token = token.expect("the cookie is set with the head");
    let mut visitor = Client::holding(server.address, &token);
    assert!(visitor.get("/who").text().contains("\na=connected\n"));

    assert_eq!(say(&mut stream, "hello"), "Ok(Written)");
    assert!(visitor.get("/who").text().contains("\nb=hello\n"));
    visitor.get("/logout");
    assert_eq!(say(&mut stream, "late"), "Ok(Dropped)");
    let seen = Client::holding(server.address, &token).get("/who").text();
    assert!(seen.contains("new=true\n"));
}

/// An open handle goes on for as long as its session lives, however long it was idle and however often the
/// session was used meanwhile.
#[test]
fn an_open_socket_goes_on_for_as_long_as_its_session_lives() {
    let (server, _, clock) = with_socket();
    let (mut stream, token) = connect(server.address, None);
    let mut visitor = Client::holding(server.address, &token.expect("a cookie"));
    for hour in 1..12 {
        for _ in 0..4 {
            clock.advance(minutes(15));
            assert_eq!(visitor.get(&format!("/set/a/{hour}")).status, 200);
        }
        assert_eq!(say(&mut stream, &format!("hour {hour}")), "Ok(Written)");
        let seen = visitor.get("/who").text();
        assert!(
            seen.contains(&format!("\na={hour}\nb=hour {hour}\n")),
            "{seen}"
        );
    }
    clock.advance(hours(1));
    assert_eq!(say(&mut stream, "after the timeout"), "Ok(Dropped)");
}

/// An open handle learns by `reload` what other requests have saved, and that its session has ended or was
/// signed in by another request; `refresh` asks nobody.
#[test]
fn an_open_socket_learns_by_a_reload_that_its_session_has_ended() {
    let (server, sessions, clock) = with_socket();
    let ended = "Err(Ended) user=None b=";
    for ending in ["logout", "revoke", "sign-in", "expire"] {
        let mut visitor = Client::new(server.address);
        visitor.get("/login/alice");
        visitor.get("/set/b/first");
        let (mut stream, _) = connect(server.address, Some(&visitor.token()));
        visitor.get("/set/b/second");
        assert_eq!(say(&mut stream, "refresh"), "user=Some(\"alice\") b=first");
        let seen = say(&mut stream, "reload");
        assert_eq!(seen, "Ok(()) user=Some(\"alice\") b=second", "{ending}");
        match ending {
            "logout" => {
                visitor.get("/logout");
            }
            "revoke" => {
                let revoked = block_on(sessions.revoke("alice", &visitor.key()));
                assert!(revoked.expect("the store works"));
            }
            "sign-in" => {
                visitor.get("/login/bob");
            }
            _ => clock.advance(hours(1)),
        }
        assert_eq!(
            say(&mut stream, "refresh"),
            "user=Some(\"alice\") b=second",
            "{ending}"
        );
        assert_eq!(say(&mut stream, "reload"), ended, "{ending}");
        assert_eq!(say(&mut stream, "reload"), ended, "{ending}");
        assert_eq!(say(&mut stream, "more"), "Ok(Dropped)", "{ending}");
        if ending == "sign-in" {
            let seen = visitor.get("/who").text();
            assert!(
                seen.contains("user=bob\n") && seen.contains("\nb=second\n"),
                "{seen}"
            );
        }
    }
}

/// Sends a short masked text frame and reads the short frame that comes back.
fn say(stream: &mut TcpStream, text: &str) -> String {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).expect("short")];
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    stream.write_all(&frame).expect("sent");
    let mut head = [0; 2];
    stream.read_exact(&mut head).expect("a frame");
    let mut answer = vec![0; usize::from(head[1])];
    stream.read_exact(&mut answer).expect("a frame");
    String::from_utf8(answer).expect("text")
}

/// The middleware goes around a whole `App` as well, beside others.
#[test]
fn the_middleware_goes_around_a_whole_app() {
    let sessions = manager("__Host-id");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = HttpServer::new(move || {
                App::new()
                    .wrap(SessionMiddleware::new(sessions.clone()))
                    .wrap_fn(|request, service| service.call(request))
                    .wrap(actix_web::middleware::NormalizePath::trim())
                    .configure(probe::routes)
            })
            .workers(1)
            .disable_signals()
            .listen(listener)
            .expect("the port")
            .run();
            sender.send(server.handle()).expect("the test waits");
            server.await.expect("the server runs");
        });
    });
    let handle = receiver.recv().expect("the server starts");
    let mut visitor = Client::new(address);
    visitor.get("/set/a/1/");
    assert!(visitor.get("/who").text().contains("\na=1\n"));
    drop(handle.stop(false));
    thread.join().expect("the server ends");
}

/// A guard tells a late request to try again, as the right cookie is on its way; an unknown one is turned away.
#[test]
fn a_guard_tells_a_late_request_to_try_again() {
    let probe = ProbeServer::start(MemoryStore::new());
    let mut visitor = probe.client();
    visitor.get("/set/a/1");
    let old = visitor.token();
    assert_eq!(visitor.get("/required").status, 401);
    visitor.get("/login/alice");
    assert_eq!(visitor.get("/required").status, 200);
    let late = probe.holding(&old).get("/required");
    assert_eq!(late.status, 409);
    assert_eq!(late.header("retry-after"), Some("0"));
    assert!(late.header("set-cookie").is_none());
    assert!(late.varies_by_cookie());
    probe.clock.advance(seconds(121));
    let unknown = probe.holding(&old).get("/required");
    assert_eq!(unknown.status, 401);
    assert!(unknown.header("retry-after").is_none());
}
