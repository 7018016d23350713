//! What happens to a saga, and what is to be done about it.

use super::fact::{End, Fact, Json, Reason};

/// What came of an action or a compensation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is done; an action gives JSON.
    Done(Json),
    /// It has not happened, and will not.
    Failed,
    /// It has not happened; later it may. `last`: it is not tried again.
    Again {
        /// Whether all tries or all time is used up.
        last: bool,
    },
    /// It cannot be said whether it has happened.
    Unknown {
        /// Whether all tries or all time is used up.
        last: bool,
    },
}

/// What happened to a saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It may begin, or go on where the log says that it was.
    Resume,
    /// An action has come to an end.
    Ran {
        /// Of which step.
        step: u16,
        /// How.
        verdict: Verdict,
    },
    /// A compensation has come to an end.
    Undone {
        /// Of which step.
        step: u16,
        /// How.
        verdict: Verdict,
    },
    /// The pause before the next try is over.
    Rested {
        /// Of which step.
        step: u16,
    },
    /// Somebody wants everything compensated, or its time is over.
    Cancel(Reason),
    /// An operator has a parked step tried again.
    Retry {
        /// Which.
        step: u16,
    },
    /// An operator has done by hand what a parked step was to do.
    Skip {
        /// Which.
        step: u16,
        /// What its action would have given, as JSON.
        output: Option<Json>,
    },
    /// An operator gives it up as it is.
    Abandon,
}

/// What is to be done once the facts are durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Run the action of this step.
    Run {
        /// Which.
        step: u16,
        /// From 1.
        attempt: u32,
    },
    /// Run the compensation of this step.
    Undo {
        /// Which.
        step: u16,
        /// From 1.
        attempt: u32,
        /// Whether the action may have happened without saying what it gave.
        doubtful: bool,
    },
    /// Wait before the next try.
    Rest {
        /// Of which step.
        step: u16,
        /// How many tries there have been.
        attempt: u32,
    },
    /// It is over.
    Finish(End),
}

/// Why something that was asked for cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The pivot has been tried: from there it only goes forward.
    #[error("the saga is past the point of no return")]
    TooLate,
    /// It is being compensated already.
    #[error("the saga is being compensated already")]
    Turned,
    /// It is over.
    #[error("the saga is over")]
    Over,
    /// There is no such step, or it does not wait for an operator.
    #[error("the step is not parked")]
    NotParked,
    /// A skipped action needs the output that later steps read; a compensation has none.
    #[error("an action is skipped with its output, a compensation without")]
    Output,
}

/// What follows from an event, in this order: facts to be noted, then things to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Transition {
    /// To be made durable, in their order, before anything is done.
    pub facts: Vec<Fact>,
    /// To be done then.
    pub actions: Vec<Action>,
}
