//! What is told of what happens, by errors and to `tracing`: where no secret may be.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Arc, LazyLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
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

/// Hears all that is told, by whichever crate, until the program ends.
///
/// A subscriber that is but a thread's default may hear nothing: where another thread is the first
/// to come by a place that tells something, and nobody listens there, that place is silent for
/// good. So there is one subscriber for all threads, and it asks here who listens.
#[derive(Clone)]
pub(crate) struct Ear {
    /// The thread it listens to, or all.
    listens_to: Option<ThreadId>,
    /// Only values with this in them are remembered.
    heeds: &'static str,
    heard: Arc<Mutex<Heard>>,
}

/// All ears: threads have no number twice.
static EARS: Mutex<Vec<Ear>> = Mutex::new(Vec::new());

/// Lets the ears hear.
static LISTENS: LazyLock<()> = LazyLock::new(|| {
    let alone = tracing::subscriber::set_global_default(Ears).is_ok();
    assert!(alone, "another subscriber is there");
});

struct Ears;

impl Ears {
    fn here() -> Vec<Ear> {
        let here = Some(thread::current().id());
        let listens = |ear: &&Ear| ear.listens_to.is_none() || ear.listens_to == here;
        EARS.lock().iter().filter(listens).cloned().collect()
    }
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
    /// One that listens to this thread, and so to all of a runtime that has no other.
    pub(crate) fn of_this_thread() -> Self {
        Self::listen(Some(thread::current().id()), "")
    }

    /// One that listens to all threads, and remembers only values that have this word in them.
    #[allow(dead_code, reason = "not all who include this use it")]
    pub(crate) fn that_heeds(word: &'static str) -> Self {
        Self::listen(None, word)
    }

    fn listen(listens_to: Option<ThreadId>, heeds: &'static str) -> Self {
        let ear = Self {
            listens_to,
            heeds,
            heard: Arc::default(),
        };
        EARS.lock().push(ear.clone());
        LazyLock::force(&LISTENS);
        // Whoever came by a place just before the subscriber was there.
        tracing::callsite::rebuild_interest_cache();
        ear
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

impl Subscriber for Ears {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        !Self::here().is_empty()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        for mut ear in Self::here() {
            ear.learn(span.metadata());
            span.record(&mut ear);
        }
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        for mut ear in Self::here() {
            values.record(&mut ear);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        for mut ear in Self::here() {
            ear.learn(event.metadata());
            event.record(&mut ear);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
