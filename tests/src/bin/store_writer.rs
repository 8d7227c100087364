//! Works on a filesystem store until it is killed, or does one thing to it when it is told to.
//!
//! `store_writer <folder> <durability> loop <seed>`: creates, saves, renews, signs in and destroys
//! sessions.
//! `store_writer <folder> <durability> save|renew|destroy|create <token>`: says that it is ready, waits
//! for a line, does that once, and says that it is done.

use std::io::{BufRead as _, Write as _};

use session::{CookieChange, Durability, FilesystemStore, Session, SessionManager};
use session_tests::crash::{Payload, USERS};

#[expect(clippy::print_stdout, reason = "it talks to the test that started it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, durability, what, rest] = arguments.as_slice() else {
        return Err("usage: store_writer <folder> <durability> <what> <token or seed>".into());
    };
    let durability = match durability.as_str() {
        "relaxed" => Durability::Relaxed,
        "durable" => Durability::Durable,
        other => return Err(format!("unknown: {other}").into()),
    };
    // One thread for the files, so that a test can count its system calls.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    let store = FilesystemStore::builder(folder)
        .durability(durability)
        .open()?;
    let sessions = SessionManager::new(store);
    if what == "loop" {
        return runtime.block_on(work(&sessions, rest.parse()?));
    }
    let mut session: Session<Payload> = if what == "create" {
        sessions.create()
    } else {
        runtime.block_on(sessions.open(Some(rest)))?
    };
    if what == "save" {
        // Not the first one of this process, which makes files that the later ones write over.
        for number in [3, 1] {
            session.fill(number);
            runtime.block_on(sessions.save(&mut session))?;
        }
    }
    println!("ready");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match what.as_str() {
        "save" | "create" => session.fill(2),
        "renew" => session.set_user(Some(String::from("alice"))),
        "destroy" => session.destroy(),
        other => return Err(format!("unknown: {other}").into()),
    }
    runtime.block_on(sessions.save_if_modified(&mut session))?;
    println!("done");
    Ok(())
}

async fn work(sessions: &SessionManager, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut number = seed;
    let mut next = move || {
        // Any sequence will do, as long as the seed repeats it.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        number >> 33
    };
    let mut tokens: Vec<String> = Vec::new();
    loop {
        if tokens.len() < 4 {
            let mut session: Session<Payload> = sessions.create();
            session.fill(next());
            if let CookieChange::Set { token, .. } = sessions.save(&mut session).await? {
                tokens.push(token.expose());
            }
            continue;
        }
        let index = usize::try_from(next())? % tokens.len();
        let mut session: Session<Payload> = sessions.open(Some(&tokens[index])).await?;
        match next() % 8 {
            0 => {
                sessions.delete(session).await?;
                tokens.swap_remove(index);
                continue;
            }
            1 => session.renew(),
            2 | 3 => {
                let user = USERS[usize::try_from(next())? % USERS.len()];
                session.set_user(Some(user.to_owned()));
            }
            _ => session.fill(next()),
        }
        let change = sessions.save_if_modified(&mut session).await?;
        if let CookieChange::Set { token, .. } = change {
            tokens[index] = token.expose();
        }
    }
}
