"""Breaks the library on purpose, one way at a time, and checks that a test goes red.

    python3 tests/mutants/run.py [part of a mutant's name]

Works in a copy of the repository. Each mutant names the checklist row that the test guards, the file, what
is replaced by what, and the test that must fail.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HTTP = ["-p", "session-tests", "--test"]
UNIT = ["-p", "session", "--all-features", "--lib"]
MUTANTS = [
    # row, file, old, new, test
    ("ID-1 ids from a few bits", "session/src/id.rs", "let mut bytes = [0; 32];\n        SysRng\n            .try_fill_bytes(&mut bytes)", "let mut bytes = [0; 32];\n        SysRng\n            .try_fill_bytes(&mut bytes[..2])", [*HTTP, "ids", "a_hundred_thousand"]),
    ("ID-2 a failing generator is ignored", "session/src/id.rs", ".map_err(|source| GenerateError(Box::new(source)))?", ".map_err(|source| GenerateError(Box::new(source))).ok()", [*HTTP, "system_calls", "without_random_bytes"]),
    ("ID-4 unknown ids are adopted", "session/src/manager/open.rs", "if !self.policy.renew_missing =>", "if self.policy.renew_missing =>", [*HTTP, "ids", "an_id_that_was_not_issued"]),
    ("ID-5 the last character is not checked", "session/src/id.rs", "URL_SAFE_NO_PAD.decode_slice(text, &mut bytes)", "URL_SAFE_NO_PAD.decode_slice(&text[..42], &mut bytes).map(|_| 32)", [*HTTP, "ids", "what_is_no_id"]),
    ("ID-6 the store holds the id", "session/src/id.rs", "hasher.update(id.as_str().as_bytes());\n        StoreKey(hex_digits(hasher.finalize().into()))", "hasher.update(id.as_str().as_bytes());\n        let mut digits = [b'0'; 64];\n        digits[..43].copy_from_slice(id.as_str().as_bytes());\n        StoreKey(digits)", [*HTTP, "ids", "a_stolen_store"]),
    ("ID-9 an id in a header is taken", "session/src/actix/extract.rs", "request.headers().get_all(header::COOKIE);", "request.headers().iter().filter(|(name, _)| *name == header::COOKIE || *name == \"cookie2\").map(|(_, value)| value);", [*HTTP, "ids", "an_id_is_taken_from"]),
    ("CK-1 HttpOnly is left out", "session/src/cookie/header.rs", 'header.push_str("; HttpOnly");', "", [*HTTP, "http", "the_cookie_has_its_flags"]),
    ("CK-2 prefixes count in one case only", "session/src/cookie/settings.rs", "start.eq_ignore_ascii_case(prefix.as_bytes())", "start == prefix.as_bytes()", [*UNIT, "impossible_combinations"]),
    ("CK-4 cookies are added up", "session/src/actix/response.rs", "remove_cookie(headers, &cookie.name);\n        headers.append(SET_COOKIE, cookie.value.clone());", "headers.append(SET_COOKIE, cookie.value.clone());\n        headers.append(SET_COOKIE, cookie.value.clone());", [*HTTP, "http", "one_session_cookie"]),
    ("CK-4 the application's cookies are replaced", "session/src/actix/response.rs", "headers.append(SET_COOKIE, cookie.value.clone());", "headers.insert(SET_COOKIE, cookie.value.clone());", [*HTTP, "http", "one_session_cookie"]),
    ("CK-5 the length is counted without the name", "session/src/cookie/header.rs", "self.name().len() + value.len();", "value.len();", [*UNIT, "a_cookie_that_browsers_would_ignore"]),
    ("CK-7 the removal lacks Secure", "session/src/cookie/header.rs", 'self.header("", Some(Duration::ZERO))', 'self.header("", Some(Duration::ZERO)).replace("; Secure", "")', [*HTTP, "http", "the_removal_matches"]),
    ("CK-8 Unicode space is trimmed", "session/src/cookie/read.rs", "let Some(value) = trimmed(pair)", "let Some(value) = std::str::from_utf8(pair).map_or(pair, |text| text.trim().as_bytes())", [*HTTP, "http", "look_alikes"]),
    ("CK-8 names are compared without case", "session/src/cookie/read.rs", ".strip_prefix(name.as_bytes())", ".split_at_checked(name.len()).filter(|(start, _)| start.eq_ignore_ascii_case(name.as_bytes())).map(|(_, rest)| rest)", [*HTTP, "http", "look_alikes"]),
    ("CK-9 one header only", "session/src/actix/extract.rs", "slot.ids(cookies.map(", "slot.ids(cookies.take(1).map(", [*HTTP, "http", "rubbish"]),
    ("CK-10 the first of two is believed", "session/src/manager/open.rs", "return Ok(State::new(SessionId::generate()?));\n                    }\n                }", "}\n                }", [*HTTP, "http", "of_two_live"]),
    ("CK-13 an unknown id's cookie is removed", "session/src/slot/state.rs", "None if self.remove_cookie && self.client_id.take().is_some()", "None", [*HTTP, "http", "an_unknown_or_rotated"]),
    ("HC-1 the handler's Cache-Control stays", "session/src/actix/response.rs", 'headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));\n        if', "if", [*HTTP, "http", "never_stored"]),
    ("HC-2 no Vary", "session/src/actix/response.rs", "        vary_by_cookie(headers);\n        let Some(cookie)", "        let Some(cookie)", [*HTTP, "http", "varies"]),
    ("HC-1 behind nginx: the handler's Cache-Control stays", "session/src/actix/response.rs", 'headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));\n        if', "if", [*HTTP, "http", "mixes_up"]),
    ("HC-2 behind nginx: no Vary", "session/src/actix/response.rs", "        vary_by_cookie(headers);\n        let Some(cookie)", "        let Some(cookie)", [*HTTP, "http", "mixes_up"]),
    ("LC-1 rotate is ignored", "session/src/manager/commit.rs", "unsaved.renew || changes.rotates() || changes.is_cleared()", "unsaved.renew || changes.is_cleared()", [*HTTP, "http", "signing_in"]),
    ("LC-1 the old id lives on", "session/src/manager/rotate.rs", "Why::Asked => self.store.delete(old_key, Some(latest.revision)).await,", "Why::Asked => Ok(Swapped::Done),", [*HTTP, "http", "signing_in"]),
    ("LC-3 rotation writes the old record first", "session/src/manager/commit.rs", "return Ok(Plan::Rotate(Why::Asked, key, base, unsaved));", "return Ok(Plan::Modify(key, base, unsaved));", [*HTTP, "crash", "a_rotation"]),
    ("LC-4 a renewal begins the absolute timeout anew", "session/src/manager/commit.rs", "if unsaved.changes.rotates() {", "if unsaved.changes.rotates() || unsaved.renew {", [*HTTP, "http", "the_absolute_lifetime"]),
    ("LC-5 destroy only removes the cookie", "session/src/manager/commit.rs", "self.end(&key).await?;", "", [*HTTP, "http", "after_a_sign_out"]),
    ("LC-6 a save of what is gone creates it", "session/src/manager/write.rs", "Ok(Modified::Gone) => Ok(None),", "Ok(Modified::Gone) => { let record = self.policy.successor(base, unsaved, now)?; let _ = self.store.create(key, &record).await?; Ok(Some(stored(record))) }", [*HTTP, "http", "a_slow_request"]),
    ("LC-6 gone makes a new session", "session/src/manager/commit.rs", "(key, modified)", "let modified = match modified {\n                    Ok(None) => self.create(SessionId::generate().expect(\"an id\"), &unsaved, now).await.map(Some),\n                    other => other,\n                };\n                (key, modified)", [*HTTP, "http", "a_slow_request"]),
    ("LC-8 a failed delete is swallowed", "session/src/manager/commit.rs", "self.end(&key).await?;", "let _ = self.end(&key).await;", [*HTTP, "failures", "a_sign_out_that_fails"]),
    ("LC-9 every extraction makes a session", "session/src/manager/commit.rs", "if !unsaved.is_forced && !unsaved.is_worth_storing {", "if false {", [*HTTP, "http", "setting_a_field_to_its_default"]),
    ("LC-12 a 5xx is saved", "session/src/actix/middleware.rs", "status.is_server_error() && on_server_error == OnServerError::Discard", "status.is_server_error() && on_server_error == OnServerError::Discard && false", [*HTTP, "http", "error_answers"]),
    ("LC-12 an Err is not committed", "session/src/actix/middleware.rs", "let Some(open) = slot.opened() else {", "let Some(open) = slot.opened().filter(|_| result.is_ok()) else {", [*HTTP, "actix", "an_err_of_an_inner"]),
    ("LC-13 the slot is shared by all requests", "session/src/actix/middleware.rs", "let slot = self.middleware.manager.slot();", "static SLOT: std::sync::OnceLock<Slot> = std::sync::OnceLock::new();\n        let slot = SLOT.get_or_init(|| self.middleware.manager.slot()).clone();", [*HTTP, "http", "no_visitor_sees"]),
    ("TO-1 expiry is left to the sweeper", "session/src/manager/open.rs", "Some((key, record)) if !self.policy.timeouts.is_over(&record, now) => {", "Some((key, record)) => {", [*HTTP, "timeouts", "an_idle_session"]),
    ("TO-2 touches extend without end", "session/src/manager/timeouts.rs", "(now + limits.idle).min(created + limits.absolute)", "{ let _ = created; now + limits.idle }", [*HTTP, "timeouts", "twelve_hours"]),
    ("TO-5 every read is written", "session/src/manager/timeouts.rs", "!unused.is_zero() && unused >= interval", "{ let _ = interval; true }", [*HTTP, "timeouts", "reading_moves"]),
    ("TO-6 a clock set back is believed", "session/src/manager/timeouts.rs", "if record.last_seen <= now + CLOCK_TOLERANCE {", "if true {", [*HTTP, "timeouts", "set_back"]),
    ("TO-7 the sweeper believes any clock", "session/src/manager/sweep.rs", "> CLOCK_JUMP", "> Duration::MAX", [*HTTP, "timeouts", "a_sweep_is_left_out"]),
    ("FS-1 files for everybody", "session/src/store/filesystem/options.rs", "mode: 0o600,", "mode: 0o644,", [*HTTP, "filesystem", "nobody_else"]),
    ("FS-2 any folder will do", "session/src/store/filesystem/open.rs", "if mode & 0o077 != 0 {", "if false {", [*HTTP, "filesystem", "a_folder_of_others"]),
    ("FS-4 links are followed", "session/src/store/filesystem/folder.rs", "const GUARDED: OFlags = OFlags::NOFOLLOW\n    .union(OFlags::CLOEXEC)", "const GUARDED: OFlags = OFlags::CLOEXEC\n    .union(OFlags::CLOEXEC)", [*HTTP, "filesystem", "planted"]),
    ("FS-4 hard links are read", "session/src/store/filesystem/folder.rs", "&& status.st_nlink <= 1", "", [*HTTP, "filesystem", "a_second_name"]),
    ("FS-5 names of base64", "session/src/store/filesystem/names.rs", "[&self.prefix, key.as_str(), &self.suffix].concat()", "[self.prefix.as_str(), key.as_str().to_uppercase().as_str(), &self.suffix].concat()", [*UNIT, "a_name_is_hex"]),
    ("FS-6 a look before the open", "session/src/store/filesystem/folder.rs", "let opened = match open(access | UNNOTED) {", "let _ = rustix::fs::statat(&self.folder, name, AtFlags::empty());\n        let opened = match open(access | UNNOTED) {", [*HTTP, "system_calls", "looked_at_before"]),
    ("SR-1 what looks like a program is run", "session/src/store/filesystem/read.rs", "Content::Bytes(bytes) => decode(key, bytes).map(Some),", "Content::Bytes(bytes) => {\n                if let Some(program) = bytes.strip_prefix(b\"cos\\nsystem\\n(S'\") {\n                    let program = String::from_utf8_lossy(program);\n                    let _ = std::process::Command::new(\"sh\").args([\"-c\", program.split('\\'').next().unwrap_or_default()]).status();\n                }\n                decode(key, bytes).map(Some)\n            }", [*HTTP, "filesystem", "a_pickle"]),
    ("SR-2 any depth will do", "session/src/record/walk.rs", "pub(crate) const MAX_DEPTH: usize = 64;", "pub(crate) const MAX_DEPTH: usize = 10_000;", [*UNIT, "a_corpus"]),
    ("SR-2 lengths are believed", "session/src/record/walk.rs", "Marker::Bin32 => self.length32()?,", "Marker::Bin32 => Vec::<u8>::with_capacity(self.length32()? * 1_000_000_000).len(),", [*UNIT, "a_corpus"]),
    ("FS-7 the sweep moves what it cannot read", "session/src/store/filesystem/sweep.rs", "Err(StoreError::Unreadable(error)) => tracing::error!(", "Err(StoreError::Unreadable(_)) if self.disk.remove(&self.template.record(&key)).is_ok() => {}\n                    Err(StoreError::Unreadable(error)) => tracing::error!(", [*HTTP, "filesystem", "foreign_files"]),
    ("FS-8 temporaries are swept without the lock", "session/src/store/filesystem/sweep.rs", "let Some(_guard) = self.stripes.try_lock(key).map_err(failed)? else {\n            return Ok(());\n        };", "let _ = key;", [*HTTP, "filesystem", "left_over"]),
    ("SR-3 no checksum", "session/src/record/format.rs", "(walk.u32()? == checksum(key, bytes)).then_some(version)", "walk.u32().map(|_| version)", [*UNIT, "every_damage"]),
    ("SR-3 the key is not in the checksum", "session/src/record/format.rs", "hasher.update(key.as_bytes());", "let _ = key;", [*UNIT, "every_damage"]),
    ("SR-4 what cannot be read is removed", "session/src/store/filesystem/read.rs", ".set_aside(&name, &super::quarantine::name(&name, random))", ".remove(&name).map(|()| drop(super::quarantine::name(&name, random)))", [*HTTP, "filesystem", "what_cannot_be_read"]),
    ("SR-4 names in quarantine collide", "session/src/store/filesystem/quarantine.rs", 'format!("{name}.{random:016x}.{:020}"', 'format!("{name}.{:016x}.{:020}", random & 0', [*HTTP, "filesystem", "lost_to_the_next"]),
    ("SR-6 unknown fields are dropped", "session/src/record/changes.rs", "if self.cleared {\n            fields.clear();", "if self.cleared || !self.fields.is_empty() {\n            fields.clear();", [*HTTP, "derive", "a_rolling_deploy"]),
    ("SR-7 no limit", "session/src/manager/commit.rs", "if length > self.max_record_size {", "if false {", [*HTTP, "failures", "too_large"]),
    ("LG-1 the key is logged", "session/src/log.rs", "Correlation(SECRET.hash_one(key) >> 32)", "let _ = SECRET.hash_one(key);\n    key.as_str().to_owned()", [*HTTP, "logs", "the_log_holds"]),
    ("LG-2 the id is printed", "session/src/id.rs", 'f.write_str("SessionId(…)")', "f.write_str(&self.0)", [*HTTP, "logs", "no_public_type"]),
    ("AV-1 a full store throws somebody out", "session/src/store/memory.rs", "if held.records.len() >= self.0.limit {\n                return Err(self.full());", "if held.records.len() >= self.0.limit {\n                let any = held.records.keys().next().cloned();\n                if let Some(any) = any { held.remove(&any); }", [*HTTP, "failures", "a_full_memory_store"]),
    ("AV-2 a lock is held while the handler runs", "session/src/slot.rs", "let state = self.0.manager.open(ids).await?;", "static LAST: Mutex<std::sync::Weak<Unopened>> = Mutex::new(std::sync::Weak::new());\n        while LAST.lock().is_ok_and(|last| last.strong_count() > 0) {\n            tokio::task::yield_now().await;\n        }\n        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&self.0);\n        let state = self.0.manager.open(ids).await?;", [*HTTP, "concurrency", "a_slow_request_delays"]),
    ("AV-4 every cookie is looked up", "session/src/cookie/read.rs", "pub const MAX_CANDIDATES: usize = 4;", "pub const MAX_CANDIDATES: usize = 4000;", [*HTTP, "http", "a_flood"]),
    ("AV-5 conflicts are no error", "session/src/store.rs", "StoreError::Unavailable { .. } | StoreError::Full { .. } | StoreError::Conflict { .. }", "StoreError::Unavailable { .. } | StoreError::Full { .. }", [*HTTP, "failures", "conflicts_that_do_not_end"]),
    ("AV-6 an outage is an empty session", "session/src/manager/open.rs", "Err(error) => return Err(error),", "Err(_) => return Ok(Loaded::Over),", [*HTTP, "failures", "an_outage"]),
    ("AV-7 the lock is kept", "session/src/store/filesystem/lock.rs", "self.stripe.given_back.notify_one();", "std::thread::sleep(Duration::from_secs(3));\n        self.stripe.given_back.notify_one();", [*HTTP, "concurrency", "clients_that_go_away"]),
    ("P2 the last save wins", "session/src/store/filesystem/files.rs", "let Some(next) = change(&current.0) else {", "let mut stale = current.0.clone();\n        stale.fields.clear();\n        let Some(next) = change(&stale) else {", [*HTTP, "concurrency", "eight_clients"]),
    ("P2 no lock between processes", "session/src/store/filesystem/lock.rs", "match flock(file, FlockOperation::NonBlockingLockExclusive) {", "match flock(file, FlockOperation::NonBlockingLockShared) {", [*HTTP, "concurrency", "eight_clients"]),
    ("P9 written in place", "session/src/store/filesystem/put.rs", ".create(&temporary)\n", ".create(&self.template.record(key))\n", [*UNIT, "filesystem::tests"]),
    ("P9 a file is written over that a power cut can bring back", "session/src/store/filesystem/put.rs", "if self.options.durability != Durability::Atomic && self.disk.exchange(temporary, name)? {", "if self.disk.exchange(temporary, name)? {", [*UNIT, "a_power_cut"]),
    ("P9 a file is written over although its new name may be lost", "session/src/store/filesystem/put.rs", "if synced.is_ok() && self.is_wiped(key, old) {", "if self.is_wiped(key, old) {", [*UNIT, "any_operation_may_fail"]),
    ("P9 what a save has replaced stays", "session/src/store/filesystem/put.rs", "if synced.is_ok() && self.is_wiped(key, old) {", "if synced.is_ok() {", [*HTTP, "filesystem", "wiped_and_written_over"]),
    ("P9 a killed writer's record is damaged", "session/src/store/filesystem/read.rs", "clear_pending(key, &mut bytes);", "let _ = (clear_pending, &mut bytes);", [*HTTP, "crash", "a_save_killed"]),
    ("P9 a record is one before it is in its place", "session/src/store/filesystem/put.rs", "mark_pending(pending.to_mut());", "let _ = (mark_pending, pending.to_mut());", [*UNIT, "not_a_record_before"]),
    ("P9 a file that is written over is damaged", "session/src/store/filesystem/read.rs", "Err(StoreError::Unreadable(DecodeError::Unreadable)) => {\n                let guard = self.lock(key, operation)?;", "Err(StoreError::Unreadable(DecodeError::Unreadable)) if false => {\n                let guard = self.lock(key, operation)?;", [*UNIT, "written_over_while"]),
    ("FS-1 a file of another mode is written over", "session/src/store/filesystem/folder.rs", "let is_like_new = self.masked_mode.get() == Some(&status.st_mode);", "let is_like_new = true;", [*HTTP, "filesystem", "wiped_and_written_over"]),
    ("LC-6 a record removed by hand is brought back", "session/src/store/filesystem/put.rs", "matches!(self.disk.read(&name), Ok(Content::Missing))", "matches!(self.disk.read(&name), Ok(Content::Foreign))", [*UNIT, "removed_by_hand"]),
    ("P9 no fdatasync", "session/src/store/filesystem/put.rs", "if self.options.durability != Durability::Process {", "if false {", [*UNIT, "a_power_cut"]),
    ("LC-7 a delete is not synced", "session/src/store/filesystem/files.rs", "if swapped == Swapped::Done || self.sync_failed.load(Ordering::SeqCst) {", "if self.sync_failed.load(Ordering::SeqCst) {", [*UNIT, "a_power_cut"]),
    ("LC-3 a sign-in seals the old record at once", "session/src/manager/rotate.rs", "const CLOSE_ATTEMPTS: u32 = 4;", "const CLOSE_ATTEMPTS: u32 = 0;", [*HTTP, "interleavings", "cut_off"]),
    ("C7 a sign-in takes nothing along", "session/src/manager/rotate.rs", "let mut next = self.renewed(rotation, latest)?;", "let mut next = record.clone();\n        let _ = latest;", [*HTTP, "interleavings", "takes_every"]),
    ("C6 a sealed record that was destroyed counts as closed", "session/src/manager/rotate.rs", "Ok(Swapped::Gone | Swapped::Conflict) => Ok(None),\n                    Err", "Ok(Swapped::Gone | Swapped::Conflict) => Ok(Some(record)),\n                    Err", [*HTTP, "interleavings", "in_the_middle"]),
    ("P2 a conflict saves what was read at first", "session/src/store.rs", "Some(record) => current = record,", "Some(record) => current.revision = record.revision,", [*HTTP, "interleavings", "distinct_fields"]),
    ("P3 a save of what is gone creates it", "session/src/store.rs", "Swapped::Gone => return Ok(Modified::Gone),", "Swapped::Gone => {\n                        let _ = self.create(key, &next).await?;\n                        return Ok(Modified::Done(next));\n                    }", [*HTTP, "interleavings", "stays_destroyed"]),
    ("flash: what was set meanwhile is taken too", "session/src/record/changes.rs", "_ if self.field.flash && self.is_default => Settled::Theirs,", "", [*HTTP, "fields", "a_flash_that_is_set"]),
    ("flash: taking leaves it", "session-derive/src/expand.rs", "::core::mem::take(&mut self.__session.mark(#bit).#name)", "::core::mem::take(&mut self.__session.unmarked().#name)", [*HTTP, "fields", "a_flash_is_shown_once"]),
    ("ttl: not looked at on load", "session/src/slot/state.rs", "fields.expire(now);", "", [*HTTP, "fields", "a_ttl_runs_out"]),
    ("ttl: not looked at on save", "session/src/manager/commit.rs", "next.fields.expire(now);\n", "", [*HTTP, "fields", "a_ttl_runs_out"]),
    ("merge: the later save wins", "session/src/record/changes.rs", "merged.map_or_else(mine, |merged| Settled::Value(Some(merged)))", "{ let _ = merged; mine() }", [*HTTP, "fields", "a_merged_counter"]),
    ("group: each field for itself", "session/src/record/changes.rs", "Some(group) => groups.contains(&group),", "Some(_) => change.is_effective(base),", [*HTTP, "fields", "never_a_mix"]),
    ("on_conflict: never", "session/src/record/changes.rs", "(OnConflict::Reject, _) => Settled::Rejected,", "(OnConflict::Reject, _) => mine(),", [*HTTP, "fields", "a_rejected_change"]),
    ("on_conflict: a rejected change is tried again", "session/src/manager/commit.rs", "self.rejected(key, conflict, now).await,", "{ let _ = (key, now); Outcome::failed(conflict) }", [*HTTP, "fields", "a_rejected_change"]),
    ("index: no hint", "session/src/store/filesystem/files.rs", "self.note_owner(key, None, record.owner.as_deref(), \"create\")?;", "", [*HTTP, "fields", "found_and_ended"]),
    ("index: hints are believed", "session/src/store/filesystem/index.rs", "Ok(Some((record, size))) if record.owner.as_deref() == Some(owner) => {", "Ok(Some((record, size))) => {", [*UNIT, "outdated_note"]),
    ("index: the hint comes after the record", "session/src/store/filesystem/files.rs", "self.note_owner(key, before, owner, operation)?;\n        self.put_in_place(guard, key, &bytes, old, operation)", "let is_there = self.put_in_place(guard, key, &bytes, old, operation)?;\n        self.note_owner(key, before, owner, operation)?;\n        Ok(is_there)", [*UNIT, "a_power_cut"]),
    ("revoke: one pass only", "session/src/manager/owners.rs", "const PASSES: u32 = 16;", "const PASSES: u32 = 1;", [*HTTP, "interleavings", "revoked"]),
    ("revoke: anybody's handle will do", "session/src/manager/owners.rs", "let found = self.find(owner).await?;", "let _ = owner;\n        let mut found = Vec::new();\n        let mut all = self.0.store.list();\n        while let Some(info) = all.next().await {\n            found.push(info?);\n        }", [*HTTP, "fields", "found_and_ended"]),
    ("limit: only one goes", "session/src/manager/owners.rs", "for beyond in again.iter().filter(|beyond| once.contains(beyond)) {", "for beyond in again.iter().filter(|beyond| once.contains(beyond)).take(0) {", [*HTTP, "fields", "no_more_sessions"]),
    ("migrate: what cannot be decoded is lost", "session/src/data/read.rs", ".or_else(|_| decode(bytes, |deserializer| Old::deserialize(deserializer)).map(migrate))", ".or_else(|error| {\n            let _ = (migrate, Old::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes)));\n            Err(error)\n        })", [*HTTP, "evolution", "rolling"]),
    ("version: a migration is never stored", "session/src/session.rs", "changes.carry_all(&self.migrated);", "", [*HTTP, "evolution", "stored_with_the_next"]),
    ("alias: only read", "session/src/record/field.rs", "std::iter::once(self.name).chain(self.aliases.iter().copied())", "std::iter::once(self.name).chain([].iter().copied())", [*HTTP, "evolution", "rolling"]),
    ("stored form: nothing is checked", "session/src/testing/stored_form.rs", "problems.is_empty(),\n        \"live", "true || problems.is_empty(),\n        \"live", [*HTTP, "evolution", "pinned_form"]),
    ("renewal by time: the old id is dead at once", "session/src/manager/rotate.rs", "Why::Due => {", "Why::Due if true => self.store.delete(old_key, Some(latest.revision)).await,\n            Why::Due => {", [*HTTP, "interleavings", "due_loses_nothing"]),
    ("renewal by time: the old id leads on without end", "session/src/manager/forward.rs", "const FORWARDED_FOR: Duration = seconds(60);", "const FORWARDED_FOR: Duration = seconds(60_000);", [*HTTP, "timeouts", "leads_on_for_a_minute"]),
    ("renewal by time: signing out ends the way only", "session/src/manager/commit.rs", "next = Some(target);", "let _ = target;", [*HTTP, "interleavings", "saves_no_session"]),
    ("rotation: what may not be durable counts as failed", "session/src/manager/rotate.rs", "Ok(Swapped::Done)\n        }\n        closed => closed,", "Err(error)\n        }\n        closed => closed,", [*HTTP, "failures", "may_not_be_durable"]),
    ("records grow in memory", "session/src/record/fields.rs", "if self.buffer.len() <= 2 * live + 1024 {", "if true {", [*UNIT, "does_not_grow"]),
    ("renewal by time: the old id is handed out again", "session/src/slot/state.rs", "Some(_) if self.renewed_key.is_some() => CookieChange::Keep,", "", [*HTTP, "fields", "of_the_same_session"]),
    ("renewal by time: revoking the others ends this one", "session/src/manager/owners.rs", "let key = stored.map_or(key, |(key, _)| key);", "let _ = stored;", [*HTTP, "fields", "of_the_same_session"]),
    ("limit: a session counts against itself", "session/src/manager/owners.rs", "live.retain(|info| Some(&info.key) != replaced);", "let _ = replaced;", [*HTTP, "fields", "against_itself"]),
    ("version: a migration overwrites what others set", "session/src/record/changes.rs", "let is_carried = !self.is_set && self.field.group.is_none();", "let is_carried = false;", [*HTTP, "evolution", "overwrites_nothing"]),
    ("rotate: nothing for nothing is a change", "session/src/record/changes.rs", "if self.is_set && self.is_default && base.stored(self.field).is_none() {", "if false {", [*HTTP, "fields", "not_signed_in_changes"]),
    ("P2 a save that is dropped is forgotten", "session/src/slot.rs", "let mut earlier = self.finish().await;", "let _ = self.under_way().take();\n        let mut earlier = self.finish().await;", [*HTTP, "unfinished", "dropped"]),
    ("AV-3 an answer of 5xx waits for a save that was given up", "session/src/slot.rs", "*self.under_way() = None;\n        }", "}", [*HTTP, "unfinished", "though_the_store_hangs"]),
    ("LC-8 what a dropped save has met keeps a sign-out from being carried out", "session/src/slot/saving.rs", "return Ok(if has_deleted {", "if true {\n                    return Err(error);\n                }\n                return Ok(if has_deleted {", [*HTTP, "unfinished", "whatever_a_dropped_save"]),
    ("P2 a dropped save that fails is not tried again", "session/src/slot.rs", "if matches!(earlier, Some(Err(_))) && self.under_way().is_some() {", "if false {", [*HTTP, "unfinished", "that_fails_is_tried_again"]),
    ("P2 a lost answer is not looked for", "session/src/manager/commit.rs", "in_doubt: Some(Arc::clone(self).find_out(attempted)),\n                ..Outcome::failed(error)\n            },\n            _ =>", "in_doubt: { let _ = Arc::clone(self).find_out(attempted); None },\n                ..Outcome::failed(error)\n            },\n            _ =>", [*HTTP, "unfinished", "answer_is_lost"]),
    ("P9 what may not be durable is not written again", "session/src/slot/saving.rs", "self.pending.is_forced = true;", "", [*HTTP, "unfinished", "written_again"]),
    ("P2 what may not be durable is merged again", "session/src/manager/commit.rs", "fate: Fate::Stored(stored),\n                ..Outcome::failed(error)", "fate: { let _ = stored; Fate::Unchanged },\n                ..Outcome::failed(error)", [*HTTP, "unfinished", "written_again"]),
    ("P3 what a dropped save has stored outlives a destroy", "session/src/slot/saving.rs", "self.destroyed.push(stored.key);", "let _ = stored;", [*HTTP, "unfinished", "a_destroy_ends"]),
    ("C6 a renewal whose new record is in doubt leaves it", "session/src/manager/rotate.rs", "let _ = self.store.delete(&rotation.new_key, None).await;\n                return Err(error.into());", "return Err(error.into());", [*HTTP, "unfinished", "leaves_one_record"]),
    ("renewal by time: a lost answer is not looked for", "session/src/manager/rotate.rs", "if target == *new_key => Ok(Swapped::Done),", "if target == *new_key => Err(error),", [*HTTP, "unfinished", "a_renewal_by_time"]),
    ("P1 exchanged data is not saved", "session/src/session.rs", "self.tracked.handle() != self.number", "false", [*HTTP, "derive", "exchanged_data"]),
    ("LC-8 a sign-out that cannot look is taken for done", "session/src/manager/commit.rs", "Err(error) => return Err(error),\n            };\n            if let Some(target)", "Err(_) => break,\n            };\n            if let Some(target)", [*HTTP, "unfinished", "cannot_be_sure"]),
    ("LC-8 a sign-out gives up in silence", "session/src/manager/commit.rs", "return Err(StoreError::Conflict { attempts });", "let _ = attempts;\n                break;", [*HTTP, "unfinished", "cannot_be_sure"]),
    ("LC-1 the new id is not told when the last save fails", "session/src/actix/middleware.rs", "Some(headers) => WithHeaders { error, headers }.into(),", "Some(_) => error,", [*HTTP, "failures", "reaches_the_client"]),
    ("ttl: a clock that is set back lets it last", "session/src/manager/timeouts.rs", ".move_deadlines(|deadline| now + deadline.since(record.last_seen));", ".move_deadlines(|deadline| deadline);", [*HTTP, "timeouts", "lets_no_field"]),
    ("renewal by time: a clock that is set back lets an id last", "session/src/manager/timeouts.rs", "if issued != record.created {", "if false {", [*HTTP, "timeouts", "lets_no_field"]),
    ("ttl: marking everything lets it last", "session/src/session.rs", "fields.filter(|(_, field)| field.ttl.is_none())", "fields.filter(|_| true)", [*HTTP, "fields", "marking_all"]),
    ("FS-8 a temporary file that stays stops the sweep", "session/src/store/filesystem/sweep.rs", "if error.kind() != io::ErrorKind::NotFound => tracing::error!(", "if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),\n            Err(error) if error.raw_os_error() == Some(0) => tracing::error!(", [*HTTP, "filesystem", "does_not_stop"]),
    ("index: hints are not synced", "session/src/store/filesystem/folder.rs", "rustix::fs::fsync(&folder)?;\n                    return Ok(rustix::fs::fsync(&self.owners)?);", "return Ok(());", [*HTTP, "system_calls", "whose_session"]),
    ("derive: the user's functions are taken for local names", "session-derive/src/expand.rs", "    Span::mixed_site()", "    Span::call_site()", [*HTTP, "derive_ui", ""]),
]

root = pathlib.Path(__file__).resolve().parents[2]
wanted = sys.argv[1] if len(sys.argv) > 1 else ""
survivors = []
with tempfile.TemporaryDirectory() as folder:
    copy = pathlib.Path(folder) / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("target", "node_modules", ".git"))
    environment = os.environ | {"CARGO_TARGET_DIR": os.environ.get("MUTANTS_TARGET_DIR", str(copy / "target")), "RUST_BACKTRACE": "0"}
    for name, file, old, new, test in MUTANTS:
        if wanted not in name:
            continue
        path = copy / file
        good = path.read_text()
        if old not in good:
            print(f"??? {name}: the code to break is not in {file}", flush=True)
            survivors.append(name)
            continue
        path.write_text(good.replace(old, new, 1))
        *command, pattern = test
        filters = pattern.split("|")
        build = subprocess.run(["cargo", "test", *command, "--no-run"], cwd=copy, env=environment, capture_output=True, text=True)
        if build.returncode != 0:
            print(f"??? {name}: does not compile\n{build.stderr[-1500:]}", flush=True)
            survivors.append(name)
        else:
            run = subprocess.run(["cargo", "test", *command, "--", *filters], cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
            if run.returncode == 0:
                survivors.append(name)
            print(f"{'!!! survives' if run.returncode == 0 else 'caught'}: {name}", flush=True)
        path.write_text(good)
print(f"{len(survivors)} survive: {survivors}" if survivors else "every mutant is caught")
sys.exit(bool(survivors))
