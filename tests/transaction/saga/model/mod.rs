//! Every reachable state of a saga: answers are lost, actions arrive late, its process crashes,
//! somebody cancels it.
//!
//! Under check is the real [`Execution`], live and in replay. Around it stand a log, and a world
//! outside in which each action has its effect at most once under its key, and a compensation keeps
//! late actions out.

mod moves;
mod world;

use stateright::{Checker, Model};
use tripod::transaction::saga::{Definition, Kind, Run, Step, StepError};

use world::{FLAWS, Trip, World};

const SOUND: &str = "steps run in order, and are compensated in the reverse";
const ALL: &str = "what is completed has happened, all of it";
const NONE: &str = "of what is compensated nothing is left, and nothing comes later";
const PIVOT: &str = "what is past the pivot is not compensated";
const STUCK: &str = "it goes on, or waits for an operator";

fn step(name: &str) -> Step<u32, u32> {
    Step::new(name, 1, |_: Run<u32>| async { Ok::<u32, StepError>(1) })
        .compensate(|_: Run<u32>, _: Option<u32>| async { Ok::<(), StepError>(()) })
}

/// Two at once, the pivot, and what has to be done.
fn trip() -> Trip {
    let none: [&str; 0] = [];
    let definition = Definition::builder("trip", 1)
        .step(step("hotel"))
        .step(step("flight").after(none))
        .step(step("pay").pivot().after(["hotel", "flight"]))
        .step(step("mail").retriable())
        .build()
        .unwrap();
    let nodes = vec![
        (Kind::Compensatable, vec![]),
        (Kind::Compensatable, vec![]),
        (Kind::Pivot, vec![0, 1]),
        (Kind::Retriable, vec![2]),
    ];
    Trip::new(&definition, nodes)
}

/// One, then two at once, then one that joins them; no pivot.
fn diamond() -> Trip {
    let definition = Definition::builder("diamond", 1)
        .step(step("a"))
        .step(step("b").after(["a"]))
        .step(step("c").after(["a"]))
        .step(step("d").after(["b", "c"]))
        .build()
        .unwrap();
    let kind = Kind::Compensatable;
    let nodes = vec![
        (kind, vec![]),
        (kind, vec![0]),
        (kind, vec![0]),
        (kind, vec![1, 2]),
    ];
    Trip::new(&definition, nodes)
}

#[test]
fn every_saga_completes_or_leaves_nothing() {
    for (name, saga) in [("trip", trip()), ("diamond", diamond())] {
        let checker = saga.checker().spawn_bfs().join();
        println!("{name}: {} states", checker.unique_state_count());
        checker.assert_properties();
    }
}

/// From every reachable state, without further faults, it comes to its end.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn every_saga_comes_to_an_end_once_nothing_fails() {
    for saga in [trip(), diamond()] {
        let ends = std::cell::Cell::new(0_u64);
        let mut seen = std::collections::HashSet::new();
        let mut open = saga.init_states();
        while let Some(world) = open.pop() {
            if !seen.insert(world.clone()) {
                continue;
            }
            fair(&saga, world.clone());
            ends.set(ends.get() + 1);
            let mut moves = Vec::new();
            saga.actions(&world, &mut moves);
            open.extend(
                moves
                    .into_iter()
                    .filter_map(|it| saga.next_state(&world, it)),
            );
        }
        println!("{} states come to an end", ends.get());
    }
}

fn fair(saga: &Trip, mut world: World) {
    let (faults, crashes) = (0, 0);
    (world.faults, world.crashes, world.cancelled) = (faults, crashes, true);
    for _ in 0..100 {
        if world.over.is_some() {
            return;
        }
        let mut moves = Vec::new();
        saga.actions(&world, &mut moves);
        let next = moves.into_iter().find_map(|it| saga.next_state(&world, it));
        let Some(next) = next else {
            panic!("nothing to do: {world:?}");
        };
        world = next;
    }
    panic!("no end within 100 moves: {world:?}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn whatever_is_got_wrong_is_caught() {
    for flaw in FLAWS {
        let caught = [trip(), diamond()].into_iter().any(|mut saga| {
            saga.flaw = Some(flaw);
            // One fault shows each of them.
            saga.faults = 1;
            let checker = saga.checker().spawn_bfs().join();
            let found = checker.discoveries();
            let caught = [SOUND, ALL, NONE, PIVOT, STUCK];
            let caught: Vec<_> = caught
                .iter()
                .filter(|law| found.contains_key(**law))
                .collect();
            println!("{flaw:?}: {caught:?}");
            !caught.is_empty()
        });
        assert!(caught, "{flaw:?} was not noticed");
    }
}
