//! Every reachable state of a transaction: coordinators and participants crash, successors take
//! over from zombies, messages are lost, late and doubled, appends fail, people lose patience.
//!
//! Under check are the real [`Book`](tripod::transaction::two_phase::Book) of the coordinators, live
//! and in replay, and the real [`Ledger`](tripod::transaction::two_phase::Ledger) of the
//! participants. Around them stand a log that takes appends of its own epoch, the post, and faults,
//! each as often as a configuration allows. Every participant holds a prepared branch of a foreign
//! coordinator, and the first one a branch that the newest coordinator is about to decide.
//!
//! The larger configurations run with
//! `cargo test --release --all-features --test transaction -- --ignored --nocapture model`.

mod flaws;
mod moves;
mod rules;
mod steps;
mod world;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};
use tripod::transaction::two_phase::{Outcome, Record, RecordKind, Request, Row};

use rules::{REAL, Rules};
use steps::{Config, Step};
use world::{Faults, Message, NO_FAULTS, World};

const AGREE: &str = "no two participants decide differently";
const ANSWER: &str = "what anybody is told never flips, and is what participants do";
const VOTES: &str = "nothing commits without all votes";
const DURABLE: &str = "nobody is told to commit before the commit record is durable";
const ZOMBIE: &str = "nothing is committed by a zombie";
const FOREIGN: &str = "no branch of a foreign coordinator is touched";
const OWN: &str = "no undecided branch of the newest coordinator is touched";
/// So a heuristic outcome is recorded beside the decision.
const END: &str = "what has ended was done by every branch, or recorded for it";
const IMPOSSIBLE: &str = "nothing happens that the state machine calls impossible";
/// Found by following every fair run from every state to its end: without faults, there is no run
/// that goes round in circles, and none that stops before all is settled.
const PROGRESS: &str = "every fair run settles everything";

/// A transaction, its world, and the length of the longest fair run from each of its states.
struct Commit {
    rules: Rules,
    config: Config,
    runs: Mutex<HashMap<u64, Option<usize>>>,
}

impl Commit {
    fn new(rules: Rules, config: &Config) -> Self {
        let config = config.clone();
        let runs = Mutex::default();
        Self {
            rules,
            config,
            runs,
        }
    }

