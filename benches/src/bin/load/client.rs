//! One connection with one session.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::{Parsed, parse};

/// A visitor.
pub struct Client {
    connection: TcpStream,
    path: String,
    request: String,
    received: Vec<u8>,
    /// The number in the last answer.
    number: u64,
}

/// Why a run has failed.
#[derive(Debug)]
#[expect(dead_code, reason = "what is in it is printed by `Debug`")]
pub enum Problem {
    Connection(std::io::Error),
    /// The server has closed the connection.
    Closed,
    /// What came is no answer.
    Broken,
    Status(u16, String),
    /// The answer says another number, or none.
    Unexpected(String, u64),
    /// No session was begun.
    NoCookie,
}

impl Client {
    /// Begins a session, and has it ask for `path` from now on.
    pub async fn set_up(port: u16, path: &str) -> Result<Self, Problem> {
        let mut client = Client::connect(port, "/set-up").await?;
        let answer = client.exchange().await?;
        client.number = number(&answer).ok_or(Problem::Unexpected(answer, 0))?;
        path.clone_into(&mut client.path);
        let Some(cookie) = client.request.split("Cookie: ").nth(1) else {
            return Err(Problem::NoCookie);
        };
        client.request = request(path, Some(cookie.trim_end()));
        Ok(client)
    }

    async fn connect(port: u16, path: &str) -> Result<Self, Problem> {
        let connection = TcpStream::connect(("127.0.0.1", port))
            .await
            .map_err(Problem::Connection)?;
        connection.set_nodelay(true).map_err(Problem::Connection)?;
        Ok(Client {
            connection,
            path: path.to_owned(),
            request: request(path, None),
            received: Vec::with_capacity(4096),
            number: 0,
        })
    }

    /// Asks once; the number in the answer must be `step` more than the one before.
    pub async fn ask(&mut self, step: u64) -> Result<(), Problem> {
        let answer = self.exchange().await?;
        self.number += step;
        if number(&answer) == Some(self.number) {
            Ok(())
        } else {
            Err(Problem::Unexpected(answer, self.number))
        }
    }

    /// Sends the request and gives the body of the answer; takes over the cookie that it sets.
    async fn exchange(&mut self) -> Result<String, Problem> {
        self.connection
            .write_all(self.request.as_bytes())
            .await
            .map_err(Problem::Connection)?;
        loop {
            let read = self.connection.read_buf(&mut self.received).await;
            if read.map_err(Problem::Connection)? == 0 {
                return Err(Problem::Closed);
            }
            let answer = match parse(&self.received) {
                Parsed::Whole(answer) => answer,
                Parsed::Partial => continue,
                Parsed::Broken => return Err(Problem::Broken),
            };
            let body = answer.body.to_owned();
            if answer.status != 200 {
                return Err(Problem::Status(answer.status, body));
            }
            // No request was sent ahead, so nothing may follow.
            if answer.length != self.received.len() {
                return Err(Problem::Broken);
            }
            if let Some(cookie) = answer.cookie {
                self.request = request(&self.path, Some(cookie));
            }
            self.received.clear();
            return Ok(body);
        }
    }
}

/// What the server has allocated until now, count and bytes.
pub async fn allocations(port: u16) -> Result<[u64; 2], Problem> {
    let body = Client::connect(port, "/allocations")
        .await?
        .exchange()
        .await?;
    let numbers = body.split_once(' ');
    numbers
        .and_then(|(count, bytes)| Some([count.parse().ok()?, bytes.parse().ok()?]))
        .ok_or(Problem::Broken)
}

fn request(path: &str, cookie: Option<&str>) -> String {
    let cookie = cookie.map_or_else(String::new, |cookie| format!("Cookie: {cookie}\r\n"));
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n{cookie}\r\n")
}

/// The number at the end of an answer.
fn number(answer: &str) -> Option<u64> {
    answer.rsplit_once(' ')?.1.parse().ok()
}
