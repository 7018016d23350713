//! All transactions of a coordinator.

use tripod::transaction::two_phase::{
    AbortReason, Action, Answer, Book, Entry, Event, Inquirer, NamedBranch, Outcome, Record,
    Report, Request, Resolution, Standing,
};
use tripod::transaction::{BranchId, CoordinatorId, TransactionId};

use super::{coordinator, epoch, participant, transaction};

const ABORTED: Standing = Standing::Decided(Outcome::Aborted);

#[test]
fn absence_means_abort_only_to_a_branch_that_is_still_prepared() {
    let book = opened(2, []);
    let unrecorded = transaction(1);
    assert_eq!(book.inquire(unrecorded, Inquirer::Prepared), ABORTED);
    assert_eq!(
        book.inquire(unrecorded, Inquirer::Anyone),
        Standing::Forgotten
    );
}

#[test]
fn what_is_undecided_or_in_one_phase_is_not_called_aborted() {
    let mut book = opened(1, []);
    let id = book.begin();
    let participant = participant(0);
    book.step(
        id,
        Event::Enlist {
            participant,
            lists: true,
        },
    )
    .unwrap();
    assert_eq!(book.inquire(id, Inquirer::Prepared), Standing::Active);
    book.step(id, Event::Commit).unwrap();
    assert_eq!(book.inquire(id, Inquirer::Prepared), Standing::Unknown);
    let report = Report::Did(Outcome::Committed);
    book.step(id, Event::Reported { branch: 0, report })
        .unwrap();
    assert_eq!(book.inquire(id, Inquirer::Anyone), Standing::Forgotten);
}

#[test]
fn nothing_is_said_of_foreigners_and_successors() {
    let book = opened(2, []);
    let foreign = TransactionId::new(CoordinatorId::from_u128(9), epoch(1), 0);
    for id in [foreign, transaction(3)] {
        for inquirer in [Inquirer::Anyone, Inquirer::Prepared] {
            assert_eq!(book.inquire(id, inquirer), Standing::Unknown);
        }
    }
}

#[test]
fn only_orphans_of_earlier_epochs_are_touched() {
    let book = opened(2, []);
    let foreign = TransactionId::new(CoordinatorId::from_u128(9), epoch(1), 0);
    for id in [foreign, transaction(2), transaction(3)] {
        assert_eq!(book.adopt(BranchId::new(id, 0)), None);
    }
    let orphan = BranchId::new(transaction(1), 0);
    assert_eq!(book.adopt(orphan), Some(Request::Abort));
}

#[test]
fn what_a_commit_record_names_is_committed_by_a_scan() {
    let id = transaction(1);
    let mut book = opened(2, [Entry::Of(id, committed())]);
    assert_eq!(book.adopt(BranchId::new(id, 0)), Some(Request::Commit));
    assert_eq!(book.adopt(BranchId::new(id, 1)), Some(Request::Abort));
    let report = Report::Did(Outcome::Aborted);
    book.step(id, Event::Reported { branch: 0, report })
        .unwrap();
    assert_eq!(book.adopt(BranchId::new(id, 0)), None, "it is parked");
}

#[test]
fn names_are_durable_once_in_an_epoch_and_scanned_ever_after() {
    let name = participant(0);
    let mut book = opened(1, []);
    let entry = book.name(&name);
    assert_eq!(entry, Some(Entry::Named(name.clone())));
    book.named(name.clone());
    assert_eq!(book.name(&name), None);
    let book = opened(2, entry);
    assert!(book.names().eq([&name]));
    assert!(book.name(&name).is_some());
    // Those that records name, too.
    let book = opened(2, [Entry::Of(transaction(1), committed())]);
    assert!(book.names().eq([&name]));
}

#[test]
fn the_watermark_waits_for_the_oldest_that_is_open() {
    let id = transaction(1);
    let mut book = opened(2, [Entry::Of(id, committed())]);
    let own = book.begin();
    assert_eq!(book.watermark(), (epoch(1), 0));
    let did = Outcome::Committed;
    book.step(id, Event::Resolve(Resolution::Did { branch: 0, did }))
        .unwrap();
    let resolved = Record::Resolved(tripod::transaction::two_phase::Deed {
        branch: 0,
        participant: participant(0),
        decided: did,
        did,
    });
    book.step(id, Event::Durable(resolved)).unwrap();
    assert_eq!(book.watermark(), (epoch(1), 0), "its end is not durable");
    book.step(id, Event::Durable(Record::Ended)).unwrap();
    assert_eq!(book.watermark(), (epoch(2), 0));
    book.step(own, Event::Rollback).unwrap();
    assert_eq!(book.watermark(), (epoch(2), 1));
}

#[test]
fn who_asks_for_the_commit_of_what_is_over_is_answered() {
    let mut book = opened(1, []);
    let id = book.begin();
    book.step(id, Event::Deadline).unwrap();
    assert_eq!(book.transactions().count(), 0);
    assert_eq!(book.watermark(), (epoch(1), 1));
    let answer = Answer::Aborted(AbortReason::Deadline);
    assert_eq!(
        book.step(id, Event::Commit).unwrap(),
        [Action::Answer(answer)]
    );
    assert!(book.transaction(id).is_none());
}

#[test]
fn records_of_others_are_not_replayed() {
    let foreign = TransactionId::new(CoordinatorId::from_u128(9), epoch(1), 0);
    for id in [foreign, transaction(2), transaction(3)] {
        let log = [Entry::Of(id, committed()), Entry::Of(id, Record::Ended)];
        let recovered = Book::recover(coordinator(), epoch(2), log);
        assert_eq!(recovered.broken.len(), 1);
        assert!(recovered.actions.is_empty());
        assert_eq!(recovered.book.adopt(BranchId::new(id, 0)), None);
    }
}

fn committed() -> Record {
    let named = NamedBranch {
        number: 0,
        participant: participant(0),
        read_only: false,
    };
    let branches = [named].into();
    Record::Committed { branches }
}

fn opened(at: u64, log: impl IntoIterator<Item = Entry>) -> Book {
    Book::recover(coordinator(), epoch(at), log).book
}
