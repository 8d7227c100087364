//! Everything that a field can say about concurrent changes and about itself.
#![deny(warnings, missing_docs, unused, future_incompatible)]
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use session::{Session, merge};

/// Some visit.
#[derive(Debug, Default, Session)]
#[session(prefix = "shop", on_conflict = "reject")]
pub struct Visit<T: Ord + Default = u8> {
    /// Who it is.
    #[session(owner)]
    pub user: Option<u64>,
    /// Shown once.
    #[session(flash)]
    pub notice: Option<String>,
    /// All of these.
    #[session(flash, merge = merge::append)]
    pub notices: Vec<String>,
    /// Words.
    #[session(flash, ttl = "1h 30m")]
    pub words: String,
    /// Ends soon.
    #[session(ttl = "90s", rotate)]
    pub sudo: bool,
    /// Raw.
    #[session(ttl = "7d", rename = "kind")]
    pub r#type: u8,
    /// Counts.
    #[session(merge = merge::sum, default = 7)]
    pub views: u64,
    /// Counts with a path of its own.
    #[session(merge = ::session::merge::max::<T>)]
    pub best: T,
    /// By a generic function of the application's.
    #[session(merge = latest)]
    pub latest: Vec<Option<T>>,
    /// By a method, and by a constant.
    #[session(merge = Score::best)]
    pub score: Score,
    /// By a constant.
    #[session(merge = OURS)]
    pub ours: u16,
    /// Sets.
    #[session(merge = merge::union)]
    pub seen: BTreeSet<u32>,
    /// Maps.
    #[session(merge = merge::per_key)]
    pub amounts: BTreeMap<u32, u32>,
    /// Two as one.
    #[session(group = "cart")]
    pub lines: Vec<u32>,
    /// Two as one.
    #[session(group = "cart")]
    pub total: u64,
    /// As ever.
    #[session(on_conflict = "last-write-wins")]
    pub page: String,
    /// Old.
    #[deprecated]
    #[session(flash, ttl = "1d")]
    pub old: Option<u8>,
}

fn latest<L: PartialEq>(base: &L, ours: L, theirs: L) -> L {
    if *base == ours { theirs } else { ours }
}

/// A score.
#[derive(Debug, Default, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Score(u32);

impl Score {
    fn best(_: &Self, ours: Self, theirs: Self) -> Self {
        Score(ours.0.max(theirs.0))
    }
}

const OURS: fn(&u16, u16, u16) -> u16 = |_, ours, _| ours;

/// Other types that can be flashes.
#[derive(Debug, Default, Session)]
pub struct Flashes {
    #[session(flash)]
    a: VecDeque<u8>,
    #[session(flash)]
    b: HashSet<u8>,
    #[session(flash)]
    c: HashMap<u8, u8>,
    #[session(flash)]
    d: BTreeSet<u8>,
    #[session(flash)]
    e: BTreeMap<u8, u8>,
}

fn handler(session: &mut Session<Visit>) -> (Option<String>, Vec<String>, String) {
    let _: Option<std::time::Duration> = session.expires_in_sudo();
    let _: Option<std::time::Duration> = session.expires_in_type();
    session.notices_mut().push(String::from("hello"));
    (session.take_notice(), session.take_notices(), session.take_words())
}

fn main() {
    let _ = handler;
}
