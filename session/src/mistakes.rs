//! Plausible mistakes in the rules of sessions, each behind a switch that only tests have. A test that
//! explores every order of events switches them on, one at a time, and must find each.

/// Whether a mistake is switched on. In a build that is not for that test this is false, and the compiler
/// leaves nothing of it.
macro_rules! mistake {
    ($name:literal) => {
        $crate::mistakes::is_on($name)
    };
}

pub(crate) use mistake;

#[cfg(not(session_mistakes))]
#[inline]
pub(crate) const fn is_on(_: &'static str) -> bool {
    false
}

#[cfg(session_mistakes)]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The names of all mistakes.
    pub const ALL: &[&str] = &[
        "the closure checks nothing",
        "only the proof read at open is known, not the own ones",
        "a new secret for each try",
        "no cookie on a 5xx",
        "destroy only at the revision it opened with",
        "evictions and revocations do not look at the owner",
        "a sign-in is counted before it is stored only",
        "a new sign-in that is refused ends the last in the order",
        "a sign-in found after doubt is not counted",
        "reload does not compare the proof",
        "an unknown token's cookie is removed",
        "no save numbers",
        "only the newest number of a save",
        "a create in doubt takes a new key at once",
        "a refused sign-in deletes the session",
        "touch at any revision",
        "a late request reads the session",
        "one replaced proof is kept, not two",
        "late for one minute only",
        "secrets that the client was never told enter the replaced ones",
        "taking back goes to what the last save saw",
        "taking back only at the sign-in's own proof",
        "taking back is done again after its answer was lost",
        "destroy after a declined save ends nothing",
        "a late destroy ends nothing",
        "a declined sign-out is dropped",
        "a short list of save numbers without a floor",
        "a 5xx drops what was sent",
        "a refresh repeats the presented cookie",
        "taking back removes the cookie",
        "a session that is given back is not counted",
        "a touch brings an expired session back",
        "a double click on sign-in is an error",
    ];

    static NOW: AtomicUsize = AtomicUsize::new(usize::MAX);

    /// Switches one mistake on, or all off.
    pub fn switch(name: Option<&str>) {
        let place = ALL.iter().position(|known| Some(*known) == name);
        NOW.store(place.unwrap_or(usize::MAX), Ordering::SeqCst);
    }

    pub(crate) fn is_on(name: &'static str) -> bool {
        debug_assert!(ALL.contains(&name), "{name}");
        ALL.get(NOW.load(Ordering::Relaxed)) == Some(&name)
    }
}

#[cfg(session_mistakes)]
pub use switch::*;
