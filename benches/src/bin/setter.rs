//! What a setter costs: `objdump -d --no-show-raw-insn target/release/setter | grep -A3 'set_\(in\|through\)_a'`.

use session::{MemoryStore, Session, SessionManager};

#[derive(Debug, Default, Session)]
struct Visit {
    views: u64,
    user: Option<String>,
}

/// A setter of a session.
#[inline(never)]
fn set_through_a_session(session: &mut Session<Visit>, views: u64) {
    session.set_views(views);
}

/// A field of a struct.
#[inline(never)]
fn set_in_a_struct(visit: &mut Visit, views: u64) {
    visit.views = views;
}

fn main() {
    let sessions = SessionManager::new(MemoryStore::new());
    let mut session: Session<Visit> = sessions.create();
    set_through_a_session(&mut session, 7);
    let mut visit = Visit::default();
    set_in_a_struct(&mut visit, 7);
    println!("{} {} {:?}", session.views, visit.views, visit.user);
    session.destroy();
}
