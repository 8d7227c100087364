//! A program in a process of its own, and looking into it with strace.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server process that prints its address, as the probe does; ends when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Process {
    /// Starts it and waits for its address.
    ///
    /// # Panics
    ///
    /// When it does not run, or prints something else.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("its address");
        let address = line.trim().parse().expect("an address");
        Process { child, address }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `work` while strace is attached to the process with this id, with these arguments.
///
/// # Panics
///
/// When strace does not run.
pub fn traced(process: u32, arguments: &[&str], work: impl FnOnce()) {
    let mut tracer = Command::new("strace")
        .args(["-f", "-qq"])
        .args(arguments)
        .args(["-p", &process.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("strace runs");
    wait_until_traced(process);
    work();
    let tracer_id = i32::try_from(tracer.id()).expect("a pid");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(tracer_id).expect("a pid"),
        rustix::process::Signal::INT,
    )
    .expect("told");
    tracer.wait().expect("strace ends");
}

/// Waits until strace is attached.
///
/// # Panics
///
/// When it does not attach.
pub fn wait_until_traced(process: u32) {
    let status = PathBuf::from(format!("/proc/{process}/status"));
    for _ in 0..2000 {
        let text = std::fs::read_to_string(&status).expect("the process is there");
        if text.contains("State:\tZ") {
            // Killed at its very first call, the one that it was waiting in.
            return;
        }
        if !text.contains("TracerPid:\t0\n") {
            // Attached; what it is to inject is set before it lets the process go on.
            std::thread::sleep(Duration::from_millis(20));
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("strace did not attach");
}
