//! What participants say: votes, and reports of what a branch did.

use std::sync::Arc;

/// What becomes, or became, of a branch or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// All of it happened.
    Committed,
    /// Nothing of it happened.
    Aborted,
}

/// What the coordinator asks of a participant about a branch. Each may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Make it so durable that both outcomes stay possible, and vote.
    Prepare,
    /// Commit it, prepared or not: nobody else takes part.
    CommitOnePhase,
    /// It was decided: commit.
    Commit,
    /// It was decided, or presumed: abort.
    Abort,
    /// Say what it did, and prove it: by its outcome row, or by a tombstone in that row's place.
    Settle,
}

/// The answer to [`Request::Prepare`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Vote {
    /// It changed nothing, is over, and wants to know no decision.
    ReadOnly,
    /// Yes: it can commit whatever happens, and waits for the decision.
    Prepared,
    /// It cannot be said: an error that tells nothing, a lost connection, a time-out.
    Unknown,
    /// No, and why.
    No(Arc<str>),
}

/// The answer to all other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Report {
    /// The branch is durably so.
    Did(Outcome),
    /// It is still prepared.
    Prepared,
    /// There is no such branch. This proves nothing: it may have done either, or be under way.
    Missing,
    /// It cannot be said: an error that tells nothing, a lost connection, a time-out.
    Unknown,
}
