//! What participants remember.

use tripod::transaction::two_phase::{Ledger, Outcome, Reply, Report, Request, Row, Vote};
use tripod::transaction::{BranchId, CoordinatorId, TransactionId};

use super::{coordinator, epoch};

const COMMITTED: Reply = Reply::Report(Report::Did(Outcome::Committed));
const ABORTED: Reply = Reply::Report(Report::Did(Outcome::Aborted));

#[test]
fn a_log_that_opens_at_or_below_the_epoch_seen_is_refused() {
    let mut ledger = Ledger::default();
    ledger.open(coordinator(), epoch(2), 7).unwrap();
    // The answer was lost.
    ledger.open(coordinator(), epoch(2), 7).unwrap();
    let before = ledger.clone();
    assert!(ledger.open(coordinator(), epoch(2), 8).is_err());
    assert!(ledger.open(coordinator(), epoch(1), 7).is_err());
    assert_eq!(ledger, before);
    ledger
        .open(CoordinatorId::from_u128(2), epoch(1), 9)
        .unwrap();
    ledger.open(coordinator(), epoch(3), 9).unwrap();
}

#[test]
fn one_phase_commits_of_earlier_epochs_are_fenced_off() {
    let mut ledger = working();
    ledger.open(coordinator(), epoch(2), 2).unwrap();
    assert_eq!(ledger.answer(branch(1), Request::CommitOnePhase), ABORTED);
    assert_eq!(ledger.row(branch(1)), Some(Row::Excluded));
}

#[test]
fn branches_of_earlier_epochs_never_begin() {
    let mut ledger = working();
    ledger.open(coordinator(), epoch(3), 2).unwrap();
    let before = ledger.clone();
    for begun_in in [1, 2] {
        assert!(ledger.work(branch(begun_in), false).is_err());
    }
    assert_eq!(ledger, before);
    ledger.work(branch(3), false).unwrap();
}

#[test]
fn prepared_branches_of_earlier_epochs_still_commit() {
    let mut ledger = working();
    ledger.answer(branch(1), Request::Prepare);
    ledger.open(coordinator(), epoch(2), 2).unwrap();
    assert_eq!(ledger.answer(branch(1), Request::Commit), COMMITTED);
}

#[test]
fn a_tombstone_excludes_a_late_writer_for_ever() {
    for request in [Request::Settle, Request::Abort] {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.answer(branch(1), request), ABORTED);
        assert!(ledger.work(branch(1), false).is_err());
        let vote = ledger.answer(branch(1), Request::Prepare);
        assert!(matches!(vote, Reply::Vote(Vote::No(_))));
        assert_eq!(ledger.answer(branch(1), Request::CommitOnePhase), ABORTED);
        assert_eq!(ledger.answer(branch(1), Request::Commit), ABORTED);
    }
}

#[test]
fn what_is_not_found_is_not_called_done() {
    let mut ledger = Ledger::default();
    for request in [Request::Commit, Request::CommitOnePhase] {
        assert_eq!(
            ledger.answer(branch(1), request),
            Reply::Report(Report::Missing)
        );
    }
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn what_is_settled_stays_so_whatever_comes_late() {
    let requests = [
        Request::Prepare,
        Request::CommitOnePhase,
        Request::Commit,
        Request::Abort,
        Request::Settle,
    ];
    for (last, row) in [
        (Request::Commit, Row::Committed),
        (Request::Abort, Row::Excluded),
    ] {
        let mut ledger = working();
        ledger.answer(branch(1), Request::Prepare);
        ledger.answer(branch(1), last);
        for request in requests {
            ledger.answer(branch(1), request);
            ledger.told(branch(1), Outcome::Committed);
            ledger.told(branch(1), Outcome::Aborted);
            ledger.lose(branch(1));
            assert_eq!(ledger.row(branch(1)), Some(row), "{request:?}");
        }
    }
}

#[test]
fn only_earlier_epochs_of_the_same_coordinator_are_listed() {
    let foreign = TransactionId::new(CoordinatorId::from_u128(2), epoch(1), 0);
    let foreign = BranchId::new(foreign, 0);
    let mut ledger = Ledger::default();
    for branch in [branch(1), branch(2), branch(3), foreign] {
        ledger.work(branch, false).unwrap();
        ledger.answer(branch, Request::Prepare);
    }
    assert_eq!(ledger.in_doubt(coordinator(), epoch(2)), [branch(1)]);
    assert_eq!(ledger.in_doubt(coordinator(), epoch(1)), []);
}

#[test]
fn below_the_watermark_rows_go_and_nothing_begins_again() {
    let mut ledger = working();
    ledger.answer(branch(1), Request::Prepare);
    ledger.answer(branch(1), Request::Commit);
    ledger.forget(coordinator(), (epoch(1), 0));
    assert_eq!(
        ledger.row(branch(1)),
        Some(Row::Committed),
        "it is not below"
    );
    ledger.forget(coordinator(), (epoch(1), 1));
    assert_eq!(ledger.row(branch(1)), None);
    // Repeats, and a writer who is very late.
    assert_eq!(ledger.answer(branch(1), Request::Commit), COMMITTED);
    assert!(ledger.work(branch(1), false).is_err());
    assert_eq!(ledger.row(branch(1)), None);
    // It does not sink.
    ledger.forget(coordinator(), (epoch(1), 0));
    assert!(ledger.work(branch(1), false).is_err());
}

#[test]
fn a_crash_ends_what_works_and_keeps_what_is_prepared() {
    let mut ledger = working();
    ledger.lose(branch(1));
    assert_eq!(ledger.row(branch(1)), None);
    let mut ledger = working();
    ledger.answer(branch(1), Request::Prepare);
    ledger.lose(branch(1));
    assert_eq!(ledger.row(branch(1)), Some(Row::Prepared));
}

/// A ledger with a branch of the first epoch that works.
fn working() -> Ledger {
    let mut ledger = Ledger::default();
    ledger.open(coordinator(), epoch(1), 1).unwrap();
    ledger.work(branch(1), false).unwrap();
    ledger
}

fn branch(begun_in: u64) -> BranchId {
    BranchId::new(super::transaction(begun_in), 0)
}
