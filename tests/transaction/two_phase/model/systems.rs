//! The systems whose every state is visited.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::Commit;
use super::rules::REAL;
use super::steps::Config;
use super::world::{Faults, NO_FAULTS};

/// Visits all that can happen, and says how much that was.
fn check_and_meet(what: &str, config: &Config, situations: &[&str]) {
    let begun = Instant::now();
    let checker = Commit::new(REAL, config).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let met = &*checker.model().met.lock().unwrap();
    let runs = checker.model().runs.lock().unwrap();
    let longest = runs.values().max().copied().flatten();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{what}: {states} states, {steps} steps, the longest fair run {longest:?}, {:?}",
        begun.elapsed()
    );
    println!("    {met:?}");
    checker.assert_properties();
    for situation in situations {
        assert!(met.contains(situation), "never {situation}");
    }
}

fn check(what: &str, config: &Config) {
    check_and_meet(what, config, &[]);
}

/// Of these branches: whether each changes nothing.
pub(super) fn config(read_only: &[bool], faults: Faults) -> Config {
    Config {
        read_only: read_only.to_vec(),
        lists: true,
        slow: false,
        faults,
    }
}

pub(super) const TWO: [bool; 2] = [false; 2];

/// Coordinators crash twice, and both participants.
const CRASHES: Faults = Faults {
    crashes: 2,
    losses: 0b11,
    ..NO_FAULTS
};

pub(super) const ZOMBIES: Faults = Faults {
    crashes: 1,
    take_overs: 1,
    ..NO_FAULTS
};

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn two_participants_survive_crashes_and_a_zombie() {
    let faults = Faults {
        take_overs: 1,
        ..CRASHES
    };
    let situations = [
        "all committed",
        "all aborted",
        "a zombie",
        "a second take-over",
        "an orphan",
        "an append too late",
        "a commit half done",
        "an end",
    ];
    check_and_meet("crashes", &config(&TWO, faults), &situations);
    let mut slowly = config(&TWO, ZOMBIES);
    slowly.slow = true;
    check("a zombie, slowly", &slowly);
}

#[test]
fn two_participants_survive_bad_messages_and_a_bad_log() {
    let faults = Faults {
        crashes: 1,
        mischief: 1,
        failures: 1,
        ..NO_FAULTS
    };
    let situations = ["a doubtful record", "an orphan", "a commit half done"];
    check_and_meet("messages and log", &config(&TWO, faults), &situations);
    let zombie = Faults {
        take_overs: 1,
        mischief: 1,
        ..NO_FAULTS
    };
    check("messages and a zombie", &config(&TWO, zombie));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn two_participants_survive_people() {
    let faults = Faults {
        take_overs: 1,
        failures: 1,
        impatience: 1,
        operators: 1,
        ..NO_FAULTS
    };
    check("people", &config(&TWO, faults));
    let administrator = Faults {
        crashes: 1,
        forces: 1,
        ..NO_FAULTS
    };
    let situations = ["a heuristic outcome"];
    check_and_meet(
        "an administrator",
        &config(&TWO, administrator),
        &situations,
    );
    let inquiry = Faults {
        inquiries: 1,
        ..ZOMBIES
    };
    check("an inquiry", &config(&TWO, inquiry));
}

#[test]
fn one_participant_survives_everything() {
    let faults = Faults {
        crashes: 2,
        take_overs: 1,
        losses: 1,
        mischief: 1,
        impatience: 1,
        ..NO_FAULTS
    };
    let mut one = config(&[false], faults);
    one.slow = true;
    check_and_meet(
        "one phase",
        &one,
        &["a zombie in one phase", "all committed"],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn branches_of_other_kinds_survive_too() {
    let faults = Faults {
        mischief: 1,
        ..ZOMBIES
    };
    check("read-only", &config(&[true; 2], faults.clone()));
    check("one read-only", &config(&[false, true], faults));
    for read_only in [TWO, [true; 2], [false, true]] {
        let mut unlisted = config(&read_only, ZOMBIES);
        unlisted.lists = false;
        check("not listed", &unlisted);
    }
}

#[test]
fn more_participants_survive_less() {
    let crash = Faults {
        crashes: 1,
        ..NO_FAULTS
    };
    let zombie = Faults {
        take_overs: 1,
        ..NO_FAULTS
    };
    check("three", &config(&[false; 3], crash.clone()));
    check("four", &config(&[false; 4], crash));
    check("three, a zombie", &config(&[false; 3], zombie));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn two_participants_survive_everything() {
    let faults = Faults {
        take_overs: 1,
        mischief: 1,
        failures: 1,
        ..CRASHES
    };
    check("two, all faults", &config(&TWO, faults));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn the_largest_systems_survive() {
    let faults = Faults {
        mischief: 1,
        ..ZOMBIES
    };
    let mut slowly = config(&TWO, faults.clone());
    slowly.slow = true;
    check("two, slowly", &slowly);
    check("four", &config(&[false; 4], ZOMBIES));
    check("three", &config(&[false; 3], faults));
}
