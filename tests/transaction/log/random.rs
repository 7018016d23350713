//! Random scripts on a disk that fails at random: each schedule is its seed.

use std::fmt;

use super::schedule::{Seen, schedule};
use crate::seeds::{Tally, Told, play_again, play_all};

/// What plays a seed again.
const HERE: &str = "transaction_core -- --nocapture log::random::replay";

/// What came of a schedule.
struct Outcome {
    met: Seen,
    wrong: Vec<String>,
}

impl Tally for Seen {
    fn merge(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.failures += other.failures;
        self.full += other.full;
        self.acknowledged += other.acknowledged;
        self.second_crashes += other.second_crashes;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{self:?}")
    }
}

impl Told for Outcome {
    type Tally = Seen;
    type Wrong = String;

    fn tally(&self) -> &Seen {
        &self.met
    }

    fn wrong(&self) -> &[String] {
        &self.wrong
    }
}

fn run(seed: u64) -> Outcome {
    let mut met = Seen::default();
    let wrong = schedule(seed, &mut met).err().into_iter().collect();
    Outcome { met, wrong }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn no_schedule_loses_what_was_promised_or_brings_back_what_was_void() {
    let (schedules, met) = play_all(3000, run, HERE);
    if schedules >= 3000 {
        let enough = schedules / 30;
        assert!(
            met.crashes > enough && met.second_crashes > enough,
            "{met:?}"
        );
        assert!(met.failures > enough && met.full > enough, "{met:?}");
        assert!(met.acknowledged > schedules, "{met:?}");
    }
}

/// Plays one seed.
#[test]
fn replay() {
    play_again(1, run, |outcome| print!("{}", outcome.met), HERE);
}
