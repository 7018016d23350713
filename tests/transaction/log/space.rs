//! How much disk a log takes, and what it does when there is no more. `TRIPOD_TRANSACTIONS` says
//! how many go through it.

use tripod::transaction::log::{AppendError, Durability, LogError, Record, TransactionLog};

use super::disk::{Disk, Loss};
use super::model::Model;
use super::script::saga;
use super::world::{World, drive};
use crate::seeds::number;

fn decision(number: u64, len: usize) -> Record {
    Record::new(saga(number), vec![7; len]).unwrap()
}

#[test]
fn finished_transactions_take_no_disk() {
    let mut world = World::new(Disk::new(1), Model::default());
    let epoch = world.open(0).unwrap().unwrap().epoch();
    let mut most = 0;
    let transactions = number("TRIPOD_TRANSACTIONS", 20_000);
    for number in 0..transactions {
        let forced = number % 64 == 0;
        let durability = if forced {
            Durability::Forced
        } else {
            Durability::Unforced
        };
        for record in [decision(number, 60), Record::end(saga(number))] {
            let append = world.log.append(epoch, vec![record], durability, None);
            drive(&mut world.writer, append).unwrap();
        }
        if forced {
            most = most.max(world.disk.used());
        }
    }
    assert!(most <= 3 * 4096, "{most} bytes for segments of 4096");
}

#[test]
fn disk_use_follows_what_lives_and_shrinks_again() {
    let mut world = World::new(Disk::new(1), Model::default());
    let epoch = world.open(0).unwrap().unwrap().epoch();
    let append = |world: &mut World, record: Record| {
        let append = world
            .log
            .append(epoch, vec![record], Durability::Forced, None);
        drive(&mut world.writer, append).unwrap();
    };
    for number in 0..200 {
        append(&mut world, decision(number, 1000));
    }
    let grown = world.disk.used();
    assert!(grown < 16 * 200 * 1100, "{grown}");
    for number in 0..200 {
        append(&mut world, Record::end(saga(number)));
    }
    for number in 1000..6000 {
        append(&mut world, decision(number, 100));
        append(&mut world, Record::end(saga(number)));
    }
    let shrunk = world.disk.used();
    assert!(shrunk <= 3 * 4096, "{shrunk} bytes, {grown} before");
}

/// Begins transactions until the log refuses.
fn begin_all(world: &mut World, bytes: u64) -> Vec<tripod::transaction::log::Reservation> {
    let epoch = world.epoch.unwrap();
    let mut begun = Vec::new();
    loop {
        match drive(&mut world.writer, world.log.reserve(epoch, bytes)) {
            Ok(_) if begun.len() > 1000 => panic!("the log promises what it does not have"),
            Ok(reservation) => begun.push(reservation),
            Err(AppendError::Full { .. }) => return begun,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_full_disk_refuses_what_begins_and_never_what_was_begun() {
    let disk = Disk::new(1);
    disk.limit(40_000);
    let mut world = World::new(disk, Model::default());
    let epoch = world.open(0).unwrap().unwrap().epoch();
    let both = decision(1000, 300).space() + Record::end(saga(1000)).space();
    for round in 0..40 {
        let begun = begin_all(&mut world, both);
        assert!(begun.len() > 4, "round {round}: only {} begun", begun.len());
        let unreserved = vec![decision(9999, 1_000_000)];
        let refused = world
            .log
            .append(epoch, unreserved, Durability::Forced, None);
        let refused = drive(&mut world.writer, refused);
        assert!(
            matches!(refused, Err(AppendError::Full { .. })),
            "{refused:?}"
        );
        let mut ends = Vec::new();
        for (number, mut reservation) in (1000..).zip(begun) {
            let record = decision(number, 300);
            let part = Some(reservation.split(record.space()));
            let decided = world
                .log
                .append(epoch, vec![record], Durability::Forced, part);
            drive(&mut world.writer, decided).unwrap();
            ends.push((number, reservation));
        }
        for (number, reservation) in ends {
            let end = vec![Record::end(saga(number))];
            let ended = world
                .log
                .append(epoch, end, Durability::Unforced, Some(reservation));
            drive(&mut world.writer, ended).unwrap();
        }
    }
}

#[test]
fn a_log_on_a_full_disk_opens_again() {
    let disk = Disk::new(1);
    let mut world = World::new(disk, Model::default());
    world.open(0).unwrap().unwrap();
    let one = (vec![decision(1, 3000)], Durability::Forced);
    world.append(vec![one]).remove(0).unwrap();
    world.disk.limit(world.disk.used());
    for loss in [Loss::Everything, Loss::Nothing, Loss::Everything] {
        world = world.restart(loss);
        let opened = world.open(0).unwrap().unwrap();
        assert_eq!(opened.live().len(), 1);
    }
}

#[test]
fn a_log_that_cannot_be_created_for_want_of_space_says_so() {
    let disk = Disk::new(1);
    disk.limit(1000);
    let opened = World::new(disk, Model::default()).open(0).unwrap();
    assert!(matches!(opened, Err(LogError::Full(_))), "{opened:?}");
}
