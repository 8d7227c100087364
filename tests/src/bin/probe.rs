//! The probe application as a process of its own, on a folder that other processes share.
//!
//! `probe <folder>`: prints its address; ends when its standard input does.

use std::io::Read as _;

use session::{FilesystemStore, SessionManager, SessionMiddleware};
use session_tests::events::Events;
use session_tests::probe;
use session_tests::server::Server;

#[expect(
    clippy::print_stdout,
    reason = "the test that started it reads its address"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: probe <folder>")?;
    let sessions = SessionManager::builder(FilesystemStore::open(folder)?).build();
    let server = Server::start(2, &Events::default(), move |config| {
        config.service(
            actix_web::web::scope("")
                .wrap(SessionMiddleware::new(sessions.clone()))
                .configure(probe::routes),
        );
    });
    println!("{}", server.address);
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    Ok(())
}
