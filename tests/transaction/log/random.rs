//! Random scripts on a disk that fails at random: each schedule is its seed.
//!
//! `TRIPOD_SCHEDULES` says how many, `TRIPOD_SEED` with which to begin.

use std::env;

use super::schedule::{Seen, schedule};

pub(super) fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_schedule_loses_what_was_promised_or_brings_back_what_was_void() {
    let (first, schedules) = (number("TRIPOD_SEED", 1), number("TRIPOD_SCHEDULES", 3000));
    let mut met = Seen::default();
    for seed in first..first + schedules {
        if let Err(what) = schedule(seed, &mut met) {
            panic!("TRIPOD_SEED={seed} TRIPOD_SCHEDULES=1: {what}");
        }
    }
    println!("{schedules} schedules from seed {first}: {met:?}");
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
