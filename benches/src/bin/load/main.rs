//! Asks a server again and again, and measures how long it takes to answer:
//! `load PORT PATH [--connections 32] [--seconds 3 | --requests N] [--warm-up-seconds 1] [--step 0] [--server PID]`.
//!
//! Every connection is kept alive and has a session of its own, begun on `/set-up`. The next request
//! leaves when the answer has come. Each answer must be a 200 and say the number that it must say:
//! `--step` more than the one before. Anything else is an error, and fails the run.
//!
//! Prints one JSON object. `server_cpu_micros` is what the process `--server` has computed a request,
//! the kernel's work on its behalf included.

mod answer;
mod client;
mod process;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use client::{Client, Problem};
use hdrhistogram::Histogram;

struct Options {
    port: u16,
    path: String,
    connections: usize,
    warm_up: Duration,
    until: Until,
    step: u64,
    server: Option<u32>,
}

/// When a run ends.
#[derive(Clone, Copy)]
enum Until {
    Elapsed(Duration),
    Requests(u64),
}

/// What the connections of a run share.
struct Run {
    deadline: Option<Instant>,
    left: Cell<u64>,
    step: u64,
    latencies: RefCell<Histogram<u64>>,
}

fn main() {
    let options = options().unwrap_or_else(|| {
        eprintln!(
            "usage: load PORT PATH [--connections N] [--seconds S | --requests N] \
             [--warm-up-seconds S] [--step N] [--server PID]"
        );
        std::process::exit(2);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    if let Err(problem) = runtime.block_on(tasks.run_until(measure(&options))) {
        eprintln!("{} {}: {problem:?}", options.port, options.path);
        println!("{{\"errors\": 1}}");
        std::process::exit(1);
    }
}

fn options() -> Option<Options> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options {
        port: arguments.next()?.parse().ok()?,
        path: arguments.next()?,
        connections: 32,
        warm_up: Duration::from_secs(1),
        until: Until::Elapsed(Duration::from_secs(3)),
        step: 0,
        server: None,
    };
    while let Some(argument) = arguments.next() {
        let value = arguments.next()?;
        match argument.as_str() {
            "--connections" => options.connections = value.parse().ok()?,
            "--seconds" => options.until = Until::Elapsed(seconds(&value)?),
            "--requests" => options.until = Until::Requests(value.parse().ok()?),
            "--warm-up-seconds" => options.warm_up = seconds(&value)?,
            "--step" => options.step = value.parse().ok()?,
            "--server" => options.server = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

async fn measure(options: &Options) -> Result<(), Problem> {
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(Client::set_up(options.port, &options.path).await?);
    }
    if !options.warm_up.is_zero() {
        let warm_up = Until::Elapsed(options.warm_up);
        (clients, _) = run(clients, warm_up, options.step).await?;
    }

    // What it takes to ask is taken off again.
    let first = client::allocations(options.port).await?;
    let before = client::allocations(options.port).await?;
    let server_before = options.server.map(process::processor_time);
    let own_before = process::processor_time(std::process::id());
    let start = Instant::now();
    let (_clients, latencies) = run(clients, options.until, options.step).await?;
    let elapsed = start.elapsed();
    let own = process::processor_time(std::process::id()) - own_before;
    let server = options
        .server
        .zip(server_before)
        .map(|(server, before)| process::processor_time(server) - before);
    let after = client::allocations(options.port).await?;

    let requests = latencies.len();
    let each = |total: f64| total / requests as f64;
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let asked = |index: usize| (before[index] - first[index]) as f64;
    let allocated = |index: usize| each((after[index] - before[index]) as f64 - asked(index));
    println!(
        "{{\"requests\": {requests}, \"requests_per_second\": {:.1}, \"p50_micros\": {:.1}, \
         \"p99_micros\": {:.1}, \"p999_micros\": {:.1}, \"allocations\": {:.3}, \
         \"allocated_bytes\": {:.1}, \"server_cpu_micros\": {}, \"load_cpu_share\": {:.3}, \
         \"errors\": 0}}",
        requests as f64 / elapsed.as_secs_f64(),
        micros(latencies.value_at_quantile(0.5)),
        micros(latencies.value_at_quantile(0.99)),
        micros(latencies.value_at_quantile(0.999)),
        allocated(0),
        allocated(1),
        server.map_or(String::from("null"), |time| format!(
            "{:.3}",
            each(time.as_secs_f64() * 1e6)
        )),
        own.as_secs_f64() / elapsed.as_secs_f64(),
    );
    Ok(())
}

/// Has all clients ask until it is over.
async fn run(
    clients: Vec<Client>,
    until: Until,
    step: u64,
) -> Result<(Vec<Client>, Histogram<u64>), Problem> {
    let (deadline, left) = match until {
        Until::Elapsed(time) => (Some(Instant::now() + time), u64::MAX),
        Until::Requests(count) => (None, count),
    };
    // Up to a minute in nanoseconds, to three digits.
    let latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("good bounds");
    let run = Rc::new(Run {
        deadline,
        left: Cell::new(left),
        step,
        latencies: RefCell::new(latencies),
    });
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::task::spawn_local(ask(client, Rc::clone(&run))))
        .collect();
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.expect("no task panics")?);
    }
    let latencies = run.latencies.borrow().clone();
    Ok((clients, latencies))
}

async fn ask(mut client: Client, run: Rc<Run>) -> Result<Client, Problem> {
    let mut sent = Instant::now();
    while run.left.get() > 0 && run.deadline.is_none_or(|deadline| sent < deadline) {
        run.left.set(run.left.get() - 1);
        client.ask(run.step).await?;
        let answered = Instant::now();
        let nanos = u64::try_from((answered - sent).as_nanos()).unwrap_or(u64::MAX);
        run.latencies.borrow_mut().saturating_record(nanos);
        sent = answered;
    }
    Ok(client)
}
