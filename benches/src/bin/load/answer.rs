//! As much of HTTP/1.1 as the servers' answers need: a status, `Set-Cookie` and `Content-Length`.

/// One answer.
pub struct Answer<'a> {
    pub status: u16,
    /// `name=value` of the cookie that it sets.
    pub cookie: Option<&'a str>,
    pub body: &'a str,
    /// How many bytes it is long.
    pub length: usize,
}

/// The answer at the beginning of `bytes`.
pub enum Parsed<'a> {
    Whole(Answer<'a>),
    /// More has to come.
    Partial,
    /// It is no answer of such a server.
    Broken,
}

/// Reads an answer.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some(head_length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Parsed::Partial;
    };
    let body = &bytes[head_length + 4..];
    let Some(head) = head(&bytes[..head_length]) else {
        return Parsed::Broken;
    };
    let Some(body) = body.get(..head.body_length) else {
        return Parsed::Partial;
    };
    let Ok(body) = std::str::from_utf8(body) else {
        return Parsed::Broken;
    };
    Parsed::Whole(Answer {
        status: head.status,
        cookie: head.cookie,
        body,
        length: head_length + 4 + head.body_length,
    })
}

struct Head<'a> {
    status: u16,
    cookie: Option<&'a str>,
    body_length: usize,
}

fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let mut lines = std::str::from_utf8(bytes).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let (mut cookie, mut body_length) = (None, None);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("content-length") {
            body_length = Some(value.parse().ok()?);
        } else if name.eq_ignore_ascii_case("set-cookie") {
            cookie = value.split(';').next();
        }
    }
    Some(Head {
        status: status.parse().ok()?,
        cookie,
        body_length: body_length?,
    })
}
