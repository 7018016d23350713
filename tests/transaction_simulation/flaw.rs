//! What may be wrong with a participant, a network, a log or a disk: each must be caught.

use crate::disk::Lie;

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
    /// The log drops what has lived for longer than an epoch.
    DropsOldRecords,
    /// The log starts again at the first epoch.
    EpochsComeAgain,
    /// The disk does not sync.
    SyncsNothing,
    /// The disk does not sync names.
    SyncsNoNames,
    /// A failed sync is taken for a good one.
    FailedSyncIsGood,
}

impl Flaw {
    pub const ALL: [Self; 19] = [
        Self::NotFoundIsDone,
        Self::ForgetsEarly,
        Self::NoTombstone,
        Self::VotesBeforePrepared,
        Self::ListsNothing,
        Self::ReadOnlyThoughWritten,
        Self::CommitsNothing,
        Self::LostVoteIsYes,
        Self::LostCommitIsDone,
        Self::LostAbortIsDone,
        Self::LostOnePhaseIsAborted,
        Self::AnswersBeforeDurable,
        Self::UnknownIsNotWritten,
        Self::TakesZombies,
        Self::DropsOldRecords,
        Self::EpochsComeAgain,
        Self::SyncsNothing,
        Self::SyncsNoNames,
        Self::FailedSyncIsGood,
    ];

    pub fn lie(self) -> Option<Lie> {
        match self {
            Self::SyncsNothing => Some(Lie::SyncsNothing),
            Self::SyncsNoNames => Some(Lie::SyncsNoNames),
            Self::FailedSyncIsGood => Some(Lie::TriesAgainAfterAFailedSync),
            _ => None,
        }
    }
}
