//! Locks while everything fails: worker processes that are stopped and killed, a network that
//! delays, stalls, resets and loses answers, a server that is stopped, killed and started again,
//! and a resource that records every write.
//!
//! Workers write down what they believe, on a clock that all processes share; when the run is
//! over, that is judged (`checks`). `TRIPOD_SEED` gives another plan of faults, and the same one
//! again; `TRIPOD_SECONDS` is how long each run takes:
//!
//! ```text
//! TRIPOD_SECONDS=3600 cargo test --all-features --test lock_faults -- redis
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks; not every server is used in every way"
)]

mod checks;
mod clock;
mod history;
mod line;
mod names;
mod plan;
mod process;
mod proxy;
#[path = "../../simulation/random.rs"]
mod random;
mod report;
mod resource;
mod run;
#[path = "../../server/mod.rs"]
mod server;
mod stores;
mod worker;

use std::time::Duration;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};

use checks::Broken;
use report::Report;
use run::{Setup, run};
use server::etcd::EtcdServer;
use server::postgres::PostgresServer;
use server::redis::RedisServer;
use server::zookeeper::ZooKeeperServer;
use stores::Server;
use tripod::lock::PostgresBackend;

/// What this program is when it was started by itself.
#[derive(Debug, clap::Parser)]
enum Role {
    /// Contends for locks.
    Worker(worker::Orders),
    /// Is written to.
    Resource {
        #[arg(long)]
        no_fence: bool,
    },
}

/// As many as there are stores. More would be in each other's way on a machine with two processors.
const RUNS_AT_ONCE: usize = 4;

/// How often a store is run, each time for twice as long, until enough has happened: a machine that
/// is busy with other things lets less happen.
const RUNS_MAX: usize = 3;

/// With which rules a run goes on, and what is expected of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Everything holds.
    Safe,
    /// The server loses what it acknowledged: leases with it, but no order of fencing tokens.
    LosesLeases,
    /// Nobody heeds deadlines: some believe at once.
    CaughtWithoutDeadline,
    /// Nobody fences: stale writes are accepted.
    CaughtWithoutFence,
}

impl Expected {
    /// Whether enough must have happened. Whoever is caught is so by what did.
    fn is_counted(self) -> bool {
        match self {
            Self::Safe | Self::LosesLeases => true,
            Self::CaughtWithoutDeadline | Self::CaughtWithoutFence => false,
        }
    }
}

fn main() {
    let first = std::env::args().nth(1);
    if first.is_some_and(|first| first == "worker" || first == "resource") {
        return runtime().block_on(play(Role::parse()));
    }
    let mut arguments = Arguments::from_args();
    // Each run has a server and processes of its own, which mostly wait.
    arguments.test_threads = arguments.test_threads.or(Some(RUNS_AT_ONCE));
    libtest_mimic::run(&arguments, trials()).exit();
}

fn trials() -> Vec<Trial> {
    vec![
        Trial::test("a_seed_gives_its_plan_again", || {
            a_seed_gives_its_plan_again();
            Ok(())
        }),
        trial("etcd", Expected::Safe, etcd),
        trial("postgres", Expected::Safe, postgres),
        trial("zookeeper", Expected::Safe, zookeeper),
        trial("redis_with_appendfsync_always", Expected::Safe, redis),
        trial(
            "redis_that_forgets_when_killed",
            Expected::LosesLeases,
            redis_in_memory,
        ),
        trial(
            "redis_without_deadlines_is_caught",
            Expected::CaughtWithoutDeadline,
            redis,
        ),
        trial(
            "redis_without_a_fence_is_caught",
            Expected::CaughtWithoutFence,
            redis,
        ),
    ]
}

fn a_seed_gives_its_plan_again() {
    let plan = |seed| {
        let setup = Setup {
            seed,
            ..setup(Expected::Safe)
        };
        setup.plan().to_string()
    };
    assert_eq!(plan(1), plan(1));
    assert_ne!(plan(1), plan(2));
}

async fn etcd() -> Box<dyn Server> {
    Box::new(EtcdServer::start().await)
}

async fn postgres() -> Box<dyn Server> {
    let server = PostgresServer::start_with(&[]);
    PostgresBackend::migrate(server.url()).await.unwrap();
    Box::new(server)
}

async fn zookeeper() -> Box<dyn Server> {
    Box::new(ZooKeeperServer::start().await)
}

async fn redis() -> Box<dyn Server> {
    let options = ["--appendonly", "yes", "--appendfsync", "always"];
    Box::new(RedisServer::start(&options).await)
}

/// A kill does to it what the loss of a machine does to one that does not sync each write.
async fn redis_in_memory() -> Box<dyn Server> {
    Box::new(RedisServer::start(&["--appendonly", "no"]).await)
}

fn trial<F>(name: &str, expected: Expected, start: impl Fn() -> F + Send + 'static) -> Trial
where
    F: Future<Output = Box<dyn Server>>,
{
    let title = name.to_owned();
    Trial::test(name, move || {
        runtime().block_on(async {
            let mut setup = setup(expected);
            for _ in 0..RUNS_MAX {
                let mut server = start().await;
                let history = run(&mut *server, &setup).await;
                let broken = Broken::by(&history);
                println!("{}", Report::new(&title, &setup, &history, &broken));
                let failed = |what| Failed::from(format!("{what}\n{}", setup.plan()));
                judge(expected, &history, &broken).map_err(failed)?;
                let few = report::too_few(&setup, &history);
                if few.is_empty() || !expected.is_counted() {
                    return Ok(());
                }
                println!("  again, for longer: {}", few.join("; "));
                setup.time *= 2;
            }
            Err("too little happened, again and again".into())
        })
    })
}

fn setup(expected: Expected) -> Setup {
    let seconds = match expected {
        Expected::Safe => number("TRIPOD_SECONDS", 60),
        Expected::LosesLeases => number("TRIPOD_SECONDS", 30),
        // As long as it takes to be caught, and a little.
        Expected::CaughtWithoutDeadline | Expected::CaughtWithoutFence => 15,
    };
    Setup {
        seed: number("TRIPOD_SEED", 1),
        time: Duration::from_secs(seconds),
        counted: Duration::from_secs(seconds),
        ttl: Duration::from_secs(2),
        deadline: expected != Expected::CaughtWithoutDeadline,
        fence: expected != Expected::CaughtWithoutFence,
    }
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().unwrap(),
        Err(_) => default,
    }
}

fn judge(expected: Expected, history: &history::History, broken: &Broken) -> Result<(), String> {
    let Broken {
        tokens,
        exclusion,
        fence,
        others,
        afterwards,
    } = broken;
    let unexpected: &[&Vec<String>] = match expected {
        Expected::Safe => &[tokens, exclusion, fence, others, afterwards],
        Expected::LosesLeases if exclusion.is_empty() => {
            return Err("no lease was lost: it shows nothing".into());
        }
        Expected::LosesLeases => &[tokens, fence, afterwards],
        Expected::CaughtWithoutDeadline => {
            return if exclusion.is_empty() {
                Err("no two believed at once".into())
            } else {
                Ok(())
            };
        }
        Expected::CaughtWithoutFence => {
            return if fence.is_empty() {
                Err("no stale write was accepted".into())
            } else {
                Ok(())
            };
        }
    };
    let failures = unexpected.iter().copied().flatten().take(20).cloned();
    let failures: Vec<String> = failures.chain(report::wrong(history)).collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
}

async fn play(role: Role) {
    match role {
        Role::Worker(orders) => {
            println!("works");
            worker::work(orders).await;
        }
        Role::Resource { no_fence } => resource::serve(!no_fence).await,
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}
