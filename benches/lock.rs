//! `cargo bench --bench lock`: what a lock in memory costs, alone and in a queue, as ratios to a
//! plain map of mutexes, measured in the same run.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a bench may stop, and its figures are for people"
)]

mod medians;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use medians::Medians;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OwnedMutexGuard;
use tokio::task::{JoinSet, yield_now};
use tripod::lock::{
    Enqueued, Entry, HolderId, LockBackend, LockGuard, LockName, Locks, MemoryBackend, Request,
};

const NAMES: usize = 10_000;
const TASKS: u64 = 8;
/// Guards dropped before the background work is waited for.
const DROPS: u64 = 1000;
const TTL: Duration = Duration::from_secs(30);

/// Mutexes by name, for as long as they are in use: what one would write without leases.
#[derive(Clone, Default)]
struct Mutexes(Arc<parking_lot::Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>>);

struct MutexesGuard {
    mutexes: Mutexes,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Mutexes {
    async fn lock(&self, name: &str) -> MutexesGuard {
        let mutex = Arc::clone(self.0.lock().entry(name.to_owned()).or_default());
        MutexesGuard {
            mutexes: self.clone(),
            name: name.to_owned(),
            guard: Some(mutex.lock_owned().await),
        }
    }
}

impl Drop for MutexesGuard {
    fn drop(&mut self) {
        let mut mutexes = self.mutexes.0.lock();
        self.guard = None;
        if let Slot::Occupied(slot) = mutexes.entry(std::mem::take(&mut self.name))
            && Arc::strong_count(slot.get()) == 1
        {
            slot.remove();
        }
    }
}

fn locks() -> Locks {
    Locks::new(MemoryBackend::new())
}

fn name(number: usize) -> LockName {
    LockName::new(format!("orders/{number}")).unwrap()
}

fn names() -> Arc<[LockName]> {
    (0..NAMES).map(name).collect()
}

async fn acquire(locks: &Locks, name: &LockName) -> LockGuard {
    locks.acquire(black_box(name)).await.unwrap()
}

async fn release(guard: LockGuard) {
    assert!(guard.release().await.unwrap());
}

/// Measures the work that `work` returns for a number of times, in a task of its own.
fn bench<W>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    id: &str,
    work: impl Fn(u64) -> W,
) where
    W: Future<Output = ()> + Send + 'static,
{
    group.bench_function(id, |b| {
        b.iter_custom(|times| {
            let work = work(times);
            let timed = async {
                let start = Instant::now();
                work.await;
                start.elapsed()
            };
            runtime.block_on(runtime.spawn(timed)).unwrap()
        });
    });
}

fn uncontended(c: &mut Criterion, runtime: &Runtime) {
    let mut group = c.benchmark_group("lock_uncontended");
    group.throughput(Throughput::Elements(1));
    bench(&mut group, runtime, "mutexes", |times| {
        let mutexes = Mutexes::default();
        async move {
            for _ in 0..times {
                drop(mutexes.lock(black_box("orders/17")).await);
            }
        }
    });
    bench(&mut group, runtime, "prepared_name", |times| {
        let (locks, name) = (locks(), name(17));
        async move {
            for _ in 0..times {
                release(acquire(&locks, &name).await).await;
            }
        }
    });
    bench(&mut group, runtime, "str", |times| {
        let locks = locks();
        async move {
            for _ in 0..times {
                release(locks.acquire(black_box("orders/17")).await.unwrap()).await;
            }
        }
    });
    bench(&mut group, runtime, "try_acquire", |times| {
        let (locks, name) = (locks(), name(17));
        async move {
            for _ in 0..times {
                let guard = locks.try_acquire(black_box(&name)).await.unwrap();
                release(guard.unwrap()).await;
            }
        }
    });
    bench(&mut group, runtime, "store_only", |times| {
        let store: Arc<dyn LockBackend> = Arc::new(MemoryBackend::new());
        let name = name(17);
        async move {
            for count in 0..times {
                let entry = Entry::new(name.clone(), HolderId::new(1, count));
                let request = Request::new(entry, TTL).unwrap();
                let granted = store.enqueue(black_box(&request)).await.unwrap();
                assert!(matches!(granted, Enqueued::Granted(_)));
                assert!(store.release(request.entry()).await.unwrap());
            }
        }
    });
    bench(&mut group, runtime, "drop", |times| {
        let (locks, names) = (locks(), names());
        async move {
            // Every name is free again by the time it comes again.
            for (name, count) in names.iter().cycle().zip(1..=times) {
                drop(acquire(&locks, name).await);
                if count % DROPS == 0 {
                    locks.flush().await.unwrap();
                }
            }
            locks.flush().await.unwrap();
        }
    });
    sets(&mut group, runtime);
}