    /// How many steps the longest fair run takes to settle everything; `None` if one does not.
    fn longest_run(&self, runs: &mut HashMap<u64, Option<usize>>, world: &World) -> Option<usize> {
        let print = fingerprint(world);
        if let Some(known) = runs.get(&print) {
            return *known;
        }
        // Whoever comes by here again is going round in circles.
        runs.insert(print, None);
        let fair = self.rules.fair(world);
        let longest = if fair.is_empty() {
            world.is_settled().then_some(0)
        } else {
            let mut longest = Some(0);
            for step in fair {
                let run = self.longest_run(runs, &self.rules.after(world, step));
                longest = longest.zip(run).map(|(longest, run)| longest.max(run + 1));
            }
            longest
        };
        runs.insert(print, longest);
        longest
    }
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl Model for Commit {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![self.config.world()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Step>) {
        if world.broken.is_none() {
            actions.extend(self.rules.fair(world));
            actions.extend(world.faults().into_iter().map(Step::Fault));
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        Some(self.rules.after(world, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(AGREE, |_, world: &World| agrees(world)),
            Property::always(ANSWER, |_, world: &World| answers(world)),
            Property::always(VOTES, |_, world: &World| votes(world)),
            Property::always(DURABLE, |_, world: &World| logs_first(world)),
            Property::always(ZOMBIE, |_, world: &World| world.broken != Some(ZOMBIE)),
            Property::always(FOREIGN, |_, world: &World| world.keeps_hands_off_foreign()),
            Property::always(OWN, |_, world: &World| world.keeps_hands_off_own()),
            Property::always(END, |_, world: &World| ends(world)),
            Property::always(IMPOSSIBLE, |_, world: &World| {
                world.broken != Some(IMPOSSIBLE)
            }),
            Property::always(PROGRESS, |commit: &Self, world: &World| {
                let runs = &mut *commit.runs.lock().unwrap();
                world.broken.is_some() || commit.longest_run(runs, world).is_some()
            }),
        ]
    }
}

fn agrees(world: &World) -> bool {
    world.forced || !(world.any(Row::Committed) && world.any(Row::Excluded))
}

fn answers(world: &World) -> bool {
    let told = |outcome| world.told.contains(&outcome);
    let flips = told(Outcome::Committed) && told(Outcome::Aborted);
    let contrary = told(Outcome::Committed) && world.any(Row::Excluded)
        || told(Outcome::Aborted) && world.any(Row::Committed);
    !flips && (!contrary || world.forced)
}

fn votes(world: &World) -> bool {
    let all = (1 << world.ledgers.len()) - 1;
    let one_phase = world.ledgers.len() == 1;
    one_phase || world.forced || !world.any(Row::Committed) || world.voted == all
}

fn logs_first(world: &World) -> bool {
    let told = |message: &Message| match message {
        Message::Request(_, of, request) => {
            *request == Request::Commit && of.transaction() == world::subject()
        }
        Message::Reply(..) | Message::Inquiry(..) | Message::Verdict(..) => false,
    };
    world.has(RecordKind::Committed) || !world.post.iter().any(told)
}

fn ends(world: &World) -> bool {
    let commits = world.has(RecordKind::Committed);
    let excused = |number: u16| {
        world.records().any(|record| {
            let named = match record {
                Record::Committed { branches } => branches.iter().find(|it| it.number == number),
                _ => None,
            };
            let heuristic = record.kind() == RecordKind::Heuristic(number);
            heuristic || named.is_some_and(|named| named.read_only)
        })
    };
    let mut rows = (0..).zip(world.rows());
    !world.has(RecordKind::Ended)
        || rows.all(|(number, row)| match row {
            Some(Row::Committed) => commits || excused(number),
            Some(Row::Excluded) | None => !commits || excused(number),
            Some(Row::Working { .. } | Row::Prepared) => false,
        })
}

/// Visits all that can happen, and says how much that was.
fn check(what: &str, config: &Config) -> usize {
    let begun = Instant::now();
    let checker = Commit::new(REAL, config).checker();
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let runs = checker.model().runs.lock().unwrap();
    let longest = runs.values().max().copied().flatten();
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{what}: {states} states, {steps} steps, the longest fair run {longest:?}, {:?}",
        begun.elapsed()
    );
    drop(runs);
    checker.assert_properties();
    states
}

/// Of these branches: whether each changes nothing.
fn config(read_only: &[bool], faults: Faults) -> Config {
    Config {
        read_only: read_only.to_vec(),
        lists: true,
        slow: false,
        faults,
    }
}

const TWO: [bool; 2] = [false; 2];

/// Coordinators crash twice, and both participants.
const CRASHES: Faults = Faults {
    crashes: 2,
    losses: 0b11,
    ..NO_FAULTS
};

const ZOMBIES: Faults = Faults {
    crashes: 1,
    take_overs: 1,
    ..NO_FAULTS
};

#[test]
fn two_participants_survive_crashes_and_a_zombie() {
    let take_overs = 1;
    let states = check(
        "crashes",
        &config(
            &TWO,
            Faults {
                take_overs,
                ..CRASHES
            },
        ),
    );
    assert!(states > 10_000, "only {states} states");
    let slow = true;
    check(
        "a zombie, slowly",
        &Config {
            slow,
            ..config(&TWO, ZOMBIES)
        },
    );
}

#[test]
fn two_participants_survive_bad_messages_and_a_bad_log() {
    let faults = Faults {
        crashes: 1,
        mischief: 1,
        failures: 1,
        ..NO_FAULTS
    };
    let states = check("messages and log", &config(&TWO, faults.clone()));
    assert!(states > 2_000, "only {states} states");
    let zombie = Faults {
        take_overs: 1,
        mischief: 1,
        ..NO_FAULTS
    };
    check("messages and a zombie", &config(&TWO, zombie));
}

#[test]
fn two_participants_survive_people() {
    let faults = Faults {
        take_overs: 1,
        failures: 1,
        impatience: 1,
        operators: 1,
        ..NO_FAULTS
    };
    check("people", &config(&TWO, faults));
    let forces = 1;
    check(
        "an administrator",
        &config(
            &TWO,
            Faults {
                crashes: 1,
                forces,
                ..NO_FAULTS
            },
        ),
    );
    let inquiries = 1;
    check(
        "an inquiry",
        &config(
            &TWO,
            Faults {
                inquiries,
                ..ZOMBIES
            },
        ),
    );
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
    let slow = true;
    check(
        "one phase",
        &Config {
            slow,
            ..config(&[false], faults)
        },
    );
}

#[test]
fn branches_of_other_kinds_survive_too() {
    let mischief = 1;
    let faults = Faults {
        mischief,
        ..ZOMBIES
    };
    check("read-only", &config(&[true; 2], faults.clone()));
    check("one read-only", &config(&[false, true], faults));
    let lists = false;
    check(
        "not listed",
        &Config {
            lists,
            ..config(&TWO, ZOMBIES)
        },
    );
}

#[test]
fn more_participants_survive_less() {
    let crashes = 1;
    check(
        "three",
        &config(
            &[false; 3],
            Faults {
                crashes,
                ..NO_FAULTS
            },
        ),
    );
    check(
        "four",
        &config(
            &[false; 4],
            Faults {
                crashes,
                ..NO_FAULTS
            },
        ),
    );
    let take_overs = 1;
    check(
        "three, a zombie",
        &config(
            &[false; 3],
            Faults {
                take_overs,
                ..NO_FAULTS
            },
        ),
    );
}

/// The largest. Minutes, even with optimization.
#[test]
#[ignore = "takes minutes: run it with --release"]
fn two_participants_survive_everything() {
    let faults = Faults {
        take_overs: 1,
        mischief: 1,
        failures: 1,
        ..CRASHES
    };
    check("two, all faults", &config(&TWO, faults));
    let mischief = 1;
    let slow = true;
    let faults = Faults {
        mischief,
        ..ZOMBIES
    };
    check(
        "two, slowly",
        &Config {
            slow,
            ..config(&TWO, faults.clone())
        },
    );
    check("three", &config(&[false; 3], faults));
    check("four", &config(&[false; 4], ZOMBIES));
}
