//! Every reachable state of a transaction: coordinators and participants crash, successors take
//! over from zombies, messages are lost, late and doubled, appends fail, people lose patience.
//!
//! Under check are the real [`Book`](tripod::transaction::two_phase::Book) of the coordinators, live
//! and in replay, and the real [`Ledger`](tripod::transaction::two_phase::Ledger) of the
//! participants. Around them stand a log that takes appends of its own epoch, the post, and faults,
//! each as often as a configuration allows. Every participant holds a prepared branch of a foreign
//! coordinator, and the first one a branch that the newest coordinator is about to decide.
//!
//! The larger systems, 1.7 million states in two minutes, run where the tests are optimised:
//! `cargo test --release --test transaction_core -- --nocapture two_phase::model`.

mod faults;
mod flaws;
mod laws;
mod moves;
mod rules;
mod steps;
mod systems;
mod world;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use stateright::{Model, Property};

use laws::{agrees, answers, ends, logs_first, situations, votes};
use rules::Rules;
use steps::{Config, Step};
use world::World;

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
    /// What has been seen to happen, so that no law holds of an empty world.
    met: Mutex<BTreeSet<&'static str>>,
}

impl Commit {
    fn new(rules: Rules, config: &Config) -> Self {
        let config = config.clone();
        let runs = Mutex::default();
        Self {
            rules,
            config,
            runs,
            met: Mutex::default(),
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
                commit.met.lock().unwrap().extend(situations(world));
                world.broken.is_some() || commit.longest_run(runs, world).is_some()
            }),
        ]
    }
}
