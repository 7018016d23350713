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
#[path = "../seeds/mod.rs"]
mod seeds;
mod trace;
mod traffic;
mod weather;
mod wish;
mod world;

use std::sync::Once;

use counts::Counts;
use schedule::Outcome;
use seeds::{Tally, Told, play_again, play_all};

/// How many schedules: what an optimised build does in less than a minute on two cores, and one
/// for debugging too.
const SCHEDULES: u64 = if cfg!(debug_assertions) { 500 } else { 100_000 };

/// So many show everything that is counted; fewer need not.
const TELLING: u64 = 2_000;

/// How often a seed is run to see what it broke. A handle draws the instant of a renewal from the
/// system's randomness, and `select!` whom to ask first: where two timers of a handle fall on the
/// same millisecond, the story may take another turn. Of two hundred runs, one does.
const RUNS: usize = 500;

fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(schedule::notice_panics);
}

impl Tally for Counts {
    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }
}

impl Told for Outcome {
    type Tally = Counts;
    type Wrong = oracle::Violation;

    fn tally(&self) -> &Counts {
        &self.counts
    }

    fn wrong(&self) -> &[Self::Wrong] {
        &self.wrong
    }
}

/// What plays a seed again.
const HERE: &str = "simulation -- --nocapture replay";

#[test]
fn schedules() {
    begin();
    let (count, counts) = play_all(SCHEDULES, |seed| schedule::run(seed, None), HERE);
    let missing = counts.missing();
    assert!(count < TELLING || missing.is_empty(), "never: {missing:?}");
}

/// Prints the trace of one seed.
#[test]
fn replay() {
    begin();
    let show = |outcome: &Outcome| print!("{}", outcome.trace);
    play_again(RUNS, |seed| schedule::run(seed, None), show, HERE);
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
