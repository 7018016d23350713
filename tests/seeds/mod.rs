//! Schedules, each of which is what its seed says: which of them run, on all processors.
//!
//! `TRIPOD_SCHEDULES` says how many, `TRIPOD_SEED_FIRST` from which one on; `TRIPOD_SEED` is the
//! one to see again.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use parking_lot::Mutex;

/// What has happened in some schedules.
pub trait Tally: Default + Display + Send {
    fn merge(&mut self, other: &Self);
}

/// What came of a schedule.
pub trait Told {
    type Tally: Tally;
    type Wrong: Display;

    fn tally(&self) -> &Self::Tally;

    fn wrong(&self) -> &[Self::Wrong];
}

/// Where so many fail, there is no need to see them all.
const FAILED_MAX: u64 = 10;

/// Plays so many schedules unless told otherwise, and fails if any did. Answers how many, and what
/// happened in them.
pub fn play_all<T: Told>(
    schedules: u64,
    run: impl Fn(u64) -> T + Sync,
    see: &str,
) -> (u64, T::Tally) {
    let first = number("TRIPOD_SEED_FIRST", 1);
    let count = number("TRIPOD_SCHEDULES", schedules);
    let next = AtomicU64::new(first);
    let tally = Mutex::new(T::Tally::default());
    let failed = AtomicU64::new(0);
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = T::Tally::default();
                while failed.load(Ordering::Relaxed) < FAILED_MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let outcome = run(seed);
                    mine.merge(outcome.tally());
                    if !outcome.wrong().is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        explain(seed, &outcome, see);
                    }
                }
                tally.lock().merge(&mine);
            });
        }
    });
    let last = first + count - 1;
    let elapsed = began.elapsed();
    println!("{count} schedules, seeds {first} to {last}, {threads} threads, {elapsed:.1?}");
    let tally = tally.into_inner();
    print!("{tally}");
    assert_eq!(failed.into_inner(), 0, "schedules failed, see above");
    (count, tally)
}

/// Plays the schedule of `TRIPOD_SEED` until something is wrong with it, at most so often. Shows
/// it, and fails if something is.
pub fn play_again<T: Told>(runs: usize, run: impl Fn(u64) -> T, show: impl Fn(&T), see: &str) {
    let seed = number("TRIPOD_SEED", 1);
    let mut outcome = run(seed);
    for _ in 1..runs {
        if !outcome.wrong().is_empty() {
            break;
        }
        outcome = run(seed);
    }
    show(&outcome);
    explain(seed, &outcome, see);
    assert!(outcome.wrong().is_empty());
}

/// Says what is wrong with a schedule, and how to see it again.
fn explain(seed: u64, outcome: &impl Told, see: &str) {
    for wrong in outcome.wrong() {
        println!("seed {seed}: {wrong}");
    }
    println!("TRIPOD_SEED={seed} cargo test --release --test {see}");
}

/// What a variable says.
pub fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().unwrap(),
        Err(_) => default,
    }
}
