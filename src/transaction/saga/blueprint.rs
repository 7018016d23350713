//! A definition without its types: what is run for each step.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::error::StepError;
use super::fact::Json;
use super::key::SagaKey;
use super::retry::Retry;
use super::shape::Shape;
use crate::future::BoxFuture;
use crate::transaction::id::{Epoch, TransactionId};

/// An action, which gives JSON, or a compensation, which gives null.
pub(super) type Code = BoxFuture<'static, Result<Json, StepError>>;
pub(super) type RunAction = Arc<dyn Fn(Scene) -> Code + Send + Sync>;
pub(super) type RunCompensation = Arc<dyn Fn(Scene, Option<Json>) -> Code + Send + Sync>;

/// Under which key it is run, and what is known.
#[derive(Clone)]
pub(super) struct Scene {
    pub(super) blueprint: Arc<Blueprint>,
    pub(super) saga: SagaKey,
    pub(super) id: TransactionId,
    pub(super) epoch: Epoch,
    /// In milliseconds since 1970.
    pub(super) started: u64,
    pub(super) step: u16,
    pub(super) compensates: bool,
    pub(super) attempt: u32,
    pub(super) input: Json,
    /// By step, up to the last that there is.
    pub(super) outputs: Vec<Option<Json>>,
}

/// A definition without its types.
pub(super) struct Blueprint {
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) shape: Arc<Shape>,
    /// By number.
    pub(super) works: Vec<Work>,
    pub(super) deadline: Option<Duration>,
}

/// What tells a definition from a changed one: 16 bytes of SHA-256 over names, versions, kinds and
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(pub(super) [u8; 16]);

/// What is run for a step, and how.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) action: RunAction,
    pub(super) compensation: Option<RunCompensation>,
    pub(super) timeout: Duration,
    pub(super) retry: Retry,
    pub(super) compensation_retry: Retry,
    /// The step that gives the input, if it is not the saga's.
    pub(super) scope: Option<Arc<str>>,
}

impl Blueprint {
    pub(super) fn work(&self, step: u16) -> Option<&Work> {
        self.works.get(usize::from(step))
    }

    pub(super) fn scope(&self, step: u16) -> Option<&str> {
        self.work(step)?.scope.as_deref()
    }
}

impl Fingerprint {
    pub(super) fn of(name: &str, version: u32, shape: &Shape) -> Self {
        let mut hash = Sha256::new();
        put(&mut hash, name);
        hash.update(version.to_be_bytes());
        for node in shape.nodes() {
            put(&mut hash, &node.name);
            hash.update(node.version.to_be_bytes());
            hash.update([node.kind as u8, u8::from(node.undone)]);
            hash.update((node.after.len() as u64).to_be_bytes());
            for earlier in &node.after {
                hash.update(earlier.to_be_bytes());
            }
        }
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(short)
    }
}

fn put(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
