//! Every way to change a field, with values that other fields give.
#![deny(warnings)]

use session::{MemoryStore, Session, SessionManager};

struct ClosureResult;

#[derive(Debug, Default, Session)]
struct Visit<R = u8> {
    views: u64,
    lines: Vec<u64>,
    total: u64,
    allowed: Vec<u64>,
    #[session(skip)]
    seen: u64,
    #[session(flash)]
    notice: Option<String>,
    generic: R,
}

fn change(session: &mut Session<Visit>) -> ClosureResult {
    session.update_views(|views| *views += 1);
    session.update_seen(|seen| *seen += 1);
    *session.views_mut() += 1;
    let views = session.views;
    session.set_views(views + 1);
    session.update_generic(|generic| *generic = 7);

    session.update_lines(|lines| lines.extend([1, 2, 3]));
    let last: Option<u64> = session.update_lines(Vec::pop);
    assert_eq!(last, Some(3));

    let total = session.lines.iter().sum();
    session.set_total(total);

    // The companion, borrowed first: arguments can read every field.
    let visit = &mut **session;
    visit.set_total(visit.lines.iter().sum());
    visit.set_views(visit.views + 1);
    visit.allowed_mut().push(1);

    // In place, with another field: that one is moved out for the while.
    let allowed = std::mem::take(visit.allowed_mut());
    visit.update_lines(|lines| lines.retain(|line| allowed.contains(line)));
    visit.set_allowed(allowed);

    session.update_notice(|notice| notice.get_or_insert_default().push_str("saved"));
    session.update_total(|_| ClosureResult)
}

fn main() {
    let sessions = SessionManager::new(MemoryStore::new());
    let mut session: Session<Visit> = sessions.create();
    let ClosureResult = change(&mut session);
    assert_eq!((session.views, session.total, session.seen), (4, 3, 1));
    assert_eq!((session.lines.as_slice(), session.allowed.as_slice()), (&[1][..], &[1][..]));
}
