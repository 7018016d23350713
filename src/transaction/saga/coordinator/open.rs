//! How sagas are opened.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::engine::{Definitions, Options};
use super::{Sagas, supervisor};
use crate::future::BoxFuture;
use crate::transaction::log::TransactionLog;
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::definition::Definition;
use crate::transaction::saga::error::OpenError;

/// Sagas about to be opened: await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct OpenSagas {
    log: Arc<dyn TransactionLog>,
    definitions: Vec<Arc<Blueprint>>,
    options: Options,
}

impl OpenSagas {
    pub(super) fn new(log: Arc<dyn TransactionLog>) -> Self {
        Self {
            log,
            definitions: Vec::new(),
            options: Options {
                hint: 0,
                retention: Duration::from_secs(600),
                retained_max: 65_536,
                sagas_max: 4096,
            },
        }
    }

    /// Registers a definition, by name and version. Register every one by which the log may have
    /// unfinished sagas: one whose definition is missing, or is not the one that it was begun by, is
    /// left alone, and shown in the list.
    pub fn register<I>(mut self, definition: &Definition<I>) -> Self {
        self.definitions.push(Arc::clone(&definition.blueprint));
        self
    }

    /// For how long the key of a saga that is over is remembered, with its outcome. Default 10
    /// minutes. Longer than any caller may start it again; it takes memory, and space in the log.
    /// By the clock of the machine: should it jump ahead, keys are forgotten early. Zero: not at all; then also the outcome is only for those who wait.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.options.retention = retention;
        self
    }

    /// How many sagas that are over are remembered. Default 65,536. Beyond that the oldest are
    /// forgotten before their time.
    pub fn retained_max(mut self, sagas: usize) -> Self {
        self.options.retained_max = sagas;
        self
    }

    /// How many sagas may be under way that were started here. Default 4096, at least 1. Further
    /// ones wait in `start`.
    pub fn sagas_max(mut self, sagas: usize) -> Self {
        self.options.sagas_max = sagas.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// The least epoch to open, such as the fencing token of a lock that elects who runs the sagas.
    /// Default 0: one more than the last.
    pub fn epoch_hint(mut self, hint: u64) -> Self {
        self.options.hint = hint;
        self
    }
}

impl IntoFuture for OpenSagas {
    type Output = Result<Sagas, OpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Opens the log for a new epoch, and goes on with what is unfinished. Needs a tokio runtime
    /// with time, in which all of it goes on.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut definitions = Definitions::new();
            for blueprint in self.definitions {
                let named = (Arc::clone(&blueprint.name), blueprint.version);
                let fingerprint = blueprint.fingerprint;
                let before = definitions.insert(named, Arc::clone(&blueprint));
                if before.is_some_and(|before| before.fingerprint != fingerprint) {
                    return Err(OpenError::Duplicate {
                        name: Arc::clone(&blueprint.name),
                        version: blueprint.version,
                    });
                }
            }
            supervisor::open(self.log, definitions, self.options).await
        })
    }
}
