//! The disk fails at every call, once or for good.

use std::io::ErrorKind;

use tripod::transaction::log::{FileLog, LogError, TransactionLog};

use super::disk::{Disk, Fault, Lie, Loss};
use super::model::Model;
use super::script::{self, play};
use super::sweep::{goes_on, survives_every_fault};
use super::world::{World, drive, options};

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_failure_of_any_call_loses_nothing_that_was_promised() {
    for (name, script) in script::all() {
        let runs = survives_every_fault(name, &script, None).unwrap();
        println!("{name}: {runs} failures");
        assert!(runs > 100, "{name}: the failures do not happen");
    }
}

/// The file that is there would do, and a longer one is to take its name.
#[test]
fn a_full_disk_mixes_up_no_segments() {
    for call in 0.. {
        let mut world = World::new(Disk::new(call), Model::default());
        play(&mut world, &script::rolls()).unwrap();
        world.close().unwrap().unwrap();
        let mut world = World::with(world.disk, world.model, options().segment_len(1 << 14));
        world
            .disk
            .fail_at(call, Fault::Once(ErrorKind::StorageFull));
        let opened = world.open(0).unwrap();
        let met = world.disk.faults_met();
        world.disk.heal();
        if opened.is_ok() {
            let more: Vec<_> = script::create().into_iter().skip(1).collect();
            play(&mut world, &more).unwrap();
        }
        let told = goes_on(world.restart(Loss::Everything));
        told.unwrap_or_else(|what| panic!("call {call}, {opened:?}: {what}"));
        if met == 0 {
            assert!(call > 10, "the failures do not happen");
            break;
        }
    }
}

/// It does not have the lock while it is closed.
#[test]
fn a_reopening_that_failed_is_ones_own_only_if_nobody_has_opened_the_log_since() {
    for (call, followed) in (0..).flat_map(|call| [(call, false), (call, true)]) {
        let disk = Disk::new(call);
        let (log, mut writer) = FileLog::on(disk.clone(), options());
        let epoch = drive(&mut writer, log.open(0)).unwrap().epoch();
        drive(&mut writer, log.close(epoch)).unwrap();
        if followed {
            let (other, mut writer) = FileLog::on(disk.clone(), options());
            let later = drive(&mut writer, other.open(0)).unwrap().epoch();
            drive(&mut writer, other.close(later)).unwrap();
        }
        disk.fail_at(call, Fault::Once(ErrorKind::Other));
        let first = drive(&mut writer, log.reopen(epoch));
        let met = disk.faults_met();
        disk.heal();
        let again = drive(&mut writer, log.reopen(epoch));
        if followed {
            let refused = matches!(again, Err(LogError::Superseded { epoch: e }) if e == epoch);
            assert!(refused, "call {call}: {first:?}, then {again:?}");
            assert!(first.is_err(), "call {call}: {first:?}");
        } else {
            assert!(again.is_ok(), "call {call}: {first:?}, then {again:?}");
            if met == 0 {
                assert!(call > 10, "the failures do not happen");
                break;
            }
        }
    }
}

#[test]
fn a_log_that_tries_again_after_a_failed_sync_is_caught() {
    let lie = Some(Lie::TriesAgainAfterAFailedSync);
    let caught = survives_every_fault("appends", &script::appends(), lie);
    println!("{}", caught.unwrap_err());
}
