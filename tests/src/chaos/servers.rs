//! The two server processes on one folder.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// How a server process is started.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) probe: PathBuf,
    pub(super) folder: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) mistake: Option<String>,
}

impl Recipe {
    fn start(&self) -> Option<Running> {
        let mut command = Command::new(&self.probe);
        command.arg(&self.folder).arg("chaos").args(&self.arguments);
        if let Some(mistake) = &self.mistake {
            command.env("SESSION_MISTAKE", mistake);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().ok()?;
        let mut line = String::new();
        let output = child.stdout.take()?;
        BufReader::new(output).read_line(&mut line).ok()?;
        let address = line.trim().parse().ok()?;
        Some(Running { child, address })
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes; a place is empty while its process is not running.
#[derive(Debug)]
pub(super) struct Servers {
    recipes: Vec<Recipe>,
    running: Vec<Mutex<Option<Running>>>,
}

impl Servers {
    /// Starts them all; `None` where one does not run.
    pub(super) fn start(recipes: Vec<Recipe>) -> Option<Self> {
        let mut running = Vec::new();
        for recipe in &recipes {
            running.push(Mutex::new(Some(recipe.start()?)));
        }
        Some(Servers { recipes, running })
    }

    pub(super) fn count(&self) -> usize {
        self.recipes.len()
    }

    pub(super) fn address(&self, place: usize) -> Option<SocketAddr> {
        self.with(place, |running| running.as_ref().map(|it| it.address))
    }

    /// `kill -9`.
    pub(super) fn kill(&self, place: usize) {
        self.with(place, |running| *running = None);
    }

    /// Starts it again; false when it does not run.
    pub(super) fn restart(&self, place: usize) -> bool {
        let started = self.recipes[place].start();
        let is_started = started.is_some();
        self.with(place, |running| *running = started);
        is_started
    }

    pub(super) fn signal(&self, place: usize, signal: Signal) {
        self.with(place, |running| {
            let id = running.as_ref().map(|running| running.child.id());
            let id = id.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
            if let Some(id) = id {
                let _ = kill_process(id, signal);
            }
        });
    }

    /// How many processes have ended that nobody has killed.
    pub(super) fn crashed(&self) -> usize {
        let has_crashed = |place: &usize| {
            self.with(*place, |running| {
                let child = running.as_mut().map(|running| running.child.try_wait());
                matches!(child, Some(Ok(Some(_))))
            })
        };
        (0..self.count()).filter(has_crashed).count()
    }

    fn with<R>(&self, place: usize, work: impl FnOnce(&mut Option<Running>) -> R) -> R {
        let running = self.running[place].lock();
        work(&mut running.unwrap_or_else(PoisonError::into_inner))
    }
}
