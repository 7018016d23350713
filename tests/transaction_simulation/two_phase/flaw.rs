//! What may be wrong with a participant, a network, a log or a disk: each must be caught.

use super::schedule;
use crate::disk::Lie;
use crate::stage::caught;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A participant says of a branch that it does not find that it committed.
    NotFoundIsDone,
    /// It drops rows that the watermark does not allow to drop.
    ForgetsEarly,
    /// It takes absence for abort, and leaves no tombstone.
    NoTombstone,
    /// It votes yes, and prepares when it is told to commit.
    VotesBeforePrepared,
    /// It lists none of its prepared branches, and says that it does.
    ListsNothing,
    /// It votes read-only, and drops what was written.
    ReadOnlyThoughWritten,
    /// Told to commit a branch that it has, it forgets to.
    CommitsNothing,
    /// Told to commit a branch that was aborted by hand, it says that it has.
    HidesWhatItDid,
    /// A vote that is lost is taken for a yes.
    LostVoteIsYes,
    /// An acknowledgement that is lost is taken for one.
    LostCommitIsDone,
    /// So is that of an abort.
    LostAbortIsDone,
    /// A lost answer to a one-phase commit is taken for an abort.
    LostOnePhaseIsAborted,
    /// The log answers before it is durable.
    AnswersBeforeDurable,
    /// The log says that a record was not written which may have been.
    UnknownIsNotWritten,
    /// The log takes what a superseded epoch appends.
    TakesZombies,
    /// The log opens again for whom another has followed.
    TakesTheLogBack,
    /// The log drops what has lived for longer than an epoch.
    DropsOldRecords,
    /// The log starts again at the first epoch.
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
    a_participant_that_takes_not_found_for_done_is_caught = NotFoundIsDone,
    a_participant_that_forgets_rows_early_is_caught = ForgetsEarly,
    a_participant_without_tombstones_is_caught = NoTombstone,
    a_vote_before_the_branch_is_prepared_is_caught = VotesBeforePrepared,
    a_participant_that_lists_nothing_is_caught = ListsNothing,
    a_read_only_vote_of_a_writer_is_caught = ReadOnlyThoughWritten,
    a_commit_that_is_reported_and_not_done_is_caught = CommitsNothing,
    a_heuristic_outcome_that_is_hidden_is_caught = HidesWhatItDid,
    a_missing_vote_taken_for_yes_is_caught = LostVoteIsYes,
    a_missing_acknowledgement_taken_for_one_is_caught = LostCommitIsDone,
    a_missing_answer_to_an_abort_taken_for_one_is_caught = LostAbortIsDone,
    a_missing_answer_to_a_one_phase_commit_taken_for_an_abort_is_caught = LostOnePhaseIsAborted,
    a_log_that_answers_before_it_is_durable_is_caught = AnswersBeforeDurable,
    an_unknown_append_taken_for_not_written_is_caught = UnknownIsNotWritten,
    a_log_that_takes_what_zombies_append_is_caught = TakesZombies,
    a_log_that_whoever_is_followed_takes_back_is_caught = TakesTheLogBack,
    a_log_that_drops_what_is_old_is_caught = DropsOldRecords,
    ids_that_come_again_are_caught = EpochsComeAgain,
    a_disk_that_does_not_sync_is_caught = Disk(Lie::SyncsNothing),
    a_disk_that_does_not_sync_names_is_caught = Disk(Lie::SyncsNoNames),
    a_failed_sync_taken_for_a_good_one_is_caught = Disk(Lie::TriesAgainAfterAFailedSync),
}
