//! What the coordinator logs about a transaction.

use std::sync::Arc;

use crate::transaction::name::ParticipantName;
use crate::transaction::participant::Outcome;

/// A record of one transaction. The log keeps its id beside it.
///
/// Everything else about a transaction is presumed: no [`Committed`](Self::Committed), no commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A branch of a participant that cannot list its branches. Forced before its first effect, or
    /// nobody would ever find it.
    Enlisted {
        /// Its number.
        branch: u16,
        /// Whose it is.
        participant: ParticipantName,
    },
    /// The decision to commit: forced before anyone is told. Kept until the transaction has ended,
    /// however long that takes.
    Committed {
        /// All of them.
        branches: Arc<[NamedBranch]>,
    },
    /// The decision to abort, logged where there is more to say about it than is presumed: an
    /// operator's, or one that a branch has not followed. Not forced: without it, abort is presumed.
    Aborted {
        /// All of them.
        branches: Arc<[NamedBranch]>,
    },
    /// A branch did something else than was decided. Not forced: without it, the branch is asked
    /// again, and says so again.
    Heuristic(Deed),
    /// An operator's word for what a branch did, which it will not be asked any more. Forced.
    Resolved(Deed),
    /// Every branch has durably done its part. Not forced: without it, all are asked again. What
    /// was recorded before may go once this is durable, and not earlier.
    Ended,
}

/// A branch, as the record of a decision names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamedBranch {
    /// Its number.
    pub number: u16,
    /// Whose it is.
    pub participant: ParticipantName,
    /// Whether it voted read-only, and needs no decision.
    pub read_only: bool,
}

/// What a branch did, beside what was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deed {
    /// Its number.
    pub branch: u16,
    /// Whose it is.
    pub participant: ParticipantName,
    /// What was decided. It stays so.
    pub decided: Outcome,
    /// What the branch did.
    pub did: Outcome,
}

/// Which record of a transaction: each is appended once at most while a log is open, but for
/// [`Resolved`](Self::Resolved) after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// [`Record::Enlisted`] of this branch.
    Enlisted(u16),
    /// [`Record::Committed`].
    Committed,
    /// [`Record::Aborted`].
    Aborted,
    /// [`Record::Heuristic`] of this branch.
    Heuristic(u16),
    /// [`Record::Resolved`] of this branch.
    Resolved(u16),
    /// [`Record::Ended`].
    Ended,
}

impl Record {
    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::Enlisted { branch, .. } => RecordKind::Enlisted(*branch),
            Self::Committed { .. } => RecordKind::Committed,
            Self::Aborted { .. } => RecordKind::Aborted,
            Self::Heuristic(deed) => RecordKind::Heuristic(deed.branch),
            Self::Resolved(deed) => RecordKind::Resolved(deed.branch),
            Self::Ended => RecordKind::Ended,
        }
    }

    /// Whom it names.
    pub(super) fn participants(&self) -> impl Iterator<Item = &ParticipantName> {
        let (one, several): (_, &[NamedBranch]) = match self {
            Self::Enlisted { participant, .. } => (Some(participant), &[]),
            Self::Committed { branches } | Self::Aborted { branches } => (None, branches),
            Self::Heuristic(deed) | Self::Resolved(deed) => (Some(&deed.participant), &[]),
            Self::Ended => (None, &[]),
        };
        let several = several.iter().map(|named| &named.participant);
        one.into_iter().chain(several)
    }

    /// Whether it has to be durable before the transaction goes on. Nobody waits for the others.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        match self {
            Self::Enlisted { .. } | Self::Committed { .. } | Self::Resolved(_) => true,
            Self::Aborted { .. } | Self::Heuristic(_) | Self::Ended => false,
        }
    }
}
