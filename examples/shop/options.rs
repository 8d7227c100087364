//! What can be said on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use humantime::Duration;

/// A small tea shop whose visits are kept in typed sessions.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes any free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub(crate) addr: SocketAddr,

    /// The folder of the sessions, made when it is not there
    #[arg(long, default_value = "shop-sessions")]
    pub(crate) sessions: PathBuf,

    /// How long a visit lasts when it is not used
    #[arg(long, default_value = "30m")]
    pub(crate) idle: Duration,

    /// How long the pretended payment takes
    #[arg(long, default_value = "1s")]
    pub(crate) payment_delay: Duration,

    /// Have the cookie work over plain http from other machines and in browsers that do not trust
    /// this one
    #[arg(long)]
    pub(crate) insecure_cookie: bool,
}
