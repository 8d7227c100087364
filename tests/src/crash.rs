//! What the crash tests write, in a form in which a mixture of two writes can be told.

use session::Session;

/// A session in which several fields always hold the same number.
#[derive(Debug, Default, Session)]
pub struct Payload {
    /// Who is signed in.
    #[session(rotate, owner)]
    pub user: Option<String>,
    /// A number.
    pub first: u64,
    /// The same number, many times.
    pub many: Vec<u64>,
    /// The same number.
    pub last: u64,
}

/// Those who sign in while the writers are at work.
pub const USERS: [&str; 3] = ["ada", "grace", "alice"];

impl PayloadTracked {
    /// Writes `number` everywhere.
    pub fn fill(&mut self, number: u64) {
        self.set_first(number);
        self.set_many(vec![number; usize::try_from(number % 200).unwrap_or(0)]);
        self.set_last(number);
    }
}

impl Payload {
    /// Whether all of it comes from one write.
    pub fn is_whole(&self) -> bool {
        self.first == self.last
            && self.many.len() as u64 == self.first % 200
            && self.many.iter().all(|number| *number == self.first)
    }
}
