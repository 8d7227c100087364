//! Drives two probe processes on one folder for some minutes, and says whether all that must hold did.
//!
//! `chaos [--minutes N | --seconds N] [--seed N] [--evict N | --reject N] [--axum] [--probe PATH]
//! [--mistake NAME]`: at most N sessions an owner, the second process one of axum, another probe, and a mistake
//! that a probe makes which was built with `--cfg session_mistakes`. Exits with 1 at the first violation, after
//! the history that led to it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use session_tests::chaos::{Settings, run};

#[expect(clippy::print_stdout, reason = "it is what it is run for")]
fn main() -> ExitCode {
    let (settings, folder) = match settings() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let ran = run(&settings);
    let _ = std::fs::remove_dir_all(folder);
    match ran {
        Ok(summary) => {
            println!("held: {summary}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}

fn settings() -> Result<(Settings, PathBuf), Box<dyn std::error::Error>> {
    let own = std::env::current_exe()?;
    let folder = std::env::temp_dir().join(format!("session-chaos-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let mut settings = Settings {
        duration: Duration::from_mins(1),
        seed: 1,
        probe: own.with_file_name("probe"),
        folder: folder.clone(),
        limit: None,
        is_second_axum: false,
        mistake: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(word) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--minutes" => settings.duration = Duration::from_mins(value()?.parse()?),
            "--seconds" => settings.duration = Duration::from_secs(value()?.parse()?),
            "--seed" => settings.seed = value()?.parse()?,
            "--evict" => settings.limit = Some((value()?.parse()?, false)),
            "--reject" => settings.limit = Some((value()?.parse()?, true)),
            "--axum" => settings.is_second_axum = true,
            "--probe" => settings.probe = value()?.into(),
            "--folder" => settings.folder = value()?.into(),
            "--mistake" => settings.mistake = Some(value()?),
            _ => return Err(format!("unknown argument: {word}").into()),
        }
    }
    Ok((settings, folder))
}
