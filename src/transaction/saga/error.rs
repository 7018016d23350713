//! What goes wrong with sagas, and what may be concluded from it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::event::Refusal;
use super::key::SagaKey;
use super::kind::Kind;
use crate::transaction::log::{AppendError, LogError};

type Source = Box<dyn Error + Send + Sync>;

/// What kept an action or a compensation from succeeding.
///
/// Any error turns into one by `?`, as *unknown*: whoever knows better says so by
/// [`failed`](Self::failed) or [`again`](Self::again).
pub struct StepError {
    pub(super) meaning: Meaning,
    pub(super) source: Arc<dyn Error + Send + Sync>,
}

/// JSON that cannot be read. What stands there is the caller's: it is not quoted.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column}: {category:?} error in a stored value")]
pub(super) struct Unreadable {
    category: serde_json::error::Category,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self {
            category: error.classify(),
            line: error.line(),
            column: error.column(),
        }
    }
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its code was not run, and would not get further next time.
    NotRun,
    Failed,
    Again,
    Unknown,
}

impl StepError {
    /// It has not happened, and under this key it will not: a card is refused, a flight is full.
    /// Of a compensation: it cannot be done, and somebody has to see to it.
    pub fn failed(source: impl Into<Source>) -> Self {
        Self::new(Meaning::Failed, source.into())
    }

    /// It has not happened; if tried again, it may: a service is down, a lock was busy.
    pub fn again(source: impl Into<Source>) -> Self {
        Self::new(Meaning::Again, source.into())
    }

    /// It cannot be said whether it has happened: no answer, or none that says.
    pub fn unknown(source: impl Into<Source>) -> Self {
        Self::new(Meaning::Unknown, source.into())
    }

    /// Nothing was done, for want of something to do it with.
    pub(super) fn not_run(source: impl Into<Source>) -> Self {
        Self::new(Meaning::NotRun, source.into())
    }

    fn new(meaning: Meaning, source: Source) -> Self {
        let source = Arc::from(source);
        Self { meaning, source }
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        Self::unknown(error)
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.meaning, self.source)
    }
}

/// A definition that makes no sense. Names tell where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// It has no steps.
    #[error("the saga has no steps")]
    Empty,
    /// It has too many.
    #[error("the saga has more than {max} steps")]
    TooMany {
        /// The most there may be.
        max: usize,
    },
    /// A name of a saga or a step is not 1 to 64 of `A` to `Z`, `a` to `z`, `0` to `9`, `_`, `-`
    /// and `.`.
    #[error("{0:?} is no name: 1 to 64 of A-Z, a-z, 0-9, _, - and .")]
    Name(String),
    /// Two steps have this name.
    #[error("two steps are named {0}")]
    Duplicate(Arc<str>),
    /// A step comes after one that there is not.
    #[error("step {step} comes after {after}, which there is not")]
    UnknownStep {
        /// Which.
        step: Arc<str>,
        /// What it names.
        after: Arc<str>,
    },
    /// These steps come after each other, or after those that do.
    #[error("the steps {} come after each other in a circle", .0.join(", "))]
    Cycle(Vec<Arc<str>>),
    /// A step has neither a compensation nor any other way to be dealt with.
    #[error("step {0} has no compensation, is not the pivot and is not retriable")]
    MissingCompensation(Arc<str>),
    /// Once the first is taken, the second could not fail: it is retriable.
    #[error("{0} and {1} are both the pivot")]
    TwoPivots(Arc<str>, Arc<str>),
    /// A step that has to succeed, where everything may yet be compensated.
    #[error("step {0} is retriable, and there is no pivot before it")]
    NoPivot(Arc<str>),
    /// Neither before the pivot and to be compensated, nor after it and to be retried.
    #[error("step {step} is {kind:?}, and on the wrong side of the pivot {pivot}, or beside it")]
    BesidePivot {
        /// Which.
        step: Arc<str>,
        /// What it is.
        kind: Kind,
        /// The pivot.
        pivot: Arc<str>,
    },
}

/// Sagas that could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log was not opened. Nothing was done.
    #[error("the log was not opened")]
    Log(#[from] LogError),
    /// Two different definitions have this name and version.
    #[error("two definitions are named {name}, version {version}")]
    Duplicate {
        /// The name.
        name: Arc<str>,
        /// The version.
        version: u32,
    },
}

/// A saga that was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This definition was not registered as the log was opened. Nothing happened.
    #[error("saga {name}, version {version}, is not registered")]
    Unregistered {
        /// The name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A saga of this key has been started with another input, or of another definition. That one
    /// goes on; nothing else happened.
    #[error("{0} was started with another input, or by another definition")]
    Conflict(SagaKey),
    /// The input cannot be written as JSON. Nothing happened.
    #[error("the input cannot be written")]
    Input(#[source] serde_json::Error),
    /// The log refused it: it has no room, it is too large, or another process has opened the log.
    /// Nothing happened.
    #[error("the log did not take it")]
    Log(#[source] Arc<AppendError>),
    /// The log failed as it was written, or another process opened the log meanwhile: it may have
    /// begun, or not. Start it again with the same key, wherever the log is open then.
    #[error("it cannot be said whether the saga has begun")]
    Unknown,
    /// The log has failed, and is being opened again. Nothing happened; try again.
    #[error("the log is being opened again")]
    Reopening,
    /// Another process has opened the log. Nothing happened; start it there.
    #[error("another process has opened the log")]
    Superseded,
    /// It was shut down. Nothing happened.
    #[error("the sagas were shut down")]
    Closed,
}

/// An operator's word that was not taken. Nothing changed, but with [`Log`](Self::Log), where it
/// may have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// There is no such saga, or it is over and forgotten.
    #[error("there is no saga {0}")]
    Unknown(SagaKey),
    /// There is no such step.
    #[error("there is no step {0}")]
    UnknownStep(String),
    /// It cannot be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The output cannot be written as JSON.
    #[error("the output cannot be written")]
    Output(#[source] serde_json::Error),
    /// The output is longer than [`OUTPUT_LEN_MAX`](super::OUTPUT_LEN_MAX).
    #[error("an output of {len} bytes is too long")]
    OutputTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The saga is stranded: it has no definition here, and nothing but abandoning is possible.
    #[error("the saga is stranded")]
    Stranded,
    /// The log did not take it, or may not have.
    #[error("the log did not take it")]
    Log,
}
