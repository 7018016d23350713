//! What a log remembers of a saga.

use std::fmt;
use std::sync::Arc;

/// Something that is so, and was written before anything followed from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fact {
    /// An action is about to be run, for the so-many-th time.
    Began {
        /// Of which step.
        step: u16,
        /// From 1.
        attempt: u32,
    },
    /// An action has succeeded.
    Succeeded {
        /// Of which step.
        step: u16,
        /// What it gave, as JSON.
        output: Json,
    },
    /// An action has not happened, and will not.
    Failed {
        /// Of which step.
        step: u16,
    },
    /// An action may have happened, and is not tried any more.
    Doubtful {
        /// Of which step.
        step: u16,
    },
    /// From here on everything is compensated.
    Turned(Reason),
    /// A compensation is about to be run, for the so-many-th time.
    Undoing {
        /// Of which step.
        step: u16,
        /// From 1.
        attempt: u32,
    },
    /// Nothing of the step is left.
    Compensated {
        /// Which.
        step: u16,
    },
    /// The step waits for an operator.
    Parked {
        /// Which.
        step: u16,
        /// Why.
        reason: ParkReason,
    },
    /// An operator has a parked step tried again.
    Retried {
        /// Which.
        step: u16,
    },
    /// An operator has done by hand what a parked step was to do, and says what it gave.
    Skipped {
        /// Which.
        step: u16,
        /// As JSON; nothing, for a compensation.
        output: Option<Json>,
    },
    /// It is over.
    Ended(End),
}

/// Why everything is compensated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The action of this step has failed.
    Failed {
        /// Which.
        step: u16,
    },
    /// The action of this step gave no answer to rely on, as often as it was asked.
    Doubtful {
        /// Which.
        step: u16,
    },
    /// Somebody asked for it.
    Cancelled,
    /// The time for the whole saga was over.
    Deadline,
}

/// Why a step waits for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParkReason {
    /// It says that it cannot be done, and must be.
    Refused,
    /// It gave no answer to rely on, as often as it may be asked. It is the pivot: whether it was
    /// taken decides about everything else.
    Unknown,
    /// It did not succeed, as often as it may be asked.
    Exhausted,
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Every step was taken.
    Completed,
    /// Whatever was done has been compensated.
    Compensated(Reason),
    /// An operator gave it up as it was.
    Abandoned,
}

impl Fact {
    /// Whether something follows from it that must not happen if it were forgotten.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        match self {
            Self::Began { attempt, .. } | Self::Undoing { attempt, .. } => *attempt == 1,
            Self::Succeeded { .. }
            | Self::Failed { .. }
            | Self::Doubtful { .. }
            | Self::Turned(_)
            | Self::Compensated { .. }
            | Self::Retried { .. }
            | Self::Skipped { .. }
            | Self::Ended(_) => true,
            Self::Parked { .. } => false,
        }
    }

    /// The step that it is about.
    #[must_use]
    pub fn step(&self) -> Option<u16> {
        match self {
            Self::Began { step, .. }
            | Self::Succeeded { step, .. }
            | Self::Failed { step }
            | Self::Doubtful { step }
            | Self::Undoing { step, .. }
            | Self::Compensated { step }
            | Self::Parked { step, .. }
            | Self::Retried { step }
            | Self::Skipped { step, .. } => Some(*step),
            Self::Turned(_) | Self::Ended(_) => None,
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(*end),
            Self::Began { .. }
            | Self::Succeeded { .. }
            | Self::Failed { .. }
            | Self::Doubtful { .. }
            | Self::Turned(_)
            | Self::Undoing { .. }
            | Self::Compensated { .. }
            | Self::Parked { .. }
            | Self::Retried { .. }
            | Self::Skipped { .. } => None,
        }
    }

    pub(super) fn output(&self) -> Option<&Json> {
        match self {
            Self::Succeeded { output, .. } => Some(output),
            Self::Skipped { output, .. } => output.as_ref(),
            Self::Began { .. }
            | Self::Failed { .. }
            | Self::Doubtful { .. }
            | Self::Turned(_)
            | Self::Undoing { .. }
            | Self::Compensated { .. }
            | Self::Parked { .. }
            | Self::Retried { .. }
            | Self::Ended(_) => None,
        }
    }
}

/// A value as JSON text. It is the caller's: it is not printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Arc<str>);

impl Json {
    /// This text; it is not looked at.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.0.len())
    }
}
