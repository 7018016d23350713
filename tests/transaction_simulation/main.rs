//! Seeded simulation of two-phase commit: the coordinator and `FileLog` as they are, over a disk
//! that loses, tears, garbles and fails, and a network that loses, delays and repeats; processes
//! and participants that crash; zombies; on paused time.
//!
//! A schedule is what one seed says: up to four lives of a coordinator's process, with a few
//! clients each, on a log on a disk or in a store that several processes reach. Then nothing fails
//! any more: all has to come to an end, and `judge` looks at what is there. `flaw` has what may be
//! wrong with participants, networks, logs and disks, each of which schedules show; `enumerated`
//! leaves nothing to chance, and fails at every call of the disk in turn.
//!
//! `TRIPOD_SEED=7 cargo test --release --test transaction_simulation -- --nocapture replay` tells
//! the story of a seed; `TRIPOD_SCHEDULES` and `TRIPOD_SEED_FIRST` say how many others to run, and
//! from which one on. A soak is
//! `TRIPOD_SCHEDULES=10000000 cargo test --release --test transaction_simulation -- --nocapture schedules`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub,
    reason = "a failed assertion is how a test speaks, and what it does not match is let through"
)]

mod client;
mod counts;
mod deals;
#[allow(dead_code, reason = "the tests of the log use the rest of it")]
#[path = "../transaction/log/disk/mod.rs"]
mod disk;
mod distant;
mod enumerated;
mod flaw;
mod judge;
mod life;
mod node;
mod process;
#[path = "../simulation/random.rs"]
mod random;
mod schedule;
mod watched;
mod world;

use std::num::NonZeroUsize;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use counts::Counts;
use parking_lot::Mutex;
use schedule::Outcome;

/// How many schedules.
const SCHEDULES: u64 = if cfg!(debug_assertions) {
    2_000
} else {
    100_000
};

/// So many show everything that is counted; fewer need not.
const TELLING: u64 = 20_000;

/// How often a seed is run to see what it broke: `select!` draws whom to ask first from the
/// system's randomness, so a story may take another turn.
const RUNS: usize = 200;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(value) => value.parse().unwrap(),
        Err(_) => default,
    }
}

fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(schedule::notice);
}

/// Says what is wrong with a schedule, and how to see it again.
fn explain(seed: u64, outcome: &Outcome) {
    for wrong in &outcome.wrong {
        println!("seed {seed}: {wrong}");
    }
    println!(
        "TRIPOD_SEED={seed} cargo test --release --test transaction_simulation -- --nocapture replay"
    );
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
                    let outcome = schedule::run(seed, None, false);
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
    let missing = counts.missing(count);
    assert!(
        count < TELLING || missing.is_empty(),
        "too rare: {missing:?}"
    );
}

/// Tells the story of one seed.
#[test]
fn replay() {
    begin();
    let seed = number("TRIPOD_SEED", 1);
    let mut outcome = schedule::run(seed, None, true);
    for _ in 1..RUNS {
        if !outcome.wrong.is_empty() {
            break;
        }
        outcome = schedule::run(seed, None, true);
    }
    for line in &outcome.story {
        println!("{line}");
    }
    explain(seed, &outcome);
    assert!(outcome.wrong.is_empty());
}

#[test]
fn a_seed_tells_the_same_story_again() {
    begin();
    let story = |seed| schedule::run(seed, None, true).story;
    let same = (1..=200).filter(|seed| {
        let (one, other) = (story(*seed), story(*seed));
        let differs = one.iter().zip(&other).find(|(one, other)| one != other);
        if let Some((one, other)) = differs {
            println!("seed {seed}: {one:.200}\n      and: {other:.200}");
        }
        differs.is_none()
    });
    let same = same.count();
    println!("{same} of 200 seeds told the same story twice");
    assert!(same >= 190);
}
