//! A small tea shop whose visits are kept in a typed session. Works without JavaScript.

mod account;
mod accounts;
mod catalog;
mod handlers;
mod options;
mod pages;
mod same_origin;
#[cfg(test)]
mod tests;
mod visit;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use actix_web::{App, HttpServer, middleware, rt, web};
use clap::Parser as _;
use session::{
    CookieSettings, FilesystemStore, SessionLimit, SessionManager, SessionMiddleware, minutes,
};

use options::Options;

/// How many browsers one account can be signed in with at once.
const BROWSERS: usize = 10;

#[actix_web::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let sessions = manager(&options)?;
    // An expired session has ended at once; the sweep removes its file.
    rt::spawn(sessions.clone().sweep(minutes(10), rt::time::sleep));

    let checkout = web::Data::new(handlers::Checkout {
        payment_takes: *options.payment_delay,
    });
    let accounts = web::Data::new(accounts::Accounts::default());
    let server = HttpServer::new(move || {
        let sessions = SessionMiddleware::new(sessions.clone());
        App::new()
            .app_data(accounts.clone())
            .app_data(checkout.clone())
            .wrap(sessions.on_failed_save(handlers::not_saved))
            .wrap(middleware::from_fn(same_origin::same_origin))
            .wrap(middleware::from_fn(handlers::security_headers))
            .configure(handlers::routes)
    })
    .bind(options.addr)
    .map_err(|error| {
        format!(
            "cannot listen on {} ({error}): choose another --addr",
            options.addr
        )
    })?;

    for address in server.addrs() {
        announce(&options, address);
    }
    server.run().await?;
    Ok(())
}

fn manager(options: &Options) -> Result<SessionManager, Box<dyn Error>> {
    let mut cookie = CookieSettings::builder();
    if options.insecure_cookie {
        cookie = cookie.insecure_for_local_development();
    }
    let sessions = SessionManager::builder(FilesystemStore::open(&options.sessions)?)
        .idle_timeout(*options.idle)
        .max_sessions_per_owner(BROWSERS, SessionLimit::EvictOldest)
        .cookie(cookie.build()?)
        .build()?;
    Ok(sessions)
}

#[expect(
    clippy::print_stdout,
    reason = "the visitor has to know which address to open"
)]
fn announce(options: &Options, address: std::net::SocketAddr) {
    println!("The shop is open at http://{address}");
    println!("Its sessions are kept in {}", options.sessions.display());
    if !options.insecure_cookie {
        println!(
            "Chrome and Firefox keep its secure cookie over http on this machine. For Safari, and \
             from other machines, start it with --insecure-cookie"
        );
    }
}

/// Prints the error's text and its causes, not its `Debug` form.
#[expect(clippy::print_stderr, reason = "the shop could not start")]
fn complain(error: &dyn Error) {
    eprint!("The shop cannot open: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
}
