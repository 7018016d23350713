//! One schedule: what a seed says, from the first request to the empty store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tripod::lock::{LockBackend, Locks};

use crate::client::live;
use crate::counts::{Count, Counts};
use crate::history::History;
use crate::oracle::{Invariant, Rest, Violation, judge};
use crate::random::Random;
use crate::rules::Rule;
use crate::trace::{Trace, What};
use crate::weather::{LATEST, Weather};
use crate::wish::{HOLD_MAX, ORDERS, PRINTERS, STOCK, TTL_MAX};
use crate::world::World;

/// Acquisitions of each client.
const ACQUISITIONS: u64 = 5;

/// Within how many ticks after the faults everybody must be served, if each acquisition of six
/// clients is left, comes after a lease that must expire, waits out an answer that was lost, and
/// holds for as long as it may want to.
const SERVED_WITHIN: u64 = 6 * ACQUISITIONS * (HOLD_MAX + 2 * TTL_MAX + 10);

/// What came of a schedule.
pub struct Outcome {
    pub trace: Trace,
    pub counts: Counts,
    pub wrong: Vec<Violation>,
}

/// Runs what the seed says, with that rule switched off, if any.
pub fn run(seed: u64, off: Option<Rule>) -> Outcome {
    in_a_world(off, Weather::draw, seed, async |world, mut random| {
        let names = match random.below(4) {
            0 => vec![ORDERS, STOCK],
            1 => vec![ORDERS, PRINTERS],
            _ => vec![ORDERS, STOCK, PRINTERS],
        };
        let done: Arc<Mutex<Vec<Locks>>> = Arc::default();
        let lives = (0..random.within(4, 6)).map(|client| {
            let random = random.fork(client);
            let life = live(
                Arc::clone(&world),
                random,
                names.clone(),
                ACQUISITIONS,
                Arc::clone(&done),
            );
            tokio::spawn(life)
        });
        let lives: Vec<JoinHandle<()>> = lives.collect();
        let all_done = || lives.iter().all(JoinHandle::is_finished);
        let heals = random.within(40, 160);
        world.go_on(heals, all_done).await;
        world.calm();
        world.go_on(SERVED_WITHIN, all_done).await;
        let unserved = lives.iter().filter(|life| !life.is_finished()).count();
        // A client that panicked is done, but not well.
        for life in lives {
            if let Some(result) = life.now_or_never() {
                result.unwrap();
            }
        }
        let handles = std::mem::take(&mut *done.lock());
        Rest {
            unserved,
            ..clear(&world, handles).await
        }
    })
}

/// Lets the handles clean up, the last request land and the last lease end; then looks what is
/// left.
pub async fn clear(world: &Arc<World>, handles: Vec<Locks>) -> Rest {
    let flushes = handles.into_iter().map(|locks| {
        tokio::spawn(async move {
            locks.flush().await.unwrap();
            let stats = locks.stats();
            stats.held + stats.waiting
        })
    });
    let flushes: Vec<JoinHandle<u64>> = flushes.collect();
    let all_done = || flushes.iter().all(JoinHandle::is_finished);
    world.go_on(LATEST + 4 * TTL_MAX, all_done).await;
    let mut rest = Rest::default();
    for flush in flushes {
        match flush.now_or_never() {
            Some(believed) => rest.believed += believed.unwrap(),
            None => rest.unflushed += 1,
        }
    }
    world.record(What::Flushed);
    world.go_on(LATEST, || false).await;
    world.go_on(TTL_MAX + 1, || false).await;
    for name in &world.names {
        let inspection = world.store.inspect(name).await.unwrap();
        rest.entries += inspection.holders().len() + inspection.waiters().len();
    }
    rest.names = world.store.names();
    rest
}

/// Runs a story in a world of its own, on paused time, and judges it.
pub fn in_a_world<F>(
    off: Option<Rule>,
    weather: impl FnOnce(&mut Random) -> Weather,
    seed: u64,
    story: F,
) -> Outcome
where
    F: AsyncFnOnce(Arc<World>, Random) -> Rest,
{
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // Whoever yields comes back when nobody else can run, however many they are.
        .event_interval(u32::MAX)
        .build()
        .unwrap();
    let mut random = Random::new(seed);
    let weather = weather(&mut random);
    PANICKED.with(|panicked| panicked.store(false, Ordering::Relaxed));
    let mut rest = None;
    let world = runtime.block_on(async { World::new(&random, weather, off) });
    let told = catch_unwind(AssertUnwindSafe(|| {
        rest = Some(runtime.block_on(story(Arc::clone(&world), random)));
    }));
    drop(runtime);
    let (trace, mut counts) = world.take();
    let history = History::of(&trace);
    for (count, times) in [
        (Count::ExpiredHolder, history.expired_holders),
        (Count::ExpiredWaiter, history.expired_waiters),
        (Count::ReleasedLater, history.mistaken),
    ] {
        (0..times).for_each(|_| counts.add(count));
    }
    let mut wrong = judge(&trace, &history, &rest.unwrap_or_default());
    // The runtime keeps to itself what panics in a task.
    if told.is_err() || PANICKED.with(|panicked| panicked.load(Ordering::Relaxed)) {
        wrong.push(Violation::new(Invariant::Panic, "see above"));
    }
    Outcome {
        trace,
        counts,
        wrong,
    }
}

thread_local! {
    static PANICKED: AtomicBool = const { AtomicBool::new(false) };
}

/// Writes down, for the thread, that something panics.
pub fn notice_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.with(|panicked| panicked.store(true, Ordering::Relaxed));
        hook(panic);
    }));
}
