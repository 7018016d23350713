//! What may be wrong with steps, with those whom they ask, with a log or a disk, or with how sagas
//! are run: each must be caught. What only a coordinator can do wrong is brought about from outside,
//! by definitions, steps and logs that do what it would do.

use super::schedule;
use crate::disk::Lie;
use crate::stage::caught;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A step that may have run is taken for one that has not: its compensation does nothing.
    SkipsWhatMayHaveRun,
    /// The pivot, and what comes after it, is compensated as any other step.
    CompensatesThePivot,
    /// Once a step has failed, its siblings are not waited for.
    SiblingsAreLeft,
    /// What steps gave is another thing after a restart.
    ChangesOutputs,
    /// The key is another one in each try.
    KeysChangeByTry,
    /// The key is another one in each epoch.
    KeysChangeByRestart,
    /// All steps of a saga have one key.
    StepsShareAKey,
    /// What a step comes after is not durable when it runs.
    AnswersBeforeDurable,
    /// The log loses the last record that was durable.
    LosesTheLastRecord,
    /// The log loses what ends a saga.
    ForgetsEnds,
    /// What comes first is compensated first.
    CompensatesTheEarlierFirst,
    /// A saga that is over is forgotten at once.
    ForgetsTheEndedEarly,
    /// A compensation leaves no mark where there is nothing to compensate.
    LeavesNoMark,
    /// Somebody who has refused under a key does not know it any more.
    RefusalsAreForgotten,
    /// No answer is taken for a refusal.
    UnknownIsFailure,
    /// Each opening has the same epoch.
    EpochsComeAgain,
    /// It is the disk.
    Disk(Lie),
}

impl Flaw {
    pub fn lie(self) -> Option<Lie> {
        match self {
            Self::Disk(lie) => Some(lie),
            _ => None,
        }
    }
}

caught! { schedule::run, Flaw:
    a_compensation_skipped_for_a_step_that_may_have_run_is_caught = SkipsWhatMayHaveRun,
    a_pivot_crossed_backwards_is_caught = CompensatesThePivot,
    siblings_that_are_not_awaited_are_caught = SiblingsAreLeft,
    an_output_that_a_restart_changes_is_caught = ChangesOutputs,
    a_key_that_changes_by_try_is_caught = KeysChangeByTry,
    a_key_that_changes_by_restart_is_caught = KeysChangeByRestart,
    a_key_that_steps_share_is_caught = StepsShareAKey,
    a_step_whose_dependency_is_not_durable_is_caught = AnswersBeforeDurable,
    a_log_that_loses_the_last_record_is_caught = LosesTheLastRecord,
    a_log_that_loses_ends_is_caught = ForgetsEnds,
    compensations_out_of_order_are_caught = CompensatesTheEarlierFirst,
    an_ended_saga_that_is_forgotten_early_is_caught = ForgetsTheEndedEarly,
    a_compensation_without_a_mark_is_caught = LeavesNoMark,
    a_refusal_that_is_forgotten_is_caught = RefusalsAreForgotten,
    an_unknown_outcome_taken_for_a_failure_is_caught = UnknownIsFailure,
    ids_that_come_again_are_caught = EpochsComeAgain,
    a_disk_that_does_not_sync_is_caught = Disk(Lie::SyncsNothing),
    a_disk_that_does_not_sync_names_is_caught = Disk(Lie::SyncsNoNames),
    a_failed_sync_taken_for_a_good_one_is_caught = Disk(Lie::TriesAgainAfterAFailedSync),
}
