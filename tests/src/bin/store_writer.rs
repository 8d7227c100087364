//! Works on a filesystem store until it is killed, or does one thing to it when it is told to.
//!
//! `store_writer <folder> <durability> loop <seed>`: creates, saves, renews, signs in and destroys
//! sessions.
//! `store_writer <folder> <durability> save|renew|destroy|create <id>`: says that it is ready, waits
//! for a line, does that once, and says that it is done.

use std::io::{BufRead as _, Write as _};

use session::{Durability, FilesystemStore, Session, SessionManager};
use session_tests::crash::{Payload, USERS};

#[expect(clippy::print_stdout, reason = "it talks to the test that started it")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, durability, what, rest] = arguments.as_slice() else {
        return Err("usage: store_writer <folder> <durability> <what> <id or seed>".into());
    };
    let durability = match durability.as_str() {
        "process" => Durability::Process,
        "atomic" => Durability::Atomic,
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
    let sessions = SessionManager::builder(store).build();
    if what == "loop" {
        return runtime.block_on(work(&sessions, rest.parse()?));
    }
    let mut session: Session<Payload> = if what == "create" {
        sessions.create()?
    } else {
        runtime.block_on(sessions.get(Some(rest)))?
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

async fn work(
    sessions: &SessionManager<FilesystemStore>,
    seed: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut number = seed;
    let mut next = move || {
        // Any sequence will do, as long as the seed repeats it.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        number >> 33
    };
    let mut ids: Vec<String> = Vec::new();
    loop {
        if ids.len() < 4 {
            let mut session: Session<Payload> = sessions.create()?;
            session.fill(next());
            sessions.save(&mut session).await?;
            ids.push(session.id().as_str().to_owned());
            continue;
        }
        let index = usize::try_from(next())? % ids.len();
        let mut session: Session<Payload> = sessions.get(Some(&ids[index])).await?;
        match next() % 8 {
            0 => {
                sessions.delete(session).await?;
                ids.swap_remove(index);
            }
            1 => {
                session.renew();
                session.fill(next());
                sessions.save_if_modified(&mut session).await?;
                session.id().as_str().clone_into(&mut ids[index]);
            }
            2 | 3 => {
                let user = USERS[usize::try_from(next())? % USERS.len()];
                session.set_user(Some(user.to_owned()));
                sessions.save_if_modified(&mut session).await?;
                session.id().as_str().clone_into(&mut ids[index]);
            }
            _ => {
                session.fill(next());
                sessions.save_if_modified(&mut session).await?;
            }
        }
    }
}
