//! Loads and saves on the stores that are written in Rust: this library's, and tower-sessions'. One of
//! the processes that `python3 benches/peers.py` runs turn by turn.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use session::{
    CookieChange, Durability, FilesystemStore, MemoryStore, Session, SessionManager, SessionStore,
};
use session_benches::visit::{Line, TOKEN, USER, Visit, cart, fill};
use session_benches::worker::{argument, number, serve};
use tokio::runtime::Runtime;

/// Sessions are gone through in steps of this prime, so that neighbours in time are none in the folder.
const STEP: usize = 7919;

fn main() {
    let (contender, count) = (argument(1), number(2));
    let open = |durability| {
        let builder = FilesystemStore::builder(Path::new(&argument(3)));
        builder.durability(durability).open().expect("a store")
    };
    match contender.as_str() {
        "memory" => ours(MemoryStore::new(), count),
        "filesystem-relaxed" => ours(open(Durability::Relaxed), count),
        "filesystem-durable" => ours(open(Durability::Durable), count),
        "tower-memory" => towers(count),
        other => panic!("no such contender: {other}"),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

/// So many numbers of sessions.
fn places(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| turn * STEP % count)
}

fn told(start: Instant, count: usize) -> Value {
    json!({ "seconds": start.elapsed().as_secs_f64(), "count": count })
}

/// A load is an `open`, which decodes all fields; a save is one of a loaded session whose counter was
/// changed, which reads the record again under the lock and merges.
fn ours(store: impl SessionStore, count: usize) {
    let runtime = runtime();
    let manager = SessionManager::new(store);
    let cookies: Vec<String> = runtime.block_on(async {
        let mut cookies = Vec::new();
        for _ in 0..count {
            let mut session: Session<Visit> = manager.create();
            fill(&mut session);
            match manager.save(&mut session).await.expect("saved") {
                CookieChange::Set { token, .. } => cookies.push(token.expose()),
                change => panic!("a new session sets its cookie: {change:?}"),
            }
        }
        cookies
    });
    let load = async |place: usize| -> Session<Visit> {
        let session = manager.open(Some(&cookies[place])).await;
        session.expect("opened")
    };
    serve(|words| {
        runtime.block_on(async {
            if words == ["load"] {
                let start = Instant::now();
                for place in places(count) {
                    black_box(&load(place).await.views);
                }
                return told(start, count);
            }
            let mut sessions = Vec::new();
            for place in places(count) {
                let mut session = load(place).await;
                assert_eq!(session.cart.len(), 5, "the cart is there");
                *session.views_mut() += 1;
                sessions.push(session);
            }
            let start = Instant::now();
            for session in &mut sessions {
                session.save().await.expect("saved");
            }
            told(start, count)
        })
    });
}

/// The same through tower-sessions' `Session`: a load gives all four fields their types.
fn towers(count: usize) {
    use tower_sessions::{Expiry, MemoryStore, Session, cookie::time::Duration, session::Id};

    let runtime = runtime();
    let store = Arc::new(MemoryStore::default());
    let session = |id: Option<Id>| {
        let expiry = Expiry::OnInactivity(Duration::hours(1));
        Session::new(id, Arc::clone(&store) as Arc<_>, Some(expiry))
    };
    let ids: Vec<Id> = runtime.block_on(async {
        let mut ids = Vec::new();
        for _ in 0..count {
            let session = session(None);
            session.insert("user", USER).await.expect("set");
            session.insert("cart", cart()).await.expect("set");
            session.insert("csrf", TOKEN).await.expect("set");
            session.insert("views", 41_u64).await.expect("set");
            session.save().await.expect("saved");
            ids.push(session.id().expect("saved"));
        }
        ids
    });
    let load = async |place: usize| -> (Session, Visit) {
        let session = session(Some(ids[place]));
        let visit = Visit {
            user: session.get("user").await.expect("decoded"),
            cart: session
                .get::<Vec<Line>>("cart")
                .await
                .expect("decoded")
                .expect("stored"),
            csrf: session.get("csrf").await.expect("decoded"),
            views: session
                .get("views")
                .await
                .expect("decoded")
                .expect("stored"),
        };
        (session, visit)
    };
    serve(|words| {
        runtime.block_on(async {
            if words == ["load"] {
                let start = Instant::now();
                for place in places(count) {
                    black_box(&load(place).await.1);
                }
                return told(start, count);
            }
            let mut sessions = Vec::new();
            for place in places(count) {
                let (session, visit) = load(place).await;
                assert_eq!(visit.cart.len(), 5, "the cart is there");
                let views = visit.views + 1;
                session.insert("views", views).await.expect("set");
                sessions.push(session);
            }
            let start = Instant::now();
            for session in &sessions {
                session.save().await.expect("saved");
            }
            told(start, count)
        })
    });
}