fn sets(group: &mut BenchmarkGroup<'_, WallTime>, runtime: &Runtime) {
    bench(group, runtime, "acquire_all_3", |times| {
        let (locks, names) = (locks(), [name(1), name(2), name(3)]);
        async move {
            for _ in 0..times {
                let set = locks.acquire_all(black_box(&names)).await.unwrap();
                assert!(set.release().await.unwrap());
            }
        }
    });
}

fn many_names(c: &mut Criterion, runtime: &Runtime) {
    let mut group = c.benchmark_group("lock_many_names");
    group.throughput(Throughput::Elements(1));
    bench(&mut group, runtime, "mutexes", |times| {
        let (mutexes, names) = (Mutexes::default(), names());
        async move {
            for (name, _) in names.iter().cycle().zip(0..times) {
                drop(mutexes.lock(black_box(name.as_str())).await);
            }
        }
    });
    bench(&mut group, runtime, "cycled", |times| {
        let (locks, names) = (locks(), names());
        async move {
            for (name, _) in names.iter().cycle().zip(0..times) {
                release(acquire(&locks, name).await).await;
            }
        }
    });
    // One handle for all samples: taking so many is not what is measured.
    let (locks, names) = (locks(), names());
    let held: Vec<LockGuard> = runtime.block_on(async {
        let mut held = Vec::new();
        for number in NAMES..2 * NAMES {
            held.push(acquire(&locks, &name(number)).await);
        }
        held
    });
    bench(&mut group, runtime, "cycled_10000_held", |times| {
        let (locks, names) = (locks.clone(), Arc::clone(&names));
        async move {
            for (name, _) in names.iter().cycle().zip(0..times) {
                release(acquire(&locks, name).await).await;
            }
        }
    });
    assert!(held.iter().all(|guard| guard.check().is_ok()));
}

/// Does `work` in eight tasks, `times` times in all.
async fn in_tasks<W>(times: u64, work: impl Fn() -> W + Clone + Send + 'static)
where
    W: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let work = work.clone();
        tasks.spawn(async move {
            for _ in (task..times).step_by(TASKS as usize) {
                work().await;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

/// Eight tasks on one name: with nothing to do while they hold, and handing it from one to the
/// next while all others wait.
fn one_name(c: &mut Criterion, runtime: &Runtime) {
    let mut group = c.benchmark_group("lock_one_name");
    group.throughput(Throughput::Elements(1));
    for (id, yields) in [("mutexes", false), ("mutexes_in_turn", true)] {
        bench(&mut group, runtime, id, |times| {
            let mutexes = Mutexes::default();
            in_tasks(times, move || {
                let mutexes = mutexes.clone();
                async move {
                    let guard = mutexes.lock(black_box("orders/17")).await;
                    if yields {
                        yield_now().await;
                    }
                    drop(guard);
                }
            })
        });
    }
    for (id, yields) in [("locks", false), ("locks_in_turn", true)] {
        bench(&mut group, runtime, id, |times| {
            let (locks, name) = (locks(), name(17));
            in_tasks(times, move || {
                let (locks, name) = (locks.clone(), name.clone());
                async move {
                    let guard = acquire(&locks, &name).await;
                    if yields {
                        yield_now().await;
                    }
                    release(guard).await;
                }
            })
        });
    }
}

fn report(medians: &Medians) {
    println!("\nratios of medians of this run");
    for function in ["prepared_name", "str", "try_acquire", "store_only", "drop"] {
        medians.ratio("lock_uncontended", "", [function, "mutexes"], "no target");
    }
    medians.ratio(
        "lock_uncontended",
        "",
        ["store_only", "prepared_name"],
        "no target",
    );
    medians.ratio(
        "lock_uncontended",
        "",
        ["acquire_all_3", "prepared_name"],
        "no target",
    );
    medians.ratio("lock_many_names", "", ["cycled", "mutexes"], "no target");
    medians.ratio(
        "lock_many_names",
        "",
        ["cycled_10000_held", "mutexes"],
        "no target",
    );
    medians.ratio("lock_one_name", "", ["locks", "mutexes"], "no target");
    medians.ratio(
        "lock_one_name",
        "",
        ["locks_in_turn", "mutexes_in_turn"],
        "no target",
    );
}

fn main() {
    let medians = Medians::of("lock");
    let mut criterion = medians.criterion();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    uncontended(&mut criterion, &runtime);
    many_names(&mut criterion, &runtime);
    one_name(&mut criterion, &runtime);
    criterion.final_summary();
    report(&medians);
}
