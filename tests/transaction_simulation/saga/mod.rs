//! Sagas: definitions as they are drawn, whose steps ask a service that may refuse, be late, or lose
//! its answers; callers who start them twice, give up waiting, and cancel; operators who retry, skip
//! and abandon; definitions that are missing or changed after a restart, and are there again later.

mod book;
mod client;
mod draft;
mod enumerated;
mod flaw;
mod judge;
mod life;
mod operator;
mod schedule;
mod service;
mod site;
mod watched;
mod world;

use crate::counts::Of;
use crate::stage::{Outcome, play_many, replayed, told_alike};

/// What plays a seed again.
const HERE: &str = "transaction_simulation -- --nocapture saga::replay";

fn run(seed: u64, told: bool) -> Outcome {
    schedule::run(seed, None, told)
}

#[test]
fn schedules() {
    play_many(Of::Sagas, run, HERE);
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
