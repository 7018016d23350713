//! Locks in memory of other crates beside ours, in one run:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin locks`
//!
//! `lockable` has neither leases nor tokens: it is the bound. The rounds are short and alternate
//! between the crates, so that whatever else the machine does meets all of them; medians are
//! printed. Then what is left in memory of a million names.
//!
//! With the argument `redis` it is locks on one Redis server instead, which it starts for itself.

mod memory;
mod peers;
mod server;

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};

use memory::memory;
use peers::{
    Peer, ash, by_str, lockable, lockable_arc, lockable_owned, ours, ours_on_redis, rslock,
};
use server::Server;

const TASKS: u64 = 8;

/// What is done while a lock is held.
#[derive(Clone, Copy)]
enum Held {
    Nothing,
    /// Lets all others come and wait.
    Yield,
}

async fn cycles(peer: impl Peer, held: Held, count: u64) {
    for _ in 0..count {
        match held {
            Held::Nothing => peer.cycle(ready(())).await,
            Held::Yield => peer.cycle(yield_now()).await,
        }
    }
}

async fn in_tasks(peer: impl Peer, held: Held, count: u64) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(cycles(peer.clone(), held, count / TASKS));
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a task");
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A name, work done so many times, and what one time took, round by round.
struct Column {
    name: &'static str,
    run: Box<dyn Fn(u64) -> Work>,
    nanos: Vec<f64>,
}

impl Column {
    fn new<W>(name: &'static str, run: impl Fn(u64) -> W + 'static) -> Self
    where
        W: Future<Output = ()> + Send + 'static,
    {
        Self {
            name,
            run: Box::new(move |count| Box::pin(run(count))),
            nanos: Vec::new(),
        }
    }

    /// Alone.
    fn alone(name: &'static str, peer: impl Peer, held: Held) -> Self {
        Self::new(name, move |count| cycles(peer.clone(), held, count))
    }

    /// By several tasks.
    fn contended(name: &'static str, peer: impl Peer, held: Held) -> Self {
        Self::new(name, move |count| in_tasks(peer.clone(), held, count))
    }

    fn round(&mut self, runtime: &Runtime, count: u64) {
        let work = (self.run)(count);
        // In a task, as the work of a service is.
        let timed = runtime.spawn(async {
            let start = Instant::now();
            work.await;
            // Tasks that it has begun and left for later come first.
            yield_now().await;
            start.elapsed()
        });
        let took = runtime.block_on(timed).expect("a task");
        self.nanos.push(took.as_nanos() as f64 / count as f64);
    }

    /// In the middle of the rounds, and at their lower and upper quarter.
    fn quartiles(&mut self) -> [f64; 3] {
        self.nanos.sort_by(f64::total_cmp);
        let rounds = self.nanos.len();
        [rounds / 2, rounds / 4, rounds * 3 / 4].map(|at| self.nanos[at])
    }
}

/// How often, and how many times each.
struct Rounds {
    rounds: usize,
    count: u64,
}

fn compare(
    runtime: &Runtime,
    title: &str,
    Rounds { rounds, count }: Rounds,
    mut columns: Vec<Column>,
    targets: &[(&str, &str)],
) {
    for _ in 0..rounds {
        for column in &mut columns {
            column.round(runtime, count);
        }
    }
    println!("\n{title}: median of {rounds} rounds of {count}, and quartiles");
    let mut medians = Vec::new();
    for column in &mut columns {
        let [median, lower, upper] = column.quartiles();
        println!(
            "{:<24} {median:>8.0} ns  {lower:>8.0} {upper:>8.0}",
            column.name
        );
        medians.push((column.name, median));
    }
    let ours = medians[0].1;
    for (name, target) in targets {
        if let Some((_, theirs)) = medians.iter().find(|(other, _)| other == name) {
            let (ratio, inverse) = (ours / theirs, theirs / ours);
            println!("tripod / {name} = {ratio:.2}, inverse {inverse:.2}  ({target})");
        }
    }
}

/// On one thread, so that what a crate leaves to tasks of its own is counted: those begin when the
/// holder first waits for something.
fn alone(runtime: &Runtime) {
    for (title, held) in [
        ("uncontended", Held::Nothing),
        ("uncontended, held while other tasks run", Held::Yield),
    ] {
        let rounds = Rounds {
            rounds: 401,
            count: 1000,
        };
        let columns = vec![
            Column::alone("tripod", ours(), held),
            Column::alone("tripod by &str", by_str(), held),
            Column::alone("lockable", lockable(), held),
            Column::alone("lockable Arc<str>", lockable_arc(), held),
            Column::alone("lockable owned guard", lockable_owned(), held),
            Column::alone("ash-lock", ash(runtime), held),
        ];
        let targets = [
            ("lockable", "target: at most 3"),
            ("lockable Arc<str>", "no target"),
            ("lockable owned guard", "no target"),
            ("ash-lock", "target: inverse at least 4"),
        ];
        compare(runtime, title, rounds, columns, &targets);
    }
}

/// Without `ash-lock`, which has no queue: it looks again after 100 ms and more.
fn contended(runtime: &Runtime) {
    for (title, held) in [
        ("eight tasks, one name", Held::Nothing),
        ("eight tasks, one name, in turn", Held::Yield),
    ] {
        // Long enough that all tasks are under way for most of a round.
        let rounds = Rounds {
            rounds: 41,
            count: 20_000,
        };
        let columns = vec![
            Column::contended("tripod", ours(), held),
            Column::contended("lockable", lockable(), held),
            Column::contended("lockable Arc<str>", lockable_arc(), held),
            Column::contended("lockable owned guard", lockable_owned(), held),
        ];
        let targets = [
            ("lockable", "target: at most 1.5"),
            ("lockable Arc<str>", "no target"),
            ("lockable owned guard", "no target"),
        ];
        compare(runtime, title, rounds, columns, &targets);
    }
}

/// Both with the client `redis`, each by a connection of its own to the same server, with two round
/// trips a cycle.
fn on_redis(runtime: &Runtime) {
    let server = Server::start();
    let url = server.url();
    let ours = runtime.block_on(ours_on_redis(&url));
    let rounds = Rounds {
        rounds: 101,
        count: 100,
    };
    let columns = vec![
        Column::alone("tripod", ours, Held::Nothing),
        Column::alone("rslock", rslock(&url), Held::Nothing),
    ];
    let targets = [("rslock", "target: inverse at least 2")];
    compare(runtime, "Redis, uncontended", rounds, columns, &targets);
}

fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn main() {
    if std::env::args().nth(1).is_some_and(|what| what == "redis") {
        return on_redis(&runtime(1));
    }
    alone(&runtime(1));
    let runtime = runtime(2);
    contended(&runtime);
    runtime.block_on(memory());
}
