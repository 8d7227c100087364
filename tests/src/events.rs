//! What the library says in the log while a test runs.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Collects every event, at every level, of the threads it is installed on.
#[derive(Debug, Clone, Default)]
pub struct Events(Arc<Mutex<Vec<Line>>>);

/// One event.
#[derive(Debug, Clone)]
pub struct Line {
    /// The value of its field `event`; empty when it has none.
    pub name: String,
    /// Everything in it as text.
    pub text: String,
    /// Its level.
    pub level: tracing::Level,
    /// Where it comes from.
    pub target: String,
}

impl Events {
    /// The names of the library's events so far, in their order; forgets them.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        self.take_lines()
            .into_iter()
            .filter(|line| line.target.starts_with("session") && !line.name.is_empty())
            .map(|line| line.name)
            .collect()
    }

    /// All lines so far; forgets them.
    #[must_use]
    pub fn take_lines(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many events of this name there have been.
    #[must_use]
    pub fn count(&self, name: &str) -> usize {
        self.lines().iter().filter(|line| line.name == name).count()
    }

    /// Collects what the current thread says, for as long as it lives.
    pub fn install_on_this_thread(&self) {
        std::mem::forget(tracing::subscriber::set_default(self.clone()));
    }
}

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line {
            name: String::new(),
            text: String::new(),
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
        };
        event.record(&mut line);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.name);
        }
        let _ = write!(self.text, "{}={value} ", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.text, "{}={value:?} ", field.name());
    }
}
