//! What is told after an append or a sync has failed.

use std::io::ErrorKind;

use tripod::transaction::log::{AppendError, Durability, LogError, Record, TransactionLog};

use super::disk::{Disk, Fault, Loss};
use super::model::Model;
use super::script::saga;
use super::sweep::refuses_the_superseded;
use super::world::{World, drive};

fn forced(number: u64, len: usize) -> (Vec<Record>, Durability) {
    let record = Record::new(saga(number), vec![1; len]).unwrap();
    (vec![record], Durability::Forced)
}

fn opened() -> World {
    let mut world = World::new(Disk::new(1), Model::default());
    world.open(0).unwrap().unwrap();
    world.append(vec![forced(1, 10)]).remove(0).unwrap();
    world
}

/// A write and a sync are the two calls of a batch.
const CALLS: [u64; 2] = [0, 1];

#[test]
fn what_was_handed_to_the_system_is_unknown() {
    for call in CALLS {
        let mut world = opened();
        world.disk.fail_at(call, Fault::Once(ErrorKind::Other));
        for answer in world.append(vec![forced(2, 10), forced(3, 10)]) {
            let unknown = matches!(&answer, Err(error) if !error.is_definite());
            assert!(unknown, "{answer:?}");
        }
    }
}

#[test]
fn what_was_still_queued_is_certainly_not_appended() {
    for call in CALLS {
        let mut world = opened();
        // The two of them do not fit into what is left of the segment.
        world.append(vec![forced(2, 1500)]).remove(0).unwrap();
        let first = forced(3, 1000);
        let second = forced(4, 1200);
        let epoch = world.epoch.unwrap();
        let spaces = [&first, &second].map(|(records, _)| records[0].space());
        let both = world.log.reserve(epoch, spaces.iter().sum());
        drop(drive(&mut world.writer, both).unwrap());
        world.disk.fail_at(call, Fault::Once(ErrorKind::Other));
        let answers = world.append(vec![first, second]);
        assert!(
            matches!(answers[0], Err(AppendError::Unknown(_))),
            "{answers:?}"
        );
        assert!(
            matches!(answers[1], Err(AppendError::Poisoned)),
            "{answers:?}"
        );
    }
}

#[test]
fn nothing_goes_on_until_the_log_is_opened_again() {
    for call in CALLS {
        let mut world = opened();
        let epoch = world.epoch.unwrap();
        world.disk.fail_at(call, Fault::Once(ErrorKind::Other));
        world.append(vec![forced(2, 10)]);
        let calls = world.disk.calls();
        for durability in [Durability::Forced, Durability::Unforced] {
            let (records, _) = forced(3, 10);
            let refused = world.log.append(epoch, records, durability, None);
            let refused = drive(&mut world.writer, refused);
            assert!(matches!(refused, Err(AppendError::Poisoned)), "{refused:?}");
        }
        let refused = drive(&mut world.writer, world.log.reserve(epoch, 1));
        assert!(matches!(refused, Err(AppendError::Poisoned)), "{refused:?}");
        assert_eq!(world.disk.calls(), calls, "the disk is left alone");
        let again = world.open(0).unwrap().unwrap();
        assert!(again.epoch() > epoch);
        world.append(vec![forced(4, 10)]).remove(0).unwrap();
    }
}

#[test]
fn an_append_that_is_queued_behind_the_next_opening_is_refused() {
    refuses_the_superseded().unwrap();
}

#[test]
fn a_failed_log_closes_without_a_seal() {
    let mut world = opened();
    world.disk.fail_at(1, Fault::Once(ErrorKind::Other));
    world.append(vec![forced(2, 10)]);
    let closed = world.close();
    assert!(
        matches!(closed, Some(Err(LogError::Poisoned))),
        "{closed:?}"
    );
    world.open(0).unwrap().unwrap();
}

#[test]
fn a_failure_to_make_a_spare_segment_fails_no_append() {
    let mut spared = 0;
    for call in 0..40 {
        let mut world = opened();
        let fault = Fault::Once(ErrorKind::StorageFull);
        world.disk.fail_at(call, fault);
        let mut failed = 0;
        for number in 0..8 {
            let (records, durability) = forced(number, 700);
            let epoch = world.epoch.unwrap();
            let append = world.log.append(epoch, records, durability, None);
            failed += u64::from(drive(&mut world.writer, append).is_err());
            let end = vec![Record::end(saga(number))];
            let end = world.log.append(epoch, end, Durability::Unforced, None);
            let _ = drive(&mut world.writer, end);
        }
        if failed == 0 && world.disk.faults_met() > 0 {
            spared += 1;
        }
    }
    // Renaming it, syncing its name, making it zeros, syncing those.
    assert!(spared >= 4, "only {spared} failures fail no append");
}

#[test]
fn a_failure_to_exchange_the_spare_segment_leaves_one_that_can_be_used() {
    for (call, seed) in (0..8).flat_map(|call| (0..4).map(move |seed| (call, seed))) {
        let mut world = World::new(Disk::new(seed), Model::default());
        let epoch = world.open(0).unwrap().unwrap().epoch();
        world.disk.fail_at(call, Fault::Once(ErrorKind::Other));
        let longer = world.log.reserve(epoch, 20_000);
        drop(drive(&mut world.writer, longer));
        world.disk.heal();
        // Too much for the segment in use, so that the spare one follows it.
        for number in 0..6 {
            world.append(vec![forced(number, 900)]).remove(0).unwrap();
            let end = (vec![Record::end(saga(number))], Durability::Unforced);
            world.append(vec![end]).remove(0).unwrap();
        }
        let mut next = world.restart(Loss::Everything);
        let opened = next.open(0).unwrap();
        assert!(opened.is_ok(), "call {call}, seed {seed}: {opened:?}");
    }
}
