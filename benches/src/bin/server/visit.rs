//! What every session holds, and what every answer says.

use serde::{Deserialize, Serialize};

/// Who is signed in.
pub const USER: &str = "ada.lovelace@example.org";

/// A token of 32 characters.
pub const CSRF: &str = "0123456789abcdef0123456789abcdef";

/// Where the counter begins.
pub const VIEWS: u64 = 41;

/// What the bare servers answer, and the others as long as nothing was written.
pub const ANSWER: &str = "ada.lovelace@example.org 41";

/// A line of a cart.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Line {
    product: u32,
    quantity: u32,
    note: String,
}

/// A cart of five lines.
pub fn cart() -> Vec<Line> {
    let line = |product| Line {
        product,
        quantity: 2,
        note: String::from("gift wrapped"),
    };
    (0..5).map(line).collect()
}

/// What the handlers answer.
pub fn answer(user: &str, views: u64) -> String {
    format!("{user} {views}")
}
