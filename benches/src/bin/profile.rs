//! One operation on the filesystem store again and again, to be looked at by a profiler:
//!
//! ```sh
//! target/release/growth populate /tmp/profile 1000
//! strace -c -f target/release/profile load /tmp/profile 1000 10000
//! valgrind --tool=callgrind --dump-instr=yes target/release/profile save /tmp/profile 1000 2000
//! perf record -g -e cpu-clock target/release/profile save /tmp/profile 1000 100000
//! ```
//!
//! Operations: `bare`, `bare_decoded`, `bare_save`, `hop`, `load`, `get`, `save`, `swap`, `touch`, `find`. What the start
//! costs is told by a run with 0 times.

use std::path::PathBuf;

use session_benches::growth::{Population, repeat};
use session_benches::worker::{argument, number};

fn main() {
    let population = Population::new(number(3));
    repeat(
        &population,
        &PathBuf::from(argument(2)),
        &argument(1),
        number(4),
    );
}
