//! How loads, saves, touches, finds, lists and sweeps on the filesystem store grow with the number of
//! sessions. One step of it: `python3 benches/growth.py` does them all.

use std::path::PathBuf;

use serde_json::{Value, json};
use session_benches::growth::{Population, bare_walk, cold, list, operations, populate, sweep};
use session_benches::worker::{argument, number};

fn main() {
    let path = PathBuf::from(argument(2));
    let population = || Population::new(number(3));
    let told: Value = match argument(1).as_str() {
        "populate" => {
            populate(&population(), &path, false);
            Value::Null
        }
        "restore" => {
            populate(&population(), &path, true);
            Value::Null
        }
        "operations" => operations(&population(), &path, number(4), number(5)),
        "cold" => cold(&population(), &path, number(4), false),
        "forgotten" => cold(&population(), &path, number(4), true),
        "list" => list(&path),
        "sweep_nothing" => sweep(&path, false),
        "sweep_one_in_a_hundred" => sweep(&path, true),
        "bare_names" => bare_walk(&path, "names"),
        "bare_status" => bare_walk(&path, "status"),
        "bare_bytes" => bare_walk(&path, "bytes"),
        other => json!({ "error": format!("no such step: {other}") }),
    };
    println!("{told}");
}
