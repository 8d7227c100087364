//! The chaos driver for a few seconds: `chaos --minutes 30` runs it for longer.

use std::process::{Command, Output};

fn driver(seconds: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(["--seconds", seconds, "--evict", "2", "--axum"]);
    command.args(["--probe", env!("CARGO_BIN_EXE_probe")]);
    command
}

fn run(command: &mut Command) -> (Output, String) {
    let output = command.output().expect("the driver runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, said)
}

/// Kills, stops, resets and removed files, with a limit of sessions in actix-web and axum.
#[test]
fn twenty_seconds_of_chaos_break_no_promise() {
    let (output, said) = run(&mut driver("20"));
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

/// The driver is no use unless it finds what is wrong. Most of these take it seconds.
#[cfg(session_mistakes)]
#[test]
fn chaos_finds_planted_mistakes() {
    const MISTAKES: [&str; 10] = [
        "the closure checks nothing",
        "only the proof read at open is known, not the own ones",
        "a new secret for each try",
        "no cookie on a 5xx",
        "evictions and revocations do not look at the owner",
        "an unknown token's cookie is removed",
        "no save numbers",
        "a late request reads the session",
        "a late destroy ends nothing",
        "a declined sign-out is dropped",
    ];
    for mistake in MISTAKES {
        let (output, said) = run(driver("120").args(["--mistake", mistake]));
        println!("{mistake}: {}", said.lines().next().unwrap_or_default());
        assert_eq!(output.status.code(), Some(1), "{mistake}: {said}");
        assert!(said.starts_with("VIOLATION"), "{mistake}: {said}");
    }
}
