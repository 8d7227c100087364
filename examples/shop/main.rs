//! A small tea shop: a real visit kept in a typed session on the filesystem store. Works without
//! JavaScript.

mod account;
mod accounts;
mod catalog;
mod csrf;
mod handlers;
mod options;
mod pages;
#[cfg(test)]
mod tests;
mod visit;

use std::io;

use actix_web::{App, HttpServer, middleware, rt, web};
use clap::Parser as _;
use session::{CookieSettings, FilesystemStore, SessionManager, SessionMiddleware, days, minutes};

use options::Options;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let options = Options::parse();

    let mut cookie = CookieSettings::builder();
    if options.insecure_cookie {
        cookie = cookie.insecure_for_local_development();
    }
    let sessions = SessionManager::builder(FilesystemStore::open(&options.sessions)?)
        .idle_timeout(*options.idle)
        // For those who want to be remembered.
        .persistent_timeouts(days(30), days(30))
        .cookie(cookie.build()?)
        .build();
    rt::spawn(sessions.clone().sweep(minutes(10), rt::time::sleep));

    let checkout = web::Data::new(handlers::Checkout {
        payment_takes: *options.payment_delay,
    });
    let accounts = web::Data::new(accounts::Accounts::default());
    let manager = web::Data::new(sessions.clone());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(accounts.clone())
            .app_data(manager.clone())
            .wrap(SessionMiddleware::new(sessions.clone()))
            .wrap(middleware::from_fn(handlers::security_headers))
            .app_data(checkout.clone())
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

#[expect(
    clippy::print_stdout,
    reason = "where to point the browser is what the visitor came for"
)]
fn announce(options: &Options, address: std::net::SocketAddr) {
    println!("The shop is open at http://{address}");
    println!("Its sessions lie in {}", options.sessions.display());
    if !options.insecure_cookie && !address.ip().is_loopback() {
        println!(
            "Browsers keep its secure cookie only over https or on this machine: start it with \
             --insecure-cookie to visit it from another one"
        );
    }
}
