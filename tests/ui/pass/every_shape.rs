//! Generics, raw identifiers, cfg, local structs, names of our own insides, no fields at all.
#![deny(warnings)]
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use session::{Session, SessionData};

#[derive(Debug, Default, Session)]
struct Generic<T, U = u8, const N: usize = 3>
where
    T: Clone + Ord,
    U: Debug,
{
    items: Vec<T>,
    by_name: BTreeMap<String, Option<T>>,
    other: U,
    #[session(skip)]
    marker: PhantomData<[U; N]>,
}

fn use_generic(session: &mut Session<Generic<String, u16, 7>>) {
    session.items_mut().push(String::new());
    session.set_other(7);
    println!("{session:?}");
}

fn use_any<T>(session: &mut Session<Generic<T>>)
where
    T: Clone + Ord + Default + serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    session.items_mut().clear();
}

#[derive(Default, Session)]
struct Raw {
    r#type: String,
    r#match: Vec<u8>,
    r#async: Option<bool>,
}

fn use_raw(session: &mut Session<Raw>) {
    let kept = session.r#type.clone();
    session.set_type(kept);
    session.match_mut().push(1);
    session.set_async(Some(true));
}

#[derive(Default, Session)]
struct Conditional {
    #[cfg(unix)]
    unix: u8,
    #[cfg(not(unix))]
    other: NoSuchType,
    #[cfg(any())]
    never: AlsoNoSuchType,
    always: u8,
}

fn use_conditional(session: &mut Session<Conditional>) {
    session.set_unix(1);
    let unix = session.unix;
    session.set_always(unix);
}

/// Fields with the names of the handle's insides and of its methods.
#[derive(Default, Session)]
struct Insides {
    tracked: u8,
    slot: u8,
    epoch: u8,
    is_cleared: bool,
    id: u8,
    save: u8,
    renew: u8,
    destroy: u8,
    data: u8,
    changed: u8,
    value: u8,
    reader: u8,
    writer: u8,
    formatter: u8,
    fields: u8,
    __session: u8,
}

fn use_insides(session: &mut Session<Insides>) {
    let Insides { tracked, id, data, .. } = ***session;
    session.set_slot(tracked);
    session.set_value(id);
    session.set_epoch(data);
    let formatter = session.formatter;
    *session.reader_mut() = formatter;
    session.set_save(1);
    session.destroy();
}

#[derive(Default, Session)]
struct Empty {}

#[derive(Default, Session)]
#[session(companion = Changes, prefix = "auth")]
struct Named {
    #[session(with = seconds, default = std::time::Duration::from_secs(7))]
    length: std::time::Duration,
}

mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_secs())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

fn use_named(changes: &mut Changes) {
    changes.set_length(std::time::Duration::ZERO);
}

macro_rules! session_of {
    ($name:ident, $($field:ident: $ty:ty),*) => {
        #[derive(Default, Session)]
        struct $name { $($field: $ty),* }
    };
}
session_of!(FromMacro, one: u8, two: Vec<String>);

fn is_session<T: SessionData>() {}

fn main() {
    #[derive(Default, Session)]
    struct Local {
        user: Option<String>,
    }
    is_session::<Local>();
    is_session::<Empty>();
    is_session::<FromMacro>();
    is_session::<Generic<u8>>();
}
