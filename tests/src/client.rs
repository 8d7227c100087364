//! An HTTP client that normalises nothing: cookies go out as the bytes that a test wrote.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use session::SessionKey;

/// A visitor: a connection that is kept alive, and the session cookie as a browser would hold it.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<TcpStream>,
    cookie_name: String,
    cookie: Option<String>,
}

impl Client {
    /// A visitor without a cookie.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Client {
            address,
            connection: None,
            cookie_name: String::from("__Host-id"),
            cookie: None,
        }
    }

    /// The same for a session cookie of another name.
    #[must_use]
    pub fn named(address: SocketAddr, cookie_name: &str) -> Self {
        Client {
            cookie_name: cookie_name.to_owned(),
            ..Client::new(address)
        }
    }

    /// A visitor who presents this cookie value.
    #[must_use]
    pub fn holding(address: SocketAddr, value: &str) -> Self {
        Client {
            cookie: Some(value.to_owned()),
            ..Client::new(address)
        }
    }

    /// The value of the session cookie that the visitor holds.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// The same, of a visitor who must hold one.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn token(&self) -> String {
        self.cookie
            .clone()
            .expect("the visitor holds no session cookie")
    }

    /// The public half of that cookie: what names the session for its whole life.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        crate::server::key_of(&self.token())
    }

    /// Presents `value` from now on.
    pub fn hold(&mut self, value: Option<&str>) {
        self.cookie = value.map(str::to_owned);
    }

    /// `GET`, with the cookie; takes over the cookie that the answer sets.
    pub fn get(&mut self, path: &str) -> Response {
        self.request("GET", path)
    }

    /// `POST` without a body.
    pub fn post(&mut self, path: &str) -> Response {
        self.request("POST", path)
    }

    /// A request without a body by any method.
    pub fn request(&mut self, method: &str, path: &str) -> Response {
        let headers: Vec<Vec<u8>> = self
            .cookie
            .iter()
            .map(|value| format!("Cookie: {}={value}", self.cookie_name).into_bytes())
            .collect();
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        let response = self.raw(method, path, &headers);
        if let Some(value) = response.cookie(&self.cookie_name) {
            self.cookie = (!value.is_empty()).then_some(value);
        }
        response
    }

    /// A request with exactly these header lines, without the cookie; the cookie it sets is not
    /// taken over.
    ///
    /// # Panics
    ///
    /// When the server cannot be reached or does not speak HTTP.
    pub fn raw(&mut self, method: &str, path: &str, headers: &[&[u8]]) -> Response {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
        for line in headers {
            request.extend_from_slice(line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        if let Some(mut kept) = self.connection.take()
            && let Some(response) = exchange(&mut kept, method, &request)
        {
            self.connection = Some(kept);
            return response;
        }
        let mut connection = TcpStream::connect(self.address).expect("the server can be reached");
        connection
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a read time-out can be set");
        connection
            .set_nodelay(true)
            .expect("TCP_NODELAY can be set");
        let response =
            exchange(&mut connection, method, &request).expect("the server answers in HTTP");
        if response.header("connection") != Some("close") {
            self.connection = Some(connection);
        }
        response
    }

    /// Sends a `GET` with the cookie on a connection of its own, and waits for no answer.
    ///
    /// # Panics
    ///
    /// When the server cannot be reached.
    pub fn send(&self, path: &str) -> Unanswered {
        let mut connection = TcpStream::connect(self.address).expect("the server can be reached");
        let cookie = self.cookie.as_ref().map_or_else(String::new, |value| {
            format!("Cookie: {}={value}\r\n", self.cookie_name)
        });
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n");
        connection.write_all(request.as_bytes()).expect("sent");
        Unanswered(connection)
    }

    /// The same, for a request that the server may drop without an answer.
    pub fn try_raw(&self, method: &str, path: &str, headers: &[&[u8]]) -> Option<Response> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
        for line in headers {
            request.extend_from_slice(line);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let mut connection = TcpStream::connect(self.address).ok()?;
        connection
            .set_read_timeout(Some(Duration::from_secs(30)))
            .ok()?;
        exchange(&mut connection, method, &request)
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Unanswered(TcpStream);

impl Unanswered {
    /// The client goes away, in the way that the server notices at once.
    ///
    /// # Panics
    ///
    /// When the connection cannot be reset.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.0, Some(Duration::ZERO))
            .expect("a connection can be reset");
    }
}

/// What the server answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// All headers of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// All `Set-Cookie` headers of the cookie `name`.
    #[must_use]
    pub fn set_cookies(&self, name: &str) -> Vec<&str> {
        self.all("set-cookie")
            .filter(|value| value.starts_with(&format!("{name}=")))
            .collect()
    }

    /// The value that the answer sets the cookie `name` to; empty when it removes it.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let header = *self.set_cookies(name).last()?;
        let (_, rest) = header.split_once('=')?;
        Some(rest.split(';').next().unwrap_or_default().to_owned())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// Whether a cache is told that the answer depends on the cookie.
    #[must_use]
    pub fn varies_by_cookie(&self) -> bool {
        self.all("vary")
            .flat_map(|value| value.split(','))
            .any(|name| name.trim().eq_ignore_ascii_case("cookie"))
    }
}

/// `None` when the connection is closed before a whole answer has come.
fn exchange(connection: &mut TcpStream, method: &str, request: &[u8]) -> Option<Response> {
    connection.write_all(request).ok()?;
    receive(connection, method)
}

/// The answer to a request by `method`.
pub(crate) fn receive(connection: &mut TcpStream, method: &str) -> Option<Response> {
    let mut received = Vec::new();
    let (head_length, status, headers) = loop {
        if let Some(head) = parse_head(&received) {
            break head;
        }
        read_more(connection, &mut received)?;
    };
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    let mut rest = received.split_off(head_length);
    if method == "HEAD" || status == 204 || status == 304 || status == 101 {
        return Some(response);
    }
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = read_chunks(connection, rest)?;
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().ok()?;
        while rest.len() < length {
            read_more(connection, &mut rest)?;
        }
        response.body = rest;
    }
    Some(response)
}

type Head = (usize, u16, Vec<(String, String)>);

fn parse_head(received: &[u8]) -> Option<Head> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(received).ok()? else {
        return None;
    };
    let headers = response
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    Some((length, response.code?, headers))
}

fn read_chunks(connection: &mut TcpStream, mut received: Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match httparse::parse_chunk_size(&received).ok()? {
            httparse::Status::Partial => read_more(connection, &mut received)?,
            httparse::Status::Complete((start, size)) => {
                let size = usize::try_from(size).ok()?;
                while received.len() < start + size + 2 {
                    read_more(connection, &mut received)?;
                }
                body.extend_from_slice(&received[start..start + size]);
                received.drain(..start + size + 2);
                if size == 0 {
                    return Some(body);
                }
            }
        }
    }
}

fn read_more(connection: &mut TcpStream, received: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 8192];
    match connection.read(&mut buffer) {
        Ok(0) | Err(_) => None,
        Ok(length) => {
            received.extend_from_slice(&buffer[..length]);
            Some(())
        }
    }
}
