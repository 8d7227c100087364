//! Which programs meet, and in which worlds.

use session::SessionLimit;

use crate::explore::Case;
use crate::programs::{Op, Program};
use crate::world::Setting;

const PLAIN: Setting = Setting {
    clients: &[None],
    limit: None,
    modifies_in_one_step: true,
    remembers: false,
    step: 1,
};

/// The worlds: one session that nobody owns; two of one owner; at most one session an owner.
const SETTINGS: [Setting; 7] = [
    PLAIN,
    Setting {
        clients: &[Some("ada"), Some("ada")],
        ..PLAIN
    },
    Setting {
        clients: &[Some("ada"), Some("ada")],
        modifies_in_one_step: false,
        ..PLAIN
    },
    Setting {
        clients: &[Some("ada")],
        step: 25_000,
        ..PLAIN
    },
    Setting {
        clients: &[None, Some("ada")],
        remembers: true,
        ..PLAIN
    },
    Setting {
        clients: &[None, Some("ada"), None],
        limit: Some((1, SessionLimit::EvictOldest)),
        ..PLAIN
    },
    Setting {
        clients: &[None, Some("ada"), None],
        limit: Some((1, SessionLimit::RejectNew)),
        ..PLAIN
    },
];

/// What the clients and operators may do.
fn programs(setting: &Setting) -> Vec<Program> {
    let by = |client| move |op| Program { client, op };
    let mut programs: Vec<Program> = [
        Op::Save,
        Op::SaveEarly,
        Op::SaveEarlyThenMore,
        Op::SignIn("ada"),
        Op::SignIn("bob"),
        Op::SignInEarly("ada"),
        Op::SignOut,
        Op::Role,
        Op::RolesThenFail,
        Op::Renew,
        Op::Destroy,
        Op::SaveThenDestroy,
        Op::DestroyAndSet,
        Op::Clear,
        Op::Touch,
        Op::Reload,
        Op::RevokeOthers,
        Op::Revoke("ada", 0),
        Op::RevokeAll("ada"),
        Op::Sweep,
    ]
    .into_iter()
    .map(by(0))
    .collect();
    programs.extend([Op::RevokeOthers, Op::Destroy].into_iter().map(by(1)));
    if setting.limit.is_some() {
        programs.extend(
            [
                Op::SignIn("ada"),
                Op::SignInEarly("ada"),
                Op::SignInEarlyThenRole("ada"),
            ]
            .into_iter()
            .map(by(2)),
        );
    }
    // A client without a session.
    programs.extend(
        [Op::SignIn("ada")]
            .into_iter()
            .map(by(if setting.clients.len() == 3 { 1 } else { 2 })),
    );
    programs
}

/// Every combination of `count` programs, in every world.
pub fn all(count: usize, faults: u32) -> Vec<Case> {
    let mut cases = Vec::new();
    for setting in SETTINGS {
        let programs = programs(&setting);
        let mut places = vec![0; count];
        'combinations: loop {
            cases.push(Case {
                setting,
                programs: places.iter().map(|place| programs[*place]).collect(),
                faults,
            });
            // The next combination with repetition.
            for index in (0..count).rev() {
                if places[index] + 1 < programs.len() {
                    let next = places[index] + 1;
                    places[index..].fill(next);
                    continue 'combinations;
                }
            }
            break;
        }
    }
    cases
}

/// A longer mixture, chosen by these numbers.
pub fn random(mut next: impl FnMut(usize) -> usize) -> Case {
    let setting = SETTINGS[next(SETTINGS.len())];
    let possible = programs(&setting);
    let count = 3 + next(4);
    Case {
        setting,
        programs: (0..count).map(|_| possible[next(possible.len())]).collect(),
        faults: u32::try_from(next(4)).unwrap_or_default(),
    }
}
