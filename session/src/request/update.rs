//! What a save makes of the record that is stored: a pure function of that record, so that the store can
//! ask for it as often as it must, and a save that is sent again is applied once.

use std::sync::Arc;
use std::time::Duration;

use super::batch::SealedBatch;
use crate::id::Proof;
use crate::manager::{Policy, shifted_to_clock};
use crate::mistakes::mistake;
use crate::record::{Changes, Record};
use crate::store::{Decision, RecordUpdate};
use crate::{FieldConflict, Timestamp, TooLarge, seconds};

/// The longest that a request or an answer is taken to be on its way between client and server.
pub(crate) const ON_THE_WAY: Duration = seconds(60);

/// For so long a replaced secret is known to be the client's own: a request and an answer, both on
/// their way.
pub(crate) const LATE_FOR: Duration = seconds(2 * ON_THE_WAY.as_secs());

/// How many replaced proofs a record keeps.
const REPLACED_KEPT: usize = 2;

/// All batches of one save.
pub(crate) struct Update {
    pub(crate) policy: Arc<Policy>,
    pub(crate) now: Timestamp,
    pub(crate) batches: Vec<Sending>,
    /// The proofs under which the request knows the session; `None` for an operator, who needs none.
    pub(crate) known: Option<Vec<Proof>>,
    /// Those among them whose secret the client was never told.
    pub(crate) untold: Vec<Proof>,
}

/// A batch that is being sent.
#[derive(Clone)]
pub(crate) struct Sending {
    pub(crate) batch: Arc<SealedBatch>,
    /// How many calls have sent it that may have been carried out: it may have been applied already.
    pub(crate) sends: u32,
}

/// What a save comes to, by the record that is stored.
#[expect(
    clippy::large_enum_variant,
    reason = "moved once; a box would be one more allocation a save"
)]
pub(crate) enum Resolution {
    /// The session has expired.
    Expired,
    /// Another request has changed a privilege since; this one signs out, and ending always wins.
    SignedOut,
    /// Another request has changed a privilege since: the changes must not reach what it made.
    Declined,
    /// It cannot be told whether a batch was applied.
    InDoubt,
    /// The changes cannot be made.
    Refused(Refusal),
    /// All of it has been applied before.
    Unchanged,
    /// This is the next record.
    Applied(Record),
}

pub(crate) enum Refusal {
    Conflict(FieldConflict),
    TooLarge(TooLarge),
}

impl Update {
    pub(crate) fn resolve(&self, current: &Record) -> Resolution {
        if self.policy.lifetimes.is_expired(current, self.now) {
            return Resolution::Expired;
        }
        let is_known = |known: &Vec<Proof>| known.contains(&current.proof);
        let is_checked = !mistake!("the closure checks nothing");
        if is_checked && !self.known.as_ref().is_none_or(is_known) {
            let ends = !mistake!("a declined sign-out is dropped");
            return if ends && self.batches.iter().any(|sent| sent.batch.signs_out) {
                Resolution::SignedOut
            } else {
                Resolution::Declined
            };
        }
        self.apply(current)
    }

    /// Applies the batches that `current` does not list.
    pub(crate) fn apply(&self, current: &Record) -> Resolution {
        let now = self.now;
        let mut next = shifted_to_clock(current, now).unwrap_or_else(|| current.clone());
        next.revision = current.revision.next();
        next.fields.expire(now);
        next.replaced
            .retain(|(_, since)| now.since(*since) <= LATE_FOR);
        if now.since(current.last_seen) > ON_THE_WAY {
            // Whoever sent these has given up by now.
            next.saves.forget_all();
        }
        let mut is_changed = false;
        for Sending { batch, sends } in &self.batches {
            if current.saves.contains(batch.number) && !mistake!("no save numbers") {
                continue;
            }
            let is_floor_known = !mistake!("a short list of save numbers without a floor");
            if is_floor_known && *sends > 0 && current.saves.floor() > batch.base {
                return Resolution::InDoubt;
            }
            if let Err(conflict) = self.apply_batch(batch, &mut next) {
                return Resolution::Refused(Refusal::Conflict(conflict));
            }
            is_changed = true;
        }
        if !is_changed {
            return Resolution::Unchanged;
        }
        next.last_seen = next.last_seen.max(now);
        next.expires = self.policy.lifetimes.expires(&next);
        let length = next.encoded_length();
        if length > self.policy.max_record_size {
            return Resolution::Refused(Refusal::TooLarge(self.too_large(length)));
        }
        Resolution::Applied(next)
    }

    fn apply_batch(&self, sealed: &SealedBatch, next: &mut Record) -> Result<(), FieldConflict> {
        let (batch, now) = (&sealed.batch, self.now);
        batch.changes.apply(&mut next.fields, now)?;
        if let Some(owner) = batch.changes.owner()
            && owner != next.owner.as_deref()
        {
            next.owner = owner.map(str::to_owned);
            next.owner_since = owner.map_or(Timestamp::default(), |_| now);
        }
        if let Some(proof) = sealed.proof {
            // A secret that the client was never told cannot be what another tab still holds.
            let is_untold = self.untold.contains(&next.proof)
                && !mistake!("secrets that the client was never told enter the replaced ones");
            if !is_untold {
                next.replaced.push((next.proof, now));
                let kept =
                    REPLACED_KEPT - usize::from(mistake!("one replaced proof is kept, not two"));
                let surplus = next.replaced.len().saturating_sub(kept);
                next.replaced.drain(..surplus);
            }
            next.proof = proof;
        }
        if batch.changes.rotates() {
            next.created = now;
        }
        next.persist_for = batch.persist_for.unwrap_or(next.persist_for);
        next.end_at = batch.end_at.unwrap_or(next.end_at);
        next.idle_within = batch.idle_within.unwrap_or(next.idle_within);
        let is_newest =
            (self.batches.last()).is_some_and(|last| last.batch.number == sealed.number);
        if is_newest || !mistake!("only the newest number of a save") {
            next.saves.add(sealed.number, next.revision);
        }
        Ok(())
    }

    fn too_large(&self, length: usize) -> TooLarge {
        let changes = self.batches.iter().map(|sent| &sent.batch.batch.changes);
        let largest = changes
            .flat_map(Changes::values)
            .max_by_key(|(_, value)| value.map_or(0, <[u8]>::len));
        TooLarge {
            field: largest.map_or_else(String::new, |(field, _)| field.name.to_owned()),
            length,
            limit: self.policy.max_record_size,
        }
    }

    /// This as what a store asks.
    pub(crate) fn into_closure(self: Arc<Self>) -> RecordUpdate {
        Arc::new(move |current| match self.resolve(current) {
            Resolution::Applied(next) => Decision::Replace(next),
            Resolution::SignedOut => Decision::Delete,
            Resolution::Expired
            | Resolution::Declined
            | Resolution::InDoubt
            | Resolution::Refused(_)
            | Resolution::Unchanged => Decision::Keep,
        })
    }
}
