//! What an action or a compensation is run with.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use super::blueprint::Scene;
use super::error::{StepError, Unreadable};
use super::fact::Json;
use super::key::SagaKey;
use crate::transaction::id::Epoch;

/// What an action or a compensation is run with: the saga's input, what earlier steps gave, and the
/// key under which it is to have its effect once.
pub struct Run<I> {
    input: I,
    scene: Scene,
}

#[derive(Debug, thiserror::Error)]
#[error("step {0} is not before this one, or is unknown")]
struct NotBefore(String);

impl<I> Run<I> {
    /// What the saga was started with.
    pub fn input(&self) -> &I {
        &self.input
    }

    /// What an earlier step gave: one that this one comes after, however far back.
    ///
    /// # Errors
    /// There is no such step before this one, or its output is of another type. Handed on, it
    /// means that this try did nothing, and that there is no use in another.
    pub fn output<T: DeserializeOwned>(&self, step: &str) -> Result<T, StepError> {
        let output = self.scene.output(step);
        let output = output.ok_or_else(|| StepError::not_run(NotBefore(step.to_owned())))?;
        let output = serde_json::from_str(output.as_str()).map_err(Unreadable::from);
        output.map_err(StepError::not_run)
    }

    /// The key under which this action, or this compensation, has its effect at most once: the same
    /// in every try, after every restart; and never that of anything else.
    #[must_use]
    pub fn key(&self) -> String {
        self.scene.key(self.scene.compensates)
    }

    /// The key of the action, for a compensation. It leaves a mark under it, so that a late action
    /// is refused.
    #[must_use]
    pub fn action_key(&self) -> String {
        self.scene.key(false)
    }

    /// The key that the caller chose for the saga.
    #[must_use]
    pub fn saga(&self) -> &SagaKey {
        &self.scene.saga
    }

    /// When the saga was started, by the clock of the machine.
    #[must_use]
    pub fn started(&self) -> SystemTime {
        let since = Duration::from_millis(self.scene.started);
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }

    /// Which try it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.scene.attempt
    }

    /// The epoch of the log. Of two runs under one key, the one of the lower epoch is by a process
    /// that has been replaced.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.scene.epoch
    }
}

impl<I: DeserializeOwned> Run<I> {
    pub(super) fn new(scene: Scene) -> Result<Self, StepError> {
        let input = scene.scoped_input();
        let input = input.ok_or_else(|| StepError::not_run(NotBefore("input".into())))?;
        let input = serde_json::from_str(input.as_str()).map_err(Unreadable::from);
        let input = input.map_err(StepError::not_run)?;
        Ok(Self { input, scene })
    }
}

impl Scene {
    /// The input of the saga, or of the saga within it that the step belongs to.
    fn scoped_input(&self) -> Option<&Json> {
        match self.blueprint.scope(self.step) {
            None => Some(&self.input),
            Some(scope) => self.given(scope),
        }
    }

    fn output(&self, name: &str) -> Option<&Json> {
        match self.blueprint.scope(self.step) {
            None => self.given(name),
            Some(scope) => self.given(&format!("{scope}/{name}")),
        }
    }

    /// What a step before this one gave.
    fn given(&self, name: &str) -> Option<&Json> {
        let shape = &self.blueprint.shape;
        let number = shape.number(name)?;
        let earlier = shape.ancestors(self.step).contains(&number);
        let output = self.outputs.get(usize::from(number)).filter(|_| earlier)?;
        output.as_ref()
    }

    fn key(&self, compensates: bool) -> String {
        let direction = if compensates { "undo" } else { "do" };
        format!(
            "{}/{}/{direction}",
            self.id,
            self.blueprint.shape.name(self.step)
        )
    }
}

impl<I> fmt::Debug for Run<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("key", &self.key())
            .field("attempt", &self.scene.attempt)
            .finish_non_exhaustive()
    }
}
