//! What a request came with.

/// What a request came with: tells a visitor whose session has ended from one who never had any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arrival {
    /// No session cookie.
    NoCookie,
    /// The token of a live session: this is it.
    Live,
    /// The token that a sign-in of the same client has just replaced: another tab of the client was
    /// faster. The cookie of that sign-in is on its way, so the request reads nothing and changes no
    /// cookie. A guard answers it with 409 and `Retry-After: 0`, so that the page tries again with the
    /// cookie that has arrived meanwhile.
    Late,
    /// The token of a session that has expired and was not swept yet.
    Ended,
    /// A well-formed token that opens no session: the session was destroyed or revoked, was
    /// swept after it had expired, or never was.
    Unknown,
    /// A cookie that holds no token at all.
    Malformed,
}
