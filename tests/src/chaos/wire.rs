//! One request over a real socket, and what its answer says.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use session::SessionKey;

use crate::client::{Response, receive};

/// How a client treats the connection of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads the answer as it comes.
    Polite,
    /// Waits for so many milliseconds before it reads.
    Slow(u64),
    /// Resets the connection after so many milliseconds, without reading.
    Reset(u64),
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Sending {
    /// No server could be reached: it has done nothing.
    NotSent,
    /// It may have been carried out or not.
    Unanswered(&'static str),
    Answered(Box<Answer>),
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The new value of the cookie, where the answer sets one; empty for a removal.
    pub(super) set_cookie: Option<String>,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    pub(super) fn numbers(&self, name: &str) -> Vec<u64> {
        let list = self.field(name).unwrap_or_default().split(',');
        list.filter_map(|number| number.parse().ok()).collect()
    }

    pub(super) fn keys(&self, name: &str) -> Vec<SessionKey> {
        let list = self.field(name).unwrap_or_default().split(',');
        list.filter_map(|key| key.parse().ok()).collect()
    }

    /// What the early save came to.
    pub(super) fn is_saved_early(&self) -> bool {
        self.field("saved") == Some("Written")
    }
}

/// A connection of one tab, which is kept alive.
#[derive(Debug, Default)]
pub(super) struct Line(Option<(SocketAddr, TcpStream)>);

const COOKIE: &str = "__Host-id";

impl Line {
    /// Sends one request to the server at `address`.
    pub(super) fn send(
        &mut self,
        address: SocketAddr,
        path: &str,
        cookie: Option<&str>,
        manner: Manner,
    ) -> Sending {
        let kept = self.0.take().filter(|(to, _)| *to == address);
        let connection = match kept {
            Some((_, connection)) => Some(connection),
            None => connect(address),
        };
        let Some(mut connection) = connection else {
            return Sending::NotSent;
        };
        let cookie =
            cookie.map_or_else(String::new, |value| format!("Cookie: {COOKIE}={value}\r\n"));
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
        if connection.write_all(request.as_bytes()).is_err() {
            return Sending::Unanswered("the connection broke");
        }
        match manner {
            Manner::Polite => {}
            Manner::Slow(millis) => std::thread::sleep(Duration::from_millis(millis)),
            Manner::Reset(millis) => {
                std::thread::sleep(Duration::from_millis(millis));
                let _ = rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO));
                return Sending::Unanswered("reset by the client");
            }
        }
        let Some(response) = receive(&mut connection, "GET") else {
            return Sending::Unanswered("the connection broke");
        };
        if response.header("connection") != Some("close") {
            self.0 = Some((address, connection));
        }
        Sending::Answered(Box::new(answer(&response)))
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let connection = TcpStream::connect(address).ok()?;
    let timeout = Some(Duration::from_mins(1));
    connection.set_read_timeout(timeout).ok()?;
    connection.set_nodelay(true).ok()?;
    Some(connection)
}

fn answer(response: &Response) -> Answer {
    Answer {
        status: response.status,
        set_cookie: response.cookie(COOKIE),
        text: response.text(),
    }
}
