//! Locks in memory of other crates beside ours, in one run:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin locks`
//!
//! `lockable` has neither leases nor tokens: it is the bound. The rounds are short and alternate
//! between the crates, so that whatever else the machine does meets all of them; medians are
//! printed. Then what is left in memory of a million names.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Instant;

use ash_lock::{LockClient, LockConfig};
use lockable::{AsyncLimit, LockPool, LockableHashMap};
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tripod::lock::{LockGuard, LockName, Locks, MemoryBackend};

const NAME: &str = "orders/17";
const TASKS: u64 = 8;
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

/// A lock of a certain name, to be acquired and released.
trait Peer: Clone + Send + Sync + 'static {
    /// Acquires, does `held`, releases.
    fn cycle(&self, held: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
struct Ours {
    locks: Locks,
    name: LockName,
}

impl Peer for Ours {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.locks.acquire(black_box(&self.name)).await;
        let guard = guard.expect("a lock");
        held.await;
        assert!(guard.release().await.expect("a release"));
    }
}

/// The same by `&str`.
#[derive(Clone)]
struct OursByStr(Locks);

impl Peer for OursByStr {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.acquire(black_box(NAME)).await.expect("a lock");
        held.await;
        assert!(guard.release().await.expect("a release"));
    }
}

/// A pool, the key made anew as its methods want to own one.
#[derive(Clone)]
struct Lockable(Arc<LockPool<String>>);

impl Peer for Lockable {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.async_lock(black_box(NAME).to_owned()).await;
        held.await;
        drop(guard);
    }
}

/// A pool of the cheapest keys, those that ours has.
#[derive(Clone)]
struct LockableArc {
    pool: Arc<LockPool<Arc<str>>>,
    name: Arc<str>,
}

impl Peer for LockableArc {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self
            .pool
            .async_lock(Arc::clone(black_box(&self.name)))
            .await;
        held.await;
        drop(guard);
    }
}

/// A map, whose guards may outlive the call, as ours may.
#[derive(Clone)]
struct LockableOwned(Arc<LockableHashMap<String, ()>>);

impl Peer for LockableOwned {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let key = black_box(NAME).to_owned();
        let guard = self.0.async_lock_owned(key, AsyncLimit::no_limit()).await;
        held.await;
        drop(guard);
    }
}

#[derive(Clone)]
struct Ash(LockClient);

impl Peer for Ash {
    async fn cycle(&self, held: impl Future<Output = ()> + Send) {
        let guard = self.0.lock(black_box(NAME)).await.acquire().await;
        let guard = guard.expect("a lock");
        held.await;
        guard.unlock().await.expect("a release");
    }
}

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

fn ours() -> Ours {
    Ours {
        locks: Locks::new(MemoryBackend::new()),
        name: LockName::new(NAME).expect("a name"),
    }
}

fn by_str() -> OursByStr {
    OursByStr(Locks::new(MemoryBackend::new()))
}

fn lockable() -> Lockable {
    Lockable(Arc::new(LockPool::new()))
}

fn lockable_arc() -> LockableArc {
    LockableArc {
        pool: Arc::new(LockPool::new()),
        name: Arc::from(NAME),
    }
}

fn lockable_owned() -> LockableOwned {
    LockableOwned(Arc::new(LockableHashMap::new()))
}

fn ash(runtime: &Runtime) -> Ash {
    let client = LockClient::connect(LockConfig::default());
    Ash(runtime.block_on(client).expect("a client"))
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

async fn memory() {
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

fn runtime(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .expect("a runtime")
}

fn main() {
    alone(&runtime(1));
    let runtime = runtime(2);
    contended(&runtime);
    runtime.block_on(memory());
}
