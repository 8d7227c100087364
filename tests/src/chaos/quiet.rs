//! When all is quiet, what is stored is compared with what was promised, and nothing is left to doubt.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use session::SessionKey;

use super::app::now;
use super::full;
use super::ledger::{Ledger, Verdict, Violation, is_shared, key_of};
use super::nemesis::sweep;
use super::plan::{Plan, SHARED};
use super::random::Random;
use super::run::Shared;
use super::stored::{Stored, read, settle};
use super::wire::{Line, Sending};
use crate::server::block_on;

/// After how many changes a browser begins a new session, so that answers stay short.
const LONG: usize = 120;

pub(super) fn check(shared: &Shared, random: &mut Random) -> Verdict {
    settle(shared);
    if shared.servers.crashed() > 0 {
        return Err(shared
            .ledger()
            .violation("a server has ended by itself", &[]));
    }
    let stored = read(shared)?;
    let orphans = compare(&mut shared.ledger(), &stored)?;
    resync(&mut shared.ledger(), &stored);
    for key in orphans {
        let _ = block_on(shared.sessions.end(&key));
        shared.ledger().ended(Some(key), 0, "nobody knew of it");
    }
    check_cookies(shared, random)?;
    check_limit(shared, &stored, random)?;
    full::check(shared, random)?;
    for place in 0..shared.servers.count() {
        if !sweep(shared, place) {
            return Err(shared.ledger().violation("a sweep has failed", &[]));
        }
    }
    check_index(shared)?;
    begin_anew(shared, random)?;
    shared.ledger().figures.count("looks at what is stored");
    Ok(())
}

/// Gives the sessions that nobody knew of.
fn compare(
    ledger: &mut Ledger,
    stored: &HashMap<SessionKey, Stored>,
) -> Result<Vec<SessionKey>, Violation> {
    let mut orphans = Vec::new();
    for (key, found) in stored {
        let Some(known) = ledger.sessions.get(key) else {
            let is_explained = |number| ledger.unanswered_creations.contains(number);
            if ledger.unanswered_creations.is_empty() || !found.log.iter().all(is_explained) {
                return Err(ledger.violation(
                    &format!(
                        "a session is stored that nobody has made: {:?}: {}",
                        found.log,
                        ledger.tell_requests(&found.log)
                    ),
                    &[*key],
                ));
            }
            orphans.push(*key);
            continue;
        };
        if known.ended.is_some() {
            return Err(ledger.violation("a session is stored whose end was acknowledged", &[*key]));
        }
        let is_sure = known.is_owner_sure && known.owner_changes == 0;
        if is_sure && known.owner != found.info.owner {
            let what = format!("a session is stored as {:?}'s", found.info.owner);
            return Err(ledger.violation(&what, &[*key]));
        }
        let views = Some(found.views);
        if let Some(what) = ledger.check_data(*key, &found.log, views, &found.fields, now()) {
            return Err(ledger.violation(&format!("stored: {what}"), &[*key]));
        }
        ledger
            .figures
            .count("checks: a stored session holds what was acknowledged");
    }
    let rejects = ledger.limit.is_some_and(|(_, rejects)| rejects);
    let lost = ledger.sessions.iter().find(|(key, known)| {
        let is_untold = rejects && known.untold.is_some();
        let is_excused = known.excuse.is_some() || known.is_shared || is_untold;
        known.ended.is_none()
            && !stored.contains_key(key)
            && !is_excused
            && !known.tokens.is_empty()
    });
    match lost {
        Some((key, _)) => Err(ledger.violation("a session is lost that nobody has ended", &[*key])),
        None => Ok(orphans),
    }
}

/// From here on nothing is in doubt.
fn resync(ledger: &mut Ledger, stored: &HashMap<SessionKey, Stored>) {
    let moment = now();
    ledger.unanswered_creations.clear();
    for (key, known) in &mut ledger.sessions {
        known.clears_in_flight = 0;
        known.owner_changes = 0;
        known.privileged.clear();
        let Some(found) = stored.get(key) else {
            if known.ended.is_none() {
                known.ended = Some((moment, String::from("it is not stored any more")));
            }
            known.log.clear();
            known.gone.clear();
            known.history.truncate(20);
            continue;
        };
        known.owner.clone_from(&found.info.owner);
        known.is_owner_sure = true;
        known.is_shared = found.info.owner.as_deref().is_some_and(is_shared);
        known.excuse = None;
        for (number, acknowledged) in std::mem::take(&mut known.log) {
            if found.log.contains(&number) {
                known.log.insert(number, acknowledged.or(Some(moment)));
            } else {
                known.gone.insert(number, moment);
            }
        }
        for (value, field) in found.fields.iter().zip(&mut known.fields) {
            field.must = (*value > 0).then_some((*value, moment));
            field.sent.retain(|sent| sent == value);
            field.unanswered.clear();
        }
    }
}

fn check_cookies(shared: &Shared, random: &mut Random) -> Verdict {
    let mut line = Line::default();
    let browsers = shared.ledger().jars.len();
    for browser in 0..browsers {
        let jar = shared.ledger().jars[browser].clone();
        let Some(token) = jar else { continue };
        let sending = shared.exchange(Some(browser), None, Plan::read(), &mut line, random)?;
        let is_live = |sending: &Sending| match sending {
            Sending::Answered(answer) => answer.field("arrival") == Some("Live"),
            _ => false,
        };
        if !is_live(&sending) {
            continue;
        }
        let Some(key) = key_of(&token) else { continue };
        let others: Vec<String> = match shared.ledger().sessions.get_mut(&key) {
            Some(known) => {
                known.untold = None;
                let others = known.tokens.iter().rev().filter(|other| **other != token);
                others.take(3).cloned().collect()
            }
            None => Vec::new(),
        };
        for other in others {
            let sending = shared.exchange(None, Some(other), Plan::read(), &mut line, random)?;
            if is_live(&sending) {
                return Err(shared
                    .ledger()
                    .violation("two tokens open one session", &[key]));
            }
            shared
                .ledger()
                .figures
                .count("checks: one token opens a session");
        }
    }
    Ok(())
}

