//! A process that does a turn of its work whenever it is told to, so that a script can run several of
//! them turn by turn. It says `ready`, then reads a line and writes what came of it as a line of
//! JSON, again and again.

use std::io::Write as _;

use serde_json::Value;

/// Does `turn` for every line that comes in, with the words of the line.
///
/// # Panics
///
/// When the script has gone away.
pub fn serve(mut turn: impl FnMut(&[&str]) -> Value) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "ready").expect("somebody reads");
    output.flush().expect("somebody reads");
    for line in std::io::stdin().lines() {
        let line = line.expect("text");
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = turn(&words);
        writeln!(output, "{answer}").expect("somebody reads");
        output.flush().expect("somebody reads");
    }
}

/// The word at `place` among a process's arguments, the first of which is 1.
///
/// # Panics
///
/// When there are fewer.
#[must_use]
pub fn argument(place: usize) -> String {
    std::env::args()
        .nth(place)
        .expect("started by a script of this folder, which gives all arguments")
}

/// The number at `place` among a process's arguments.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn number(place: usize) -> usize {
    argument(place).parse().expect("a number")
}
