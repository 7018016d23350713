//! A saga as its caller holds it.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::case::Case;
use super::codec::Finished;
use super::course::{Course, Stage};
use crate::transaction::id::TransactionId;
use crate::transaction::saga::fact::{End, Reason};
use crate::transaction::saga::key::SagaKey;

/// A saga that was started. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct SagaHandle {
    key: SagaKey,
    id: TransactionId,
    course: Arc<Course>,
}

/// How a saga ended.
#[derive(Clone)]
#[must_use]
pub enum SagaOutcome {
    /// Every step was taken.
    Completed(Outputs),
    /// Whatever was done has been compensated.
    Compensated {
        /// Why.
        reason: Reason,
        /// The step that the reason is about, if it is about one.
        step: Option<Arc<str>>,
    },
    /// An operator gave it up as it was.
    Abandoned,
}

/// What the last steps of a saga gave: those that none comes after. Up to 512 KiB of it are kept.
#[derive(Clone)]
pub struct Outputs(Arc<Finished>);

/// Nobody here knows any more how the saga goes: the sagas were shut down or dropped, or another
/// process has opened the log. It goes on there, or when the log is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the saga goes on elsewhere, or when its log is opened again")]
pub struct SagaLost;

/// An output that cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// None of the last steps has this name.
    #[error("none of the last steps is {0}")]
    Unknown(String),
    /// It is of another type.
    #[error("the output is of another type")]
    Type(#[from] serde_json::Error),
}

impl SagaHandle {
    pub(super) fn new(case: &Case) -> Self {
        Self {
            key: case.key.clone(),
            id: case.id,
            course: Arc::clone(&case.course),
        }
    }

    /// The key that its caller chose.
    #[must_use]
    pub fn key(&self) -> &SagaKey {
        &self.key
    }

    /// What its idempotency keys begin with: no other saga has it, also not a later one of the same
    /// key.
    #[must_use]
    pub fn id(&self) -> TransactionId {
        self.id
    }

    /// Waits until it is over. That may take days: a parked saga waits for an operator.
    ///
    /// # Errors
    /// [`SagaLost`].
    ///
    /// # Cancel safety
    /// A dropped future only stops waiting.
    pub async fn outcome(&self) -> Result<SagaOutcome, SagaLost> {
        let over = |stage: &Stage| match stage {
            Stage::Starting | Stage::UnderWay => false,
            Stage::NotStarted(_) | Stage::Ended(_) | Stage::Lost => true,
        };
        match self.course.reach(over).await {
            Stage::Ended(finished) => Ok(SagaOutcome::of(&finished)),
            Stage::Starting | Stage::UnderWay | Stage::NotStarted(_) | Stage::Lost => Err(SagaLost),
        }
    }
}

impl SagaOutcome {
    pub(super) fn of(finished: &Arc<Finished>) -> Self {
        match finished.end {
            End::Completed => Self::Completed(Outputs(Arc::clone(finished))),
            End::Compensated(reason) => Self::Compensated {
                reason,
                step: finished.step.clone(),
            },
            End::Abandoned => Self::Abandoned,
        }
    }

    /// Whether every step was taken.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed(_))
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_compensated(&self) -> bool {
        matches!(self, Self::Compensated { .. })
    }
}

impl Outputs {
    /// What this step gave.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn get<T: DeserializeOwned>(&self, step: &str) -> Result<T, OutputError> {
        let mut outputs = self.0.outputs.iter();
        let output = outputs.find(|(name, _)| &**name == step);
        let (_, output) = output.ok_or_else(|| OutputError::Unknown(step.to_owned()))?;
        Ok(serde_json::from_str(output.as_str())?)
    }
}

/// Outputs are the caller's: they are not printed.
impl fmt::Debug for SagaOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed(_) => f.write_str("Completed"),
            Self::Compensated { reason, step } => write!(f, "Compensated({reason:?}, {step:?})"),
            Self::Abandoned => f.write_str("Abandoned"),
        }
    }
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.outputs.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

impl fmt::Debug for SagaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SagaHandle")
            .field("key", &self.key)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
