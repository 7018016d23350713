//! Wrong rules, each caught by the law that it breaks.

mod protocol;
mod recovery;

use super::rules::Rules;
use super::steps::Config;
use super::world::{Faults, NO_FAULTS};
use super::{
    AGREE, ANSWER, Commit, DURABLE, END, FOREIGN, IMPOSSIBLE, OWN, PROGRESS, VOTES, ZOMBIE,
};
use protocol::{flaws_in_deciding, flaws_in_hearing};
use recovery::{flaws_in_answers, flaws_in_participants, flaws_in_recovery};
use stateright::{Checker, HasDiscoveries, Model};

#[test]
fn each_flaw_is_caught_by_its_law() {
    for Flaw {
        what,
        law,
        rules,
        config,
    } in flaws()
    {
        let caught = HasDiscoveries::AnyOf([law].into());
        let checker = Commit::new(rules, &config).checker().finish_when(caught);
        let checker = checker.spawn_bfs().join();
        println!(
            "{what}: {} states until {law}",
            checker.unique_state_count()
        );
        assert!(checker.discovery(law).is_some(), "{what}, and yet {law}");
    }
}

#[test]
fn each_law_catches_a_flaw() {
    let laws = [AGREE, ANSWER, VOTES, DURABLE, ZOMBIE, FOREIGN, OWN, END];
    for law in laws.into_iter().chain([IMPOSSIBLE, PROGRESS]) {
        assert!(flaws().iter().any(|flaw| flaw.law == law), "{law}");
    }
}

/// A wrong rule, the law that must catch it, and the faults that it takes.
struct Flaw {
    what: &'static str,
    law: &'static str,
    rules: Rules,
    config: Config,
}

fn flaws() -> Vec<Flaw> {
    let mut flaws = flaws_in_deciding();
    flaws.extend(flaws_in_hearing());
    flaws.extend(flaws_in_recovery());
    flaws.extend(flaws_in_answers());
    flaws.extend(flaws_in_participants());
    flaws
}

fn crash() -> Faults {
    Faults {
        crashes: 1,
        ..NO_FAULTS
    }
}

fn mischief() -> Faults {
    Faults {
        mischief: 1,
        ..NO_FAULTS
    }
}

fn impatience() -> Faults {
    Faults {
        impatience: 1,
        ..NO_FAULTS
    }
}
