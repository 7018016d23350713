//! A step as a user writes it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::blueprint::{RunAction, RunCompensation, Work};
use super::error::{StepError, Unreadable};
use super::fact::Json;
use super::kind::Kind;
use super::retry::Retry;
use super::run::Run;

/// A step of a saga over an input `I`, whose action gives an `O`.
///
/// Unless it says otherwise, it comes after the step that is added before it.
#[must_use]
pub struct Step<I, O> {
    pub(super) name: String,
    pub(super) version: u32,
    pub(super) kind: Option<Kind>,
    pub(super) after: Option<Vec<Arc<str>>>,
    pub(super) work: Work,
    types: PhantomData<fn(I) -> O>,
}

/// The most bytes of an action's output, as JSON: 512 KiB. Keep the bulk elsewhere, and give its
/// name.
pub const OUTPUT_LEN_MAX: usize = 512 << 10;

#[derive(Debug, thiserror::Error)]
#[error("an output of {0} bytes is too long for the log")]
struct OutputTooLong(usize);

/// How long one try may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

impl<I, O> Step<I, O>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + DeserializeOwned + Send + 'static,
{
    /// A step of this name and version. Raise the version when its action, its compensation or its
    /// types change so that what an older one did cannot be gone on with.
    ///
    /// The action is idempotent: under the same [key](Run::key) it has its effect at most once, and
    /// gives the same again. Its future may be dropped at any await. What it gives
    /// has at most [`OUTPUT_LEN_MAX`] bytes; more, and nobody knows what it gave.
    pub fn new<F, R>(name: impl Into<String>, version: u32, action: F) -> Self
    where
        F: Fn(Run<I>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, StepError>> + Send + 'static,
    {
        let action: RunAction = Arc::new(move |scene| {
            let ran = Run::new(scene).map(&action);
            Box::pin(async move {
                let output = ran?.await?;
                // It has happened, and cannot be written down: nobody knows what it gave.
                let output = serde_json::to_string(&output).map_err(StepError::unknown)?;
                if output.len() > OUTPUT_LEN_MAX {
                    return Err(StepError::unknown(OutputTooLong(output.len())));
                }
                Ok(Json::new(output))
            })
        });
        Self {
            name: name.into(),
            version,
            kind: None,
            after: None,
            work: Work {
                action,
                compensation: None,
                timeout: TIMEOUT,
                retry: Retry::default(),
                compensation_retry: Retry::default(),
                scope: None,
            },
            types: PhantomData,
        }
    }

    /// What is run so that nothing of it is left. It gets what the action gave; or nothing, if it
    /// is not known whether the action has happened: then it sees to it that the action does not
    /// happen later either, by a mark under [`Run::action_key`].
    ///
    /// The compensation is idempotent under its own [key](Run::key).
    pub fn compensate<F, R>(mut self, compensation: F) -> Self
    where
        F: Fn(Run<I>, Option<O>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), StepError>> + Send + 'static,
    {
        let compensation: RunCompensation = Arc::new(move |scene, output| {
            let output = output.map(|output| serde_json::from_str(output.as_str()));
            let output = output.transpose().map_err(Unreadable::from);
            let output = output.map_err(StepError::not_run);
            let ran = Run::new(scene).and_then(|run| Ok(compensation(run, output?)));
            Box::pin(async move { ran?.await.map(|()| Json::new("null")) })
        });
        self.kind = Some(Kind::Compensatable);
        self.work.compensation = Some(compensation);
        self
    }
}

impl<I, O> Step<I, O> {
    /// There is nothing to compensate: it only reads, or what it leaves harms nobody.
    pub fn harmless(mut self) -> Self {
        self.kind = Some(Kind::Compensatable);
        self.work.compensation = None;
        self
    }

    /// It is the point of no return.
    pub fn pivot(mut self) -> Self {
        self.kind = Some(Kind::Pivot);
        self
    }

    /// It is after the pivot, and tried until it is done.
    pub fn retriable(mut self) -> Self {
        self.kind = Some(Kind::Retriable);
        self
    }

    /// It comes after these steps; after none, it is among the first. What several steps come
    /// after is run at once.
    pub fn after<N: AsRef<str>>(mut self, steps: impl IntoIterator<Item = N>) -> Self {
        let steps = steps.into_iter();
        self.after = Some(steps.map(|name| Arc::from(name.as_ref())).collect());
        self
    }

    /// How long one try of the action or of the compensation may take. Default 30 s. Then it is
    /// dropped, and counts as unknown.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.work.timeout = timeout;
        self
    }

    /// How often the action is tried. Default: 10 times, over a minute or so. When tries run out, a
    /// compensatable step makes the saga turn back; the pivot too, unless it may have happened; a
    /// retriable one waits for an operator.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.work.retry = retry;
        self
    }

    /// How often the compensation is tried. Default: as the action. Then it waits for an operator.
    pub fn compensation_retry(mut self, retry: Retry) -> Self {
        self.work.compensation_retry = retry;
        self
    }
}

impl<I, O> fmt::Debug for Step<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
