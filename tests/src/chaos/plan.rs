//! What one request does, as its steps and as what follows from them.

use super::random::Random;

/// Owners that several browsers sign in as.
pub(super) const SHARED: [&str; 3] = ["ada", "bob", "eve"];

/// Whom the attackers sign in as.
pub(super) const ATTACKERS: &str = "mallory";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Revokes {
    #[default]
    Nothing,
    One(session::SessionKey),
    All,
    Others,
}

/// What one request does.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Plan {
    pub(super) steps: Vec<String>,
    /// Adds one, and its number.
    pub(super) adds: bool,
    /// Writes its number to this field.
    pub(super) field: Option<usize>,
    pub(super) is_privileged: bool,
    /// Signs in as this one.
    pub(super) login: Option<String>,
    /// Takes the owner from the session.
    pub(super) leaves: bool,
    pub(super) clears: bool,
    pub(super) destroys: bool,
    pub(super) revokes: Revokes,
    /// Something is saved before the commit.
    pub(super) has_early_save: bool,
    pub(super) fails: bool,
    pub(super) expires: bool,
}

impl Plan {
    pub(super) fn read() -> Self {
        Plan::default()
    }

    pub(super) fn path(&self, number: u64) -> String {
        let steps = if self.steps.is_empty() {
            String::from("read")
        } else {
            self.steps.join(",")
        };
        format!("/do/{number}/{steps}")
    }

    pub(super) fn step(mut self, step: impl Into<String>) -> Self {
        self.steps.push(step.into());
        self
    }

    pub(super) fn think(self, random: &mut Random) -> Self {
        match random.below(4) {
            0 => self.step(format!("think={}", 1 + random.below(40))),
            1 => self.step("think=1"),
            _ => self,
        }
    }

    pub(super) fn add(mut self) -> Self {
        self.adds = true;
        self.step("add")
    }

    pub(super) fn set(mut self, field: usize) -> Self {
        self.field = Some(field);
        self.step(format!("f{field}"))
    }

    pub(super) fn save(mut self) -> Self {
        self.has_early_save = true;
        self.step("save")
    }

    /// A save that may fail.
    fn attempt(mut self) -> Self {
        self.has_early_save = true;
        self.step("attempt")
    }

    pub(super) fn give_up(mut self, random: &mut Random) -> Self {
        self.has_early_save = true;
        self.step(format!("try={}", 1 + random.below(3000)))
    }

    pub(super) fn fail(mut self) -> Self {
        self.fails = true;
        self.step("fail")
    }

    pub(super) fn privileged(mut self, step: &str) -> Self {
        self.is_privileged = true;
        self.step(step)
    }

    pub(super) fn login(mut self, owner: &str) -> Self {
        self.login = Some(owner.to_owned());
        self.privileged(&format!("login={owner}"))
    }

    pub(super) fn leave(mut self) -> Self {
        self.leaves = true;
        self.privileged("leave")
    }

    pub(super) fn clear(mut self) -> Self {
        (self.leaves, self.clears) = (true, true);
        self.privileged("clear")
    }

    pub(super) fn destroy(mut self) -> Self {
        self.destroys = true;
        self.step("destroy")
    }

    pub(super) fn revoke(mut self, revokes: Revokes) -> Self {
        self.revokes = revokes;
        match revokes {
            Revokes::Nothing => self,
            Revokes::One(key) => self.step(format!("revoke={key}")),
            Revokes::All => self.step("revoke-all"),
            Revokes::Others => self.step("revoke-others"),
        }
    }

    pub(super) fn expire(mut self, random: &mut Random) -> Self {
        self.expires = true;
        self.step(format!("end={}", 50 + random.below(400)))
    }

    pub(super) fn changes_owner(&self) -> bool {
        self.login.is_some() || self.leaves || self.destroys
    }

    /// Whether it changes anything by which a session that is not there yet is created.
    pub(super) fn changes(&self) -> bool {
        self.adds || self.field.is_some() || self.login.is_some() || self.is_privileged
    }
}

/// What those do whose session nobody else may end.
pub(super) fn calm(random: &mut Random, field: usize) -> Plan {
    let plan = Plan::default();
    match random.below(100) {
        0..12 => plan.think(random).add(),
        12..24 => plan.add().think(random),
        24..36 => plan.think(random).set(field),
        36..44 => plan.add().set(field).save(),
        44..58 => plan.add().give_up(random).think(random),
        58..62 => plan.add().save().set(field),
        62..64 => plan.add().save().fail(),
        64..66 => plan.add().give_up(random).set(field).give_up(random),
        66..69 => plan.add().fail(),
        69..71 => plan.think(random).privileged("renew"),
        71 => {
            let plan = plan.privileged("renew").save().privileged("renew");
            plan.save().privileged("renew")
        }
        72..80 => plan.think(random).privileged("role").add(),
        80..83 => plan.privileged("role").save().think(random).set(field),
        83..85 => plan.privileged("role").save().fail(),
        85 => plan.privileged("role").give_up(random).add(),
        86 => plan.privileged("role").give_up(random).fail(),
        87..89 => plan.step("reload").add(),
        89..93 => plan.step("devices"),
        _ => Plan::read(),
    }
}

/// What those do who share owners with others.
pub(super) fn wild(random: &mut Random, field: usize, key: Option<session::SessionKey>) -> Plan {
    let plan = Plan::default();
    let owner = SHARED[usize::try_from(random.below(3)).unwrap_or_default()];
    match random.below(100) {
        0..8 => plan.add().think(random),
        8..16 => plan.think(random).add().set(field),
        16..22 => plan.add().give_up(random),
        22..40 => plan.think(random).login(owner).add(),
        40..45 => plan.login(owner).save().add(),
        45..47 => plan.login(owner).save().fail(),
        47..50 => plan.login(owner).give_up(random).think(random),
        50..55 => plan.think(random).privileged("role"),
        55..58 => plan.think(random).privileged("renew"),
        58..62 => plan.think(random).clear(),
        62..66 => plan.think(random).leave(),
        66..69 => plan.think(random).destroy(),
        69 => plan.add().save().destroy(),
        70..72 => plan.add().step("think=30").attempt().destroy(),
        72..74 => plan.think(random).destroy().add(),
        74..76 => plan.destroy().fail(),
        76..81 => match key {
            Some(key) => plan.revoke(Revokes::One(key)),
            None => plan.step("devices"),
        },
        81..84 => plan.revoke(Revokes::All),
        84..88 => plan.revoke(Revokes::Others),
        88..93 => plan.step("devices"),
        93..95 => plan.expire(random).add(),
        _ => Plan::read(),
    }
}
