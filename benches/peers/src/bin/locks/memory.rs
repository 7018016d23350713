//! What is left in memory of a million names.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use ash_lock::{LockClient, LockConfig};
use lockable::LockPool;
use tripod::lock::{LockGuard, Locks, MemoryBackend};

const MILLION: u64 = 1_000_000;
/// Guards dropped before the background work is waited for.
const DROPS: u64 = 1000;

/// Counts bytes while it is told to; what it costs else is a load.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);
static ALLOCATIONS: AtomicI64 = AtomicI64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize, sign: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        BYTES.fetch_add(sign * bytes as i64, Ordering::Relaxed);
        ALLOCATIONS.fetch_add(i64::from(sign > 0), Ordering::Relaxed);
    }
}

// SAFETY: it forwards to the system's allocator, and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, 1);
        count(layout.size(), -1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn counts() -> [i64; 2] {
    [&BYTES, &ALLOCATIONS].map(|count| count.load(Ordering::SeqCst))
}

/// Resident memory in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Prints what is left of some work, done once before as well, so that what it keeps for later is
/// there already.
async fn left<W: Future<Output = ()>>(title: &str, work: impl Fn(u64) -> W) {
    work(0).await;
    let (before, rss) = (counts(), resident());
    work(1).await;
    let (after, rss_after) = (counts(), resident());
    let [bytes, allocations] = [0, 1].map(|i| after[i] - before[i]);
    let grown = rss.zip(rss_after);
    let grown = grown.map_or(f64::NAN, |(before, after)| after as f64 - before as f64);
    println!(
        "{title:<34} {bytes:>11} bytes live, {grown:>7} KiB resident, {:.1} allocations a name",
        allocations as f64 / MILLION as f64
    );
}

async fn acquire(locks: &Locks, name: u64) -> LockGuard {
    let guard = locks.acquire(format!("orders/{name}")).await;
    guard.expect("a lock")
}

/// Distinct names, those of each pass others than those of the one before.
fn million(pass: u64) -> impl Iterator<Item = u64> {
    pass * MILLION..(pass + 1) * MILLION
}

pub(crate) async fn memory() {
    println!("\na million names, distinct from the million before: what is left");
    COUNTS.store(true, Ordering::SeqCst);
    let locks = Locks::new(MemoryBackend::new());
    left("tripod, released", async |pass| {
        for name in million(pass) {
            let guard = acquire(&locks, name).await;
            assert!(guard.release().await.expect("a release"));
        }
    })
    .await;
    left("tripod, dropped", async |pass| {
        for name in million(pass) {
            drop(acquire(&locks, name).await);
            if name % DROPS == 0 {
                locks.flush().await.expect("a runtime");
            }
        }
        locks.flush().await.expect("a runtime");
    })
    .await;
    // What the first pass of these leaves is what counts: the most that were ever held at a time.
    left("tripod, all held, then released", async |pass| {
        if pass == 0 {
            return;
        }
        let mut held = Vec::with_capacity(MILLION as usize);
        for name in million(pass) {
            held.push(acquire(&locks, name).await);
        }
        for guard in held {
            assert!(guard.release().await.expect("a release"));
        }
    })
    .await;
    let pool = LockPool::<String>::new();
    left("lockable", async |pass| {
        for name in million(pass) {
            drop(pool.async_lock(format!("orders/{name}")).await);
        }
    })
    .await;
    let client = LockClient::connect(LockConfig::default()).await;
    let client = client.expect("a client");
    left("ash-lock", async |pass| {
        for name in million(pass) {
            let guard = client.lock(&format!("orders/{name}")).await.acquire().await;
            guard.expect("a lock").unlock().await.expect("a release");
        }
    })
    .await;
    COUNTS.store(false, Ordering::SeqCst);
}
