//! Functions that are named as the local names in generated code.
#![allow(dead_code)]

use session::{Migration, MigrationError, Session};

fn reader() -> u32 {
    1
}
fn data() -> u32 {
    2
}
fn writer() -> u32 {
    3
}
fn bytes() -> u32 {
    4
}
fn sides() -> u32 {
    5
}
fn serializer() -> u32 {
    6
}
fn deserializer() -> u32 {
    7
}
fn value() -> u32 {
    8
}

fn merge(_: &u32, mine: u32, _: u32) -> u32 {
    mine
}
fn migrate(old: String) -> u32 {
    u32::try_from(old.len()).unwrap_or_default()
}
fn formatter(_from: u32, _fields: &mut Migration<'_>) -> Result<(), MigrationError> {
    Ok(())
}

#[derive(Debug, Default, Session)]
#[session(version = 2, migrate = formatter)]
struct Visit {
    #[session(default = reader())]
    a: u32,
    #[session(default = data())]
    b: u32,
    #[session(default = writer())]
    c: u32,
    #[session(default = bytes(), merge = merge)]
    d: u32,
    #[session(default = sides(), merge = merge)]
    e: u32,
    #[session(default = serializer(), with = stored)]
    f: u32,
    #[session(default = deserializer(), with = stored, migrate = migrate)]
    g: u32,
    #[session(default = value(), merge = merge, migrate = migrate)]
    h: u32,
}

mod stored {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::deserialize(deserializer)
    }
}

fn main() {
    let sessions = session::SessionManager::new(session::MemoryStore::new());
    let visit: Session<Visit> = sessions.create();
    let found = [
        visit.a, visit.b, visit.c, visit.d, visit.e, visit.f, visit.g, visit.h,
    ];
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
}
