//! Participants that break the law in one way each: the case meant for it must tell.

use tripod::transaction::participant::conformance::{CaseReport, run};

use super::sheet::Sheet;

macro_rules! faults {
    ($($fault:ident: $case:ident;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Fault {
            $($fault),+
        }

        /// Faults, and the cases that are meant for them.
        const FAULTS: &[(Fault, &str)] = &[$((Fault::$fault, stringify!($case))),+];
    };
}

faults! {
    TakesAStaleLog: an_opening_is_remembered_by_the_store;
    TakesAnEpochTwice: a_stale_log_is_refused;
    RefusesItsOwnOpening: the_same_opening_may_be_told_again;
    AbortsAtAnOpening: what_is_prepared_outlives_an_opening;
    HasNoFence: a_branch_of_an_earlier_epoch_cannot_commit_in_one_phase;
    LosesWhatIsPrepared: a_prepared_branch_outlives_its_process;
    WritesAtOnce: a_branch_that_works_dies_with_its_process;
    CommitsHalf: a_handle_works_for_its_branch;
    VotesYesForNothing: what_never_worked_votes_no;
    VotesYesWhenSettled: a_late_prepare_changes_nothing;
    VotesNoAgain: a_prepared_branch_votes_yes_again;
    VotesReadOnly: what_changed_nothing_is_over_or_prepared;
    CommitsUnprepared: what_works_is_not_committed_as_if_prepared;
    CallsTheMissingDone: what_is_not_found_is_not_called_done;
    MissesRepeats: a_decision_may_come_again;
    AbortsTheCommitted: what_committed_cannot_abort;
    AbortsWithoutTombstone: what_never_was_can_never_be;
    SettlesWithoutTombstone: a_lost_branch_is_kept_out;
    SettlesThePrepared: what_is_prepared_is_only_reported;
    LeavesWhatWorks: what_works_is_ended;
    BeginsAgain: what_is_settled_never_works_again;
    BeginsTooLate: a_branch_of_an_earlier_epoch_never_begins;
    EndsWithItsHandle: a_dropped_handle_leaves_its_branch;
    WritesOnceItHasEnded: a_handle_ends_when_its_branch_commits;
    ListsNothing: what_is_prepared_in_earlier_epochs_is_listed;
    ListsItsOwnEpoch: what_is_prepared_in_earlier_epochs_is_listed;
    ListsForeigners: others_are_neither_listed_nor_touched;
    ForgetsOneTooMany: what_is_not_below_the_watermark_is_remembered;
    HasNoWatermark: below_the_watermark_nothing_begins;
    KnowsTheForgotten: below_the_watermark_a_repeat_is_answered;
}

#[tokio::test]
async fn every_broken_law_is_told_by_its_case() {
    for (fault, case) in FAULTS {
        let report = run(&Sheet::new(Some(*fault))).await;
        let caught: Vec<_> = report.failures().map(CaseReport::name).collect();
        println!("{fault:?}: {}", caught.join(", "));
        assert!(caught.contains(case), "{fault:?}: {case} among {caught:?}");
    }
}
