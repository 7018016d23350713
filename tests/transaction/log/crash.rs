//! The power goes at every call, and again at every call of what follows.

use super::disk::{Disk, Fault, Lie, Loss};
use super::model::Model;
use super::script::{self, Script, play};
use super::sweep::{calls, goes_on, survives_every_crash};
use super::world::World;

/// A crash at any call, and again at any call of the recovery, loses nothing that was promised.
fn loses_nothing(name: &str, script: &Script) {
    let runs = survives_every_crash(name, script, None).unwrap();
    println!("{name}: {runs} pairs of crashes");
    assert!(runs > 100, "{name}: the crashes do not happen");
}

#[test]
fn crashes_while_a_log_is_created_lose_nothing() {
    loses_nothing("create", &script::create());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn crashes_while_records_are_appended_lose_nothing() {
    loses_nothing("appends", &script::appends());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn crashes_while_segments_follow_one_another_lose_nothing() {
    loses_nothing("rolls", &script::rolls());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn crashes_while_segments_grow_lose_nothing() {
    loses_nothing("grows", &script::grows());
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_process_that_dies_before_names_are_durable_leaves_them_to_the_next_on_a_full_disk() {
    let script = script::rolls();
    for call in 0..calls(&script, None).unwrap() {
        let mut world = World::new(Disk::new(call), Model::default());
        world.disk.fail_at(call, Fault::Crash);
        play(&mut world, &script).unwrap();
        let world = world.restart(Loss::Nothing);
        world.disk.limit(world.disk.used());
        for again in 0.. {
            let mut next = World::fork(&world.disk, &world.model);
            next.disk.fail_at(again, Fault::Crash);
            let _ = next.open(0).unwrap();
            if !next.disk.is_crashed() {
                break;
            }
            // A removal may outlive a power loss that an earlier renaming does not.
            for seed in 0..4 {
                let next = World::fork(&next.disk, &next.model).restart(Loss::Some(seed));
                next.disk.limit(u64::MAX);
                goes_on(next).unwrap_or_else(|what| panic!("call {call}, then {again}: {what}"));
            }
        }
    }
}

#[test]
fn a_disk_that_syncs_nothing_is_caught() {
    let caught = survives_every_crash("create", &script::create(), Some(Lie::SyncsNothing));
    println!("{}", caught.unwrap_err());
}

#[test]
fn a_directory_that_is_not_synced_is_caught() {
    let caught = survives_every_crash("create", &script::create(), Some(Lie::SyncsNoNames));
    println!("{}", caught.unwrap_err());
}
