//! What is told of what happens, by errors and to `tracing`: where no secret may be.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// An error and its causes, as one may print them.
pub(crate) fn told(error: &dyn Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, " {error:?} {error}");
        source = error.source();
    }
    text
}

/// Hears all that is told, by whichever crate.
#[derive(Clone)]
pub(crate) struct Ear {
    /// Only values with this in them are remembered.
    heeds: &'static str,
    heard: Arc<Mutex<Heard>>,
}

/// What an [`Ear`] remembers.
#[derive(Default)]
pub(crate) struct Heard {
    /// The names of spans and events, and their targets.
    pub(crate) names: BTreeSet<&'static str>,
    pub(crate) targets: BTreeSet<&'static str>,
    /// Every field, a line each.
    pub(crate) values: String,
    /// Names, and the threads on which they were told.
    told_on: HashSet<(ThreadId, &'static str)>,
}

impl Heard {
    /// Whether something of this name was told on this thread.
    #[allow(dead_code, reason = "not all who include this use it")]
    pub(crate) fn is_told_here(&self, name: &'static str) -> bool {
        self.told_on.contains(&(thread::current().id(), name))
    }
}

impl Ear {
    /// One that remembers every value.
    pub(crate) fn new() -> Self {
        Self::that_heeds("")
    }

    /// One that listens for longer: it remembers only values that have this word in them.
    pub(crate) fn that_heeds(word: &'static str) -> Self {
        Self {
            heeds: word,
            heard: Arc::default(),
        }
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock()
    }

    /// Waits until these words are told: an ear that hears nothing proves nothing.
    #[allow(dead_code, reason = "not all who include this use it")]
    pub(crate) async fn hears(&self, words: &str) {
        for _ in 0..3000 {
            if self.heard().values.contains(words) {
                return;
            }
            // While other threads meet a place that tells something, that this one listens may be
            // missed.
            tracing::callsite::rebuild_interest_cache();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{words:?} is not told: {}", self.heard().values);
    }

    fn learn(&self, metadata: &Metadata<'static>) {
        let mut heard = self.heard();
        let told = (thread::current().id(), metadata.name());
        heard.told_on.insert(told);
        heard.names.insert(metadata.name());
        heard.targets.insert(metadata.target());
    }
}

impl Visit for Ear {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Before the lock is taken: who prints a value may tell something.
        let value = format!("{value:?}");
        if value.contains(self.heeds) {
            let _ = writeln!(self.heard().values, "{field}={value}");
        }
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.learn(span.metadata());
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.learn(event.metadata());
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
