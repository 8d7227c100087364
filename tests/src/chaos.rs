//! A black-box driver: browsers, attackers and a nemesis against two real server processes on one folder,
//! for as long as one likes, and what must hold all the time.
//!
//! `app` is the application that is driven. `wire` sends one request. A `plan` is what one request does.
//! The `ledger` knows what each session has been promised; `judge` compares each answer with that,
//! `promise` notes what it promises, and `quiet` compares what is `stored`, whenever all is quiet. `browser`, `attacker` and `nemesis` are the threads;
//! `run` holds them together.

pub mod app;
mod attacker;
mod browser;
mod full;
mod judge;
mod ledger;
mod nemesis;
mod plan;
mod promise;
mod quiet;
mod random;
mod run;
mod servers;
mod stored;
mod wire;

pub use run::{Settings, run};
