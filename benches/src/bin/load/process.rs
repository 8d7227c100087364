//! What a process has computed, as the Linux kernel counts it.

use std::fs;
use std::time::Duration;

/// How long the threads that `process` has now have run. A thread that ends takes its part with it,
/// so a difference is right only while none ends.
pub fn processor_time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    let nanos = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        })
        .sum();
    Duration::from_nanos(nanos)
}
