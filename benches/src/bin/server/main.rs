//! The servers that are compared over HTTP, all in one binary: `server KIND PORT [--folder PATH] [--redis PORT]`.
//!
//! Each has one worker and answers the same four paths: `/set-up` begins a session and fills it,
//! `/read` gives the user and the counter, `/write` adds one to the counter first, and `/allocations`
//! says what has been allocated. The bodies are the same everywhere, those of the bare servers too.
//! `http.py` and `instructions.py` start them.

mod actix_session;
mod allocations;
mod bare;
mod ours;
mod tower_sessions;
mod visit;

use std::path::PathBuf;

use session::Durability;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// What is served, and where.
struct Options {
    kind: String,
    port: u16,
    /// Where the sessions lie that are kept in files; a temporary folder if nothing is said.
    folder: Option<PathBuf>,
    /// Where Redis listens on this machine.
    redis_port: u16,
}

fn main() -> std::io::Result<()> {
    let options = options().unwrap_or_else(|| {
        eprintln!("usage: server KIND PORT [--folder PATH] [--redis PORT]");
        std::process::exit(2);
    });
    let temporary = tempfile::tempdir()?;
    let folder = options
        .folder
        .unwrap_or_else(|| temporary.path().join("sessions"));
    match options.kind.as_str() {
        "bare-actix" => on_actix(bare::serve_actix(options.port)),
        "session-unused" => on_actix(ours::serve_unused(options.port, &folder)),
        "session-files-relaxed" => on_actix(ours::serve_files(
            options.port,
            &folder,
            Durability::Relaxed,
        )),
        "session-files-durable" => on_actix(ours::serve_files(
            options.port,
            &folder,
            Durability::Durable,
        )),
        "session-memory" => on_actix(ours::serve_memory(options.port)),
        "actix-session-cookie" => on_actix(actix_session::serve_cookie(options.port)),
        "actix-session-redis" => {
            on_actix(actix_session::serve_redis(options.port, options.redis_port))
        }
        "bare-axum" => on_tokio(bare::serve_axum(options.port)),
        "tower-sessions-memory" => on_tokio(tower_sessions::serve_memory(options.port)),
        kind => {
            eprintln!("there is no server `{kind}`");
            std::process::exit(2);
        }
    }
}

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options {
        kind: arguments.next()?,
        port: arguments.next()?.parse().ok()?,
        folder: None,
        redis_port: 6379,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--folder" => options.folder = Some(arguments.next()?.into()),
            "--redis" => options.redis_port = arguments.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

fn on_actix(server: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(server)
}

/// One thread, as an actix-web server with one worker has for its connections.
fn on_tokio(server: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(server)
}
