//! What a request has changed and a store has not confirmed yet.

use std::time::Duration;

use crate::id::{Proof, Secret, save_number};
use crate::record::{Changes, Fields, Record, Revision};
use crate::{GenerateError, SessionKey, Timestamp};

/// Changes that are applied as a whole, and once.
#[derive(Clone, Default)]
pub(crate) struct Batch {
    pub(crate) changes: Changes,
    /// Something was set to other than its default, so that a new session is worth storing.
    pub(crate) is_worth_storing: bool,
    /// A save was asked for, whatever has changed.
    pub(crate) is_forced: bool,
    /// A new secret was asked for.
    pub(crate) renew: bool,
    pub(crate) persist_for: Setting<Duration>,
    pub(crate) end_at: Setting<Timestamp>,
    pub(crate) idle_within: Setting<Duration>,
}

/// An entry of the record that is set, removed (`Some(None)`) or left alone.
pub(crate) type Setting<T> = Option<Option<T>>;

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_forced
            && !self.renew
            && self.persist_for.is_none()
            && self.end_at.is_none()
            && self.idle_within.is_none()
            && self.changes.is_empty()
    }

    /// Puts `later` on top of this.
    pub(crate) fn absorb(&mut self, later: Changes, is_worth_storing: bool) {
        self.changes.absorb(later);
        self.is_worth_storing |= is_worth_storing;
    }

    /// Forgets what `record`, in which the fields are `fields` by now, holds already.
    pub(crate) fn retain_effective(&mut self, record: &Record, fields: &Fields) {
        self.changes.retain_effective(fields);
        self.persist_for = self.persist_for.filter(|new| *new != record.persist_for);
        self.end_at = self.end_at.filter(|new| *new != record.end_at);
        self.idle_within = self.idle_within.filter(|new| *new != record.idle_within);
    }

    /// Whether it changes what the session may do: the session gets a new secret.
    pub(crate) fn is_privileged(&self) -> bool {
        self.renew || self.changes.is_cleared() || self.changes.rotates()
    }

    pub(crate) fn signs_in(&self) -> bool {
        matches!(self.changes.owner(), Some(Some(_)))
    }
}

/// A batch that is ready to be sent to the store. From here on it does not change, however often it is
/// sent.
#[derive(Clone)]
pub(crate) struct SealedBatch {
    pub(crate) batch: Batch,
    /// By which the record knows it again.
    pub(crate) number: u64,
    /// What the session is proved by afterwards, if it changes a privilege.
    pub(crate) proof: Option<Proof>,
    /// It takes the session from its owner: a sign-out.
    pub(crate) signs_out: bool,
    /// The revision that was known when it was sealed.
    pub(crate) base: Revision,
}

impl SealedBatch {
    /// Seals `batch`, which changes `record`. Gives the new secret, if it takes one.
    pub(crate) fn seal(
        batch: Batch,
        record: Option<&Record>,
        key: Option<(&str, SessionKey)>,
    ) -> Result<(Self, Option<Secret>), GenerateError> {
        let number = save_number()?;
        let secret = match key {
            Some(_) if batch.is_privileged() => Some(Secret::generate()?),
            _ => None,
        };
        let proof = secret.as_ref().zip(key);
        let proof = proof.map(|(secret, (cookie_name, key))| secret.proof(cookie_name, &key));
        let is_owned = record.is_some_and(|record| record.owner.is_some());
        let signs_out = is_owned && matches!(batch.changes.owner(), Some(None));
        let sealed = SealedBatch {
            number,
            proof,
            signs_out,
            base: record.map_or(Revision::NONE, |record| record.revision),
            batch,
        };
        Ok((sealed, secret))
    }
}
