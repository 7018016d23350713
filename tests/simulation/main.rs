//! Seeded simulation of the locks: many clients, each with its own handle over its own network,
//! on one store in memory; delays, losses, duplicates, pauses, crashes; on paused time.
//!
//! A schedule is what one seed says: four to six clients, each with five acquisitions. Its trace
//! is judged when it is over, an invariant a file in `oracle`. `rules` can switch off what keeps
//! a run safe; `directed` shows for each rule a schedule that it alone saves, and `faults` that
//! schedules drawn by chance find it missing.
//!
//! `TRIPOD_SEED=7 cargo test --release --test simulation -- --nocapture replay` prints the trace
//! of a seed; `TRIPOD_SCHEDULES` and `TRIPOD_SEED_FIRST` say how many others to run, and from
//! which one on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::match_bool,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks, and what it does not match is let through"
)]

mod client;
mod counts;
mod directed;
mod entries;
mod faults;
mod history;
mod hold;
mod message;
mod network;
mod oracle;
mod queue;
mod random;
mod rules;
mod schedule;
mod trace;
mod traffic;
mod weather;
mod wish;
mod world;

use std::num::NonZeroUsize;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use counts::Counts;
use parking_lot::Mutex;
use schedule::Outcome;

/// How many schedules: what an optimised build does in less than a minute on two cores, and one
/// for debugging too.
const SCHEDULES: u64 = if cfg!(debug_assertions) {
    2_000
} else {
    100_000
};

/// So many show everything that is counted; fewer need not.
const TELLING: u64 = 2_000;

/// How often a seed is run to see what it broke. A handle draws the instant of a renewal from the
/// system's randomness, and `select!` whom to ask first: where two timers of a handle fall on the
/// same millisecond, the story may take another turn. Of two hundred runs, one does.
const RUNS: usize = 500;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().unwrap(),
        Err(_) => default,
    }
}

fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(schedule::notice_panics);
}

/// Says what is wrong with a schedule, and how to see it again.
fn explain(seed: u64, outcome: &Outcome) {
    for violation in &outcome.wrong {
        println!("seed {seed}: {violation}");
    }
    println!("TRIPOD_SEED={seed} cargo test --release --test simulation -- --nocapture replay");
}

#[test]
fn schedules() {
    begin();
    let first = number("TRIPOD_SEED_FIRST", 1);
    let count = number("TRIPOD_SCHEDULES", SCHEDULES);
    let next = AtomicU64::new(first);
    let counts = Mutex::new(Counts::default());
    let failed = Mutex::new(0);
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(2, NonZeroUsize::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Counts::default();
                // Where some fail, there is no need to see them all.
                while *failed.lock() < 10 {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let outcome = schedule::run(seed, None);
                    mine.merge(&outcome.counts);
                    if !outcome.wrong.is_empty() {
                        *failed.lock() += 1;
                        explain(seed, &outcome);
                    }
                }
                counts.lock().merge(&mine);
            });
        }
    });
    let last = first + count - 1;
    let elapsed = began.elapsed();
    println!("{count} schedules, seeds {first} to {last}, {threads} threads, {elapsed:.1?}");
    let counts = counts.into_inner();
    print!("{counts}");
    assert_eq!(failed.into_inner(), 0, "schedules failed, see above");
    let missing = counts.missing();
    assert!(count < TELLING || missing.is_empty(), "never: {missing:?}");
}

/// Prints the trace of one seed.
#[test]
fn replay() {
    begin();
    let seed = number("TRIPOD_SEED", 1);
    let mut outcome = schedule::run(seed, None);
    for _ in 1..RUNS {
        if !outcome.wrong.is_empty() {
            break;
        }
        outcome = schedule::run(seed, None);
    }
    print!("{}", outcome.trace);
    explain(seed, &outcome);
    assert!(outcome.wrong.is_empty());
}

#[test]
fn a_seed_tells_the_same_story_again() {
    begin();
    let story = |seed| schedule::run(seed, None).trace.story();
    let seeds = 1..=300;
    let same = seeds.filter(|seed| story(*seed) == story(*seed)).count();
    println!("{same} of 300 seeds told the same story twice");
    assert!(same >= 290);
}
