//! What the documents name exists: links, headings, tests, commands and events.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The documents, as paths from the root and their text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in ["", "docs"] {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let documents = names.filter(|name| Path::new(name).extension().is_some_and(|e| e == "md"));
        paths.extend(documents.map(|name| Path::new(folder).join(name)));
    }
    assert!(paths.len() > 8);
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

/// The text without its blocks of code, and these blocks with their languages.
fn split(text: &str) -> (String, Vec<(&str, &str)>) {
    let (mut prose, mut blocks) = (String::new(), Vec::new());
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 0 {
            prose.push_str(part);
        } else {
            blocks.push(part.split_once('\n').unwrap());
        }
    }
    (prose, blocks)
}

/// What is between `before` and `after`, again and again.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(after)?.0))
        .collect()
}

/// The anchor that a heading has on GitHub.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in documents() {
        let (prose, _) = split(&text);
        for link in between(&prose, "](", ")") {
            if link.starts_with("https://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                root().join(&path)
            } else {
                root().join(&path).parent().unwrap().join(file)
            };
            if !target.exists() {
                broken.push(format!("{}: {link}", path.display()));
            } else if !fragment.is_empty() {
                let target = fs::read_to_string(target).unwrap();
                let (prose, _) = split(&target);
                let mut headings = prose.lines().filter(|line| line.starts_with('#'));
                if !headings.any(|heading| anchor(heading) == fragment) {
                    broken.push(format!("{}: {link}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_test_of_a_promise_is_in_the_file_that_is_named() {
    let text = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let mut count = 0;
    let mut missing = Vec::new();
    for entry in between(&text, "[`", ")") {
        let (name, file) = entry.split_once("`](").unwrap();
        let code = fs::read_to_string(root().join("docs").join(file)).unwrap_or_default();
        let is_there = |next| code.contains(&format!("fn {name}{next}"));
        if !is_there("(") && !is_there("<") {
            missing.push(entry);
        }
        count += 1;
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 40);
    assert!(!text.contains("TODO"));
}

#[test]
fn every_command_is_of_something_that_exists() {
    let packages = ["examples", "tests", "benches", "session"];
    let manifests = packages.map(|package| root().join(package).join("Cargo.toml"));
    let manifests = manifests.map(|path| fs::read_to_string(path).unwrap());
    let mut count = 0;
    for (path, text) in documents() {
        let (_, blocks) = split(&text);
        let commands = blocks.iter().filter(|(language, _)| *language == "sh");
        for line in commands.flat_map(|(_, block)| block.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let exists = match words.as_slice() {
                ["cargo", "run", "--bin", name, ..] => {
                    let entry = format!("name = \"{name}\"");
                    manifests.iter().any(|manifest| manifest.contains(&entry))
                }
                ["cargo", "test", "--workspace", "--all-features", ..] => true,
                ["python3" | "bash", script, ..] => root().join(script).exists(),
                _ => false,
            };
            assert!(exists, "{}: {line}", path.display());
            count += 1;
        }
    }
    assert!(count > 3);
}

/// The events in the library's code and those that the guide explains.
#[test]
fn every_event_is_explained_and_exists() {
    let mut events = BTreeSet::new();
    let mut folders = vec![root().join("session/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = fs::read_to_string(path).unwrap();
            events.extend(
                between(&code, "event = \"", "\"")
                    .into_iter()
                    .map(String::from),
            );
            if code.contains("EndReason::Destroyed => \"destroyed\"") {
                events.extend(["destroyed", "revoked", "evicted", "expired"].map(String::from));
            }
        }
    }
    let guide = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let table = guide.split("| Event | Level |").nth(1).unwrap();
    let rows = table.lines().take_while(|line| !line.starts_with('#'));
    let explained: BTreeSet<String> = rows
        .filter_map(|row| row.strip_prefix("| `")?.split_once(" | "))
        .flat_map(|(names, _)| {
            names
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned())
        })
        .collect();
    assert_eq!(events, explained);
}

#[test]
fn the_walk_through_a_request_counts_its_files() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let walk = between(&text, "## The life of a request", "\n## ")[0];
    let files: BTreeSet<&str> = between(walk, "](", ")").into_iter().collect();
    assert!(
        walk.contains(&format!("{} files", files.len())),
        "{}",
        files.len()
    );
}
