//! A branch, as its coordinator sees it.

use crate::transaction::name::ParticipantName;
use crate::transaction::participant::Outcome;

/// A participant's part of a transaction, as its coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    pub(super) number: u16,
    pub(super) participant: ParticipantName,
    pub(super) progress: Progress,
}

impl Branch {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Whose it is.
    #[must_use]
    pub fn participant(&self) -> &ParticipantName {
        &self.participant
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether nothing is left to be asked or told.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self.progress {
            Progress::ReadOnly | Progress::Did(_) => true,
            Progress::Enlisting
            | Progress::Working
            | Progress::Preparing
            | Progress::Prepared
            | Progress::Told
            | Progress::Proving
            | Progress::Waiting
            | Progress::Parked(_) => false,
        }
    }

    /// Whether it waits for an operator.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        matches!(self.progress, Progress::Parked(_))
    }
}

/// How far a branch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// It may not work yet: its record is not durable.
    Enlisting,
    /// It works.
    Working,
    /// It was asked for its vote.
    Preparing,
    /// It voted yes.
    Prepared,
    /// It voted read-only, and is over.
    ReadOnly,
    /// It was told the decision, or to commit in one phase, and has not answered.
    Told,
    /// It was not found, and was asked to prove what it did.
    Proving,
    /// It gave no answer to rely on, and is to be asked again later.
    Waiting,
    /// It is not asked on by itself.
    Parked(ParkReason),
    /// It durably did this.
    Did(Outcome),
}

/// Why a branch waits for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParkReason {
    /// It did something else than was decided, and nobody can undo that but a human.
    Heuristic(Outcome),
    /// Nobody goes by its participant's name here.
    Unregistered,
    /// It gave no answer to rely on for too long.
    Unanswered,
    /// The participant refuses what was decided.
    Refused,
}
