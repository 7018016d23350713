//! `cargo bench --all-features --bench renewals`: what it costs to keep ten thousand leases alive by
//! one handle, as processor time of this process to time that passed; in memory, and on a Redis
//! server, which it starts for itself and whose time does not count. `TRIPOD_SECONDS` is how long
//! it looks, 30 s if nothing else is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a bench may stop, and not all of the servers are used"
)]

#[path = "../tests/server/mod.rs"]
mod server;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::iter;
use rustix::time::{ClockId, clock_gettime};
use server::redis::RedisServer;
use tokio::runtime::Builder;
use tokio::time::sleep;
use tripod::lock::{LockGuard, Locks, MemoryBackend, RedisBackend};

const LEASES: usize = 10_000;
const TTL: Duration = Duration::from_secs(10);

/// Acquisitions under way at a time.
const AT_ONCE: usize = 100;

/// User and system time of all threads of this process.
fn processor_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        spent.tv_sec.try_into().unwrap(),
        spent.tv_nsec.try_into().unwrap(),
    )
}

async fn measure(store: &str, locks: Locks, time: Duration) {
    let acquire = |number| locks.acquire(format!("orders/{number}")).ttl(TTL);
    let acquiring = iter(0..LEASES).map(|number| acquire(number).into_future());
    let guards: Vec<Result<LockGuard, _>> = acquiring.buffer_unordered(AT_ONCE).collect().await;
    let guards: Vec<LockGuard> = guards.into_iter().map(Result::unwrap).collect();
    // Until renewals have spread.
    sleep(TTL).await;
    let (began, spent, before) = (Instant::now(), processor_time(), locks.stats());
    sleep(time).await;
    let (passed, spent) = (began.elapsed(), processor_time().saturating_sub(spent));
    let after = locks.stats();
    let lost = guards.iter().filter(|guard| guard.check().is_err()).count();
    println!(
        "{store}: {:.1} % of one core for {LEASES} leases at a TTL of {TTL:?}; {} renewals in {:.0} s, {} failed; lost {lost}  (target: at most 10, none lost)",
        100.0 * spent.as_secs_f64() / passed.as_secs_f64(),
        after.renewed - before.renewed,
        passed.as_secs_f64(),
        after.renewals_failed - before.renewals_failed,
    );
}

fn main() {
    let seconds = std::env::var("TRIPOD_SECONDS").map(|seconds| seconds.parse().unwrap());
    let time = Duration::from_secs(seconds.unwrap_or(30));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        measure("memory", Locks::new(MemoryBackend::new()), time).await;
        let server = RedisServer::start(&["--appendonly", "no"]).await;
        let store = RedisBackend::connect(server.url()).await.unwrap();
        measure("Redis", Locks::new(store), time).await;
    });
}
