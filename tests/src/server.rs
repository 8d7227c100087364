//! A server on a port of its own, in a thread of its own.

use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use axum::Router;
use futures_util::future::select;
use session::testing::{Calls, CountingStore, TestClock};
use session::{
    Listing, SessionInfo, SessionKey, SessionLayer, SessionManager, SessionManagerBuilder,
    SessionMiddleware, SessionStore, SessionToken,
};
use tokio::sync::oneshot::{self, Sender};

use crate::client::Client;
use crate::events::Events;
use crate::gate::Gate;
use crate::{probe, probe_axum};

/// What the probe application is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// actix-web.
    Actix,
    /// axum.
    Axum,
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Stop {
    Actix(ServerHandle),
    /// Stops when the sender is dropped.
    Axum(Option<Sender<()>>),
}

impl Server {
    /// Serves what `configure` sets up, on so many worker threads.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn start<F>(workers: usize, events: &Events, configure: F) -> Self
    where
        F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("the listener has an address");
        let events = events.clone();
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = HttpServer::new(move || {
                    events.install_on_this_thread();
                    App::new().configure(configure.clone())
                })
                .workers(workers)
                .disable_signals()
                .listen(listener)
                .expect("the port can be listened on")
                .run();
                sender.send(server.handle()).expect("the test waits");
                server.await.expect("the server runs");
            });
        });
        Server {
            address,
            stop: Stop::Actix(receiver.recv().expect("the server starts")),
            thread: Some(thread),
        }
    }

    /// Serves an axum router, on so many worker threads.
    ///
    /// # Panics
    ///
    /// When no port can be had.
    pub fn start_axum(workers: usize, events: &Events, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("the listener has an address");
        listener
            .set_nonblocking(true)
            .expect("the port can be waited for");
        let events = events.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .on_thread_start(move || events.install_on_this_thread())
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener);
                let listener = listener.expect("the port can be listened on");
                let server = std::pin::pin!(async { axum::serve(listener, router).await });
                select(server, stopped).await;
            });
            runtime.shutdown_background();
        });
        Server {
            address,
            stop: Stop::Axum(Some(stop)),
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread ends when the command is carried out.
        match &mut self.stop {
            // It is on its way when the call returns.
            Stop::Actix(handle) => drop(handle.stop(false)),
            Stop::Axum(stop) => drop(stop.take()),
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The probe application over a store that counts its calls, with a clock that stands still.
pub struct ProbeServer {
    /// The server.
    pub server: Server,
    /// The manager of its sessions.
    pub sessions: SessionManager,
    /// Its clock.
    pub clock: TestClock,
    /// What the library has logged on the worker threads.
    pub events: Events,
    /// Where the requests for `/held` and the like wait.
    pub gate: Gate,
    calls: Box<dyn Fn() -> Calls + Send + Sync>,
}

impl std::fmt::Debug for ProbeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProbeServer")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl ProbeServer {
    /// The probe with default settings over `store`.
    pub fn start(store: impl SessionStore) -> Self {
        Self::start_in(Framework::Actix, store)
    }

    /// The probe with other settings.
    ///
    /// # Panics
    ///
    /// When they contradict each other.
    pub fn configured(
        store: impl SessionStore,
        settings: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Self {
        Self::configured_in(Framework::Actix, store, settings)
    }

    /// The probe in either framework, with default settings over `store`.
    pub fn start_in(framework: Framework, store: impl SessionStore) -> Self {
        Self::configured_in(framework, store, |builder| builder)
    }

    /// The probe in either framework, with other settings.
    ///
    /// # Panics
    ///
    /// When they contradict each other.
    pub fn configured_in(
        framework: Framework,
        store: impl SessionStore,
        settings: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Self {
        let clock = TestClock::default();
        let store = CountingStore::new(store);
        let counted = store.clone();
        let builder = SessionManager::builder(store).clock(clock.clone());
        let sessions = settings(builder).build().expect("good settings");
        let events = Events::default();
        let (manager, gate) = (sessions.clone(), Gate::default());
        let server = match framework {
            Framework::Actix => {
                let held = web::Data::new(gate.clone());
                Server::start(2, &events, move |config| {
                    config.service(
                        web::scope("")
                            .app_data(held.clone())
                            .wrap(SessionMiddleware::new(manager.clone()))
                            .configure(probe::routes),
                    );
                })
            }
            Framework::Axum => {
                let routes = probe_axum::routes(gate.clone());
                Server::start_axum(2, &events, routes.layer(SessionLayer::new(manager)))
            }
        };
        ProbeServer {
            server,
            sessions,
            clock,
            events,
            gate,
            calls: Box::new(move || counted.calls()),
        }
    }

    /// A visitor without a cookie.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::named(self.server.address, self.sessions.cookie().name())
    }

    /// A visitor who presents this cookie value.
    #[must_use]
    pub fn holding(&self, value: &str) -> Client {
        let mut client = self.client();
        client.hold(Some(value));
        client
    }

    /// What the store has been asked.
    #[must_use]
    pub fn calls(&self) -> Calls {
        (self.calls)()
    }

    /// How often the store has been asked anything.
    #[must_use]
    pub fn store_calls(&self) -> u64 {
        self.calls().total()
    }

    /// Ends the session of this cookie value, as an operator does.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn end(&self, value: &str) {
        let ended = block_on(self.sessions.end(&key_of(value)));
        assert!(ended.expect("the store works"), "there is no such session");
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> usize {
        count(self.sessions.list(), |_| true)
    }

    /// How many records there are of this owner, by looking at all of them.
    #[must_use]
    pub fn records_of(&self, owner: &str) -> usize {
        count(self.sessions.list(), |info| {
            info.owner.as_deref() == Some(owner)
        })
    }
}

/// The key in a cookie's value.
///
/// # Panics
///
/// When the value is no token.
#[must_use]
pub fn key_of(value: &str) -> SessionKey {
    SessionToken::parse(value).expect("a token").key()
}

/// Runs a future to its end on this thread, for tests that talk to a server.
///
/// # Panics
///
/// When there can be no runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn count(mut sessions: Listing, wanted: impl Fn(&SessionInfo) -> bool) -> usize {
    block_on(async {
        let mut count = 0;
        while let Some(session) = sessions.next().await {
            count += usize::from(wanted(&session.expect("the record can be read")));
        }
        count
    })
}
