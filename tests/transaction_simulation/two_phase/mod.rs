//! Two-phase commit: participants behind a network that crash and are ended by hand, zombies, and
//! operators; on a log on a disk, or in a store that several processes reach.

mod call;
mod client;
mod deals;
mod distant;
mod enumerated;
mod flaw;
mod judge;
mod life;
mod node;
mod operator;
mod schedule;
mod watched;
mod world;

use crate::counts::Of;
use crate::stage::{Outcome, play_many, replayed, told_alike};

/// What plays a seed again.
const HERE: &str = "transaction_simulation -- --nocapture two_phase::replay";

fn run(seed: u64, told: bool) -> Outcome {
    schedule::run(seed, None, told)
}

#[test]
fn schedules() {
    play_many(Of::TwoPhase, run, HERE);
}

/// Tells the story of one seed.
#[test]
fn replay() {
    replayed(run, HERE);
}

#[test]
fn a_seed_tells_the_same_story_again() {
    told_alike(run);
}
