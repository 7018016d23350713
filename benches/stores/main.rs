//! `cargo bench --all-features --bench stores`: locks on real servers, which it starts for itself,
//! as ratios to the bare operation through the same client, measured in the same run.
//!
//! What is compared takes turns, one step each, and only its own steps count: whatever else the
//! machine does meets all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    dead_code,
    reason = "a bench may stop, and its figures are for people"
)]

mod etcd;
#[path = "../medians/mod.rs"]
mod medians;
mod postgres;
mod redis;
#[path = "../../tests/server/mod.rs"]
mod server;
mod zookeeper;

use std::pin::Pin;
use std::time::{Duration, Instant};

use criterion::Criterion;
use medians::Medians;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;
use tripod::lock::{LockGuard, Locks};

/// The lock that is acquired.
const NAME: &str = "orders/17";
const TTL: Duration = Duration::from_secs(30);

type Step = Pin<Box<dyn Future<Output = Duration>>>;

/// What is measured: a name, and what makes a step. A step does what comes before and after by
/// itself, and answers how long the measured part took.
pub(crate) struct Runner {
    name: &'static str,
    step: Box<dyn FnMut() -> Step>,
}

impl Runner {
    pub(crate) fn new<F>(name: &'static str, mut step: impl FnMut() -> F + 'static) -> Self
    where
        F: Future<Output = Duration> + 'static,
    {
        let step = Box::new(move || Box::pin(step()) as Step);
        Self { name, step }
    }
}

/// Measures these, turn by turn.
pub(crate) fn race(c: &mut Criterion, runtime: &Runtime, group: &str, mut runners: Vec<Runner>) {
    let mut group = c.benchmark_group(group);
    for measured in 0..runners.len() {
        let name = runners[measured].name;
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                runtime.block_on(async {
                    let mut total = Duration::ZERO;
                    for _ in 0..times {
                        for (number, runner) in runners.iter_mut().enumerate() {
                            let took = (runner.step)().await;
                            if number == measured {
                                total += took;
                            }
                        }
                    }
                    total
                })
            });
        });
    }
}

pub(crate) async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let start = Instant::now();
    let answer = work.await;
    (start.elapsed(), answer)
}

/// An acquisition; its release is not counted.
pub(crate) fn acquires(locks: &Locks) -> Runner {
    let locks = locks.clone();
    Runner::new("tripod", move || {
        let locks = locks.clone();
        async move {
            let (took, guard) = timed(acquire(&locks)).await;
            release(guard).await;
            took
        }
    })
}

/// A release; the acquisition before is not counted.
pub(crate) fn releases(locks: &Locks) -> Runner {
    let locks = locks.clone();
    Runner::new("tripod", move || {
        let locks = locks.clone();
        async move {
            let guard = acquire(&locks).await;
            timed(release(guard)).await.0
        }
    })
}

/// How long nothing is asked of the store before a hand-over.
pub(crate) const QUIET: Duration = Duration::from_millis(5);

/// From the call of release until another, who waits, has it.
pub(crate) fn hands_over(one: &Locks, other: &Locks) -> Runner {
    let (one, other) = (one.clone(), other.clone());
    Runner::new("tripod", move || {
        let (one, other) = (one.clone(), other.clone());
        async move {
            let guard = acquire(&one).await;
            let waiter = async {
                let guard = acquire(&other).await;
                (Instant::now(), guard)
            };
            let releaser = async {
                // Until the other waits, and is heard of.
                sleep(QUIET).await;
                let began = Instant::now();
                release(guard).await;
                began
            };
            let ((ended, guard), began) = tokio::join!(waiter, releaser);
            release(guard).await;
            ended - began
        }
    })
}

async fn acquire(locks: &Locks) -> LockGuard {
    locks.acquire(NAME).ttl(TTL).await.unwrap()
}

async fn release(guard: LockGuard) {
    assert!(guard.release().await.unwrap());
}

fn main() {
    let medians = Medians::of("stores");
    let mut criterion = medians.criterion();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    redis::bench(&mut criterion, &runtime);
    etcd::bench(&mut criterion, &runtime);
    postgres::bench(&mut criterion, &runtime);
    zookeeper::bench(&mut criterion, &runtime);
    criterion.final_summary();
    println!("\nratios of medians of this run");
    redis::report(&medians);
    etcd::report(&medians);
    postgres::report(&medians);
    zookeeper::report(&medians);
}
