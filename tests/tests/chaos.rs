//! The chaos driver for a few seconds: `chaos --minutes 30` runs it for longer.

use std::process::Command;

/// Kills, stops, resets and removed files, with a limit of sessions in actix-web and axum.
#[test]
fn twenty_seconds_of_chaos_break_no_promise() {
    let output = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["--seconds", "20", "--evict", "2", "--axum"])
        .args(["--probe", env!("CARGO_BIN_EXE_probe")])
        .output()
        .expect("the driver runs");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}
