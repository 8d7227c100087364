//! Programs that some tests need and that not every machine has.

use std::process::{Command, Stdio};

/// Whether `program` can be run. When it cannot, the test is left out, loudly; with
/// `SESSION_REQUIRE_TOOLS` set, as in `.ci/run`, it fails.
///
/// # Panics
///
/// When the program is missing and was required.
pub fn has(program: &str, arguments: &[&str]) -> bool {
    let runs = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        runs || std::env::var_os("SESSION_REQUIRE_TOOLS").is_none(),
        "`{program} {}` does not run: .ci/run installs it",
        arguments.join(" ")
    );
    if !runs {
        eprintln!("LEFT OUT: `{program} {}` does not run", arguments.join(" "));
    }
    runs
}