fn check_limit(
    shared: &Shared,
    stored: &HashMap<SessionKey, Stored>,
    random: &mut Random,
) -> Verdict {
    let excuses = std::mem::take(&mut shared.ledger().limit_excuses);
    let Some((limit, rejects)) = shared.ledger().limit else {
        return Ok(());
    };
    let mut line = Line::default();
    for owner in SHARED {
        let owned = |found: &&Stored| found.info.owner.as_deref() == Some(owner);
        let before = stored.values().filter(owned).count();
        let is_excused = excuses.contains_key("") || excuses.contains_key(owner);
        let count = if is_excused {
            "an owner's sessions were counted after a kill"
        } else {
            "checks: an owner has no more sessions than allowed"
        };
        shared.ledger().figures.count(count);
        let surplus = shared.ledger().surplus.remove(owner);
        let allowed = surplus.filter(|_| rejects).unwrap_or(limit);
        if before > allowed && !is_excused {
            let keys: Vec<SessionKey> = stored
                .values()
                .filter(owned)
                .map(|it| it.info.key)
                .collect();
            let what = format!("{owner} has {before} sessions at a limit of {limit}");
            return Err(shared.ledger().violation(&what, &keys));
        }
        if before > limit {
            let mut ledger = shared.ledger();
            ledger.surplus.insert(owner.to_owned(), before);
            let what = "an owner had more sessions than allowed after a kill or a damage";
            ledger.figures.count(what);
        }
        let plan = Plan::default().login(owner);
        let sending = shared.exchange(None, None, plan, &mut line, random)?;
        let found = block_on(shared.sessions.sessions_of(owner)).unwrap_or_default();
        let most = if rejects { before.max(limit) } else { limit };
        if found.len() > most {
            let keys: Vec<SessionKey> = found.iter().map(|info| info.key).collect();
            let what = format!(
                "{owner} has {} sessions at a limit of {limit} after another sign-in",
                found.len()
            );
            return Err(shared.ledger().violation(&what, &keys));
        }
        if let Sending::Answered(answer) = sending
            && let Some(token) = answer.set_cookie
        {
            shared.exchange(
                None,
                Some(token),
                Plan::default().destroy(),
                &mut line,
                random,
            )?;
        }
    }
    Ok(())
}

/// After a sweep: an entry for each record that has an owner, and no other entry.
fn check_index(shared: &Shared) -> Verdict {
    shared.ledger().is_index_damaged = false;
    let stored = read(shared)?;
    let mut entries: HashMap<SessionKey, u32> = HashMap::new();
    let mut owner_of: BTreeMap<String, String> = BTreeMap::new();
    let folders = fs::read_dir(shared.folder.join("owners"));
    for folder in folders.into_iter().flatten().flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let Ok(key) = entry.file_name().to_string_lossy().parse::<SessionKey>() else {
                continue;
            };
            let owner = stored.get(&key).and_then(|found| found.info.owner.clone());
            let Some(owner) = owner else {
                let what = format!("an index entry leads to no record: {name}/{key}");
                return Err(shared.ledger().violation(&what, &[key]));
            };
            if owner_of
                .entry(name.clone())
                .or_insert_with(|| owner.clone())
                != &owner
            {
                let what = format!("an index entry leads to another owner's record: {name}/{key}");
                return Err(shared.ledger().violation(&what, &[key]));
            }
            *entries.entry(key).or_default() += 1;
        }
    }
    for (key, found) in &stored {
        let expected = u32::from(found.info.owner.is_some());
        if entries.get(key).copied().unwrap_or_default() != expected {
            let what = "a record has no entry in the owner index, or two";
            return Err(shared.ledger().violation(what, &[*key]));
        }
    }
    shared
        .ledger()
        .figures
        .count("checks: the owner index is whole");
    Ok(())
}

/// Long sessions and those that no browser holds any more are ended.
fn begin_anew(shared: &Shared, random: &mut Random) -> Verdict {
    let mut line = Line::default();
    let jars = shared.ledger().jars.clone();
    for (browser, jar) in jars.iter().enumerate() {
        let key = jar.as_deref().and_then(key_of);
        let is_long = |known: &super::ledger::Known| known.log.len() > LONG;
        let is_ended =
            key.is_some_and(|key| shared.ledger().sessions.get(&key).is_some_and(is_long));
        if is_ended {
            shared.exchange(
                Some(browser),
                None,
                Plan::default().destroy(),
                &mut line,
                random,
            )?;
        }
    }
    let held: Vec<SessionKey> = jars
        .iter()
        .flatten()
        .filter_map(|jar| key_of(jar))
        .collect();
    let alive: Vec<SessionKey> = {
        let ledger = shared.ledger();
        let alive = ledger
            .sessions
            .iter()
            .filter(|(_, known)| known.ended.is_none());
        alive.map(|(key, _)| *key).collect()
    };
    for key in alive {
        if !held.contains(&key)
            && random.chance(60)
            && block_on(shared.sessions.end(&key)).unwrap_or_default()
        {
            shared
                .ledger()
                .ended(Some(key), 0, "an operator has ended it");
        }
    }
    Ok(())
}
