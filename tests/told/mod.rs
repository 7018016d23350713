//! What is told of what happens, by errors and to `tracing`: where no secret may be.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::fmt::{Debug, Write};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// An error and its causes, as one may print them.
#[allow(dead_code, reason = "not all who include this use it")]
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
pub(crate) struct Ear(Arc<Mutex<Heard>>);

/// Who listens, for as long as there is the ear.
struct Listener {
    /// The thread it listens to, or all.
    thread: Option<ThreadId>,
    /// Only values with this in them are remembered.
    heeds: &'static str,
    heard: Weak<Mutex<Heard>>,
}

static LISTENERS: Mutex<Vec<Listener>> = Mutex::new(Vec::new());

/// Lets them hear.
static LISTENS: LazyLock<()> = LazyLock::new(|| {
    let alone = tracing::subscriber::set_global_default(Listeners).is_ok();
    assert!(alone, "another subscriber is there");
});

struct Listeners;

/// Learns what one listener hears.
struct Learning {
    heeds: &'static str,
    heard: Arc<Mutex<Heard>>,
}

impl Listeners {
    fn here() -> Vec<Learning> {
        let here = Some(thread::current().id());
        let listens = |it: &&Listener| it.thread.is_none() || it.thread == here;
        let learning = |it: &Listener| {
            Some(Learning {
                heeds: it.heeds,
                heard: it.heard.upgrade()?,
            })
        };
        let listeners = LISTENERS.lock();
        listeners
            .iter()
            .filter(listens)
            .filter_map(learning)
            .collect()
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

    fn listen(thread: Option<ThreadId>, heeds: &'static str) -> Self {
        let ear = Self(Arc::default());
        let heard = Arc::downgrade(&ear.0);
        let mut listeners = LISTENERS.lock();
        listeners.retain(|it| it.heard.strong_count() > 0);
        listeners.push(Listener {
            thread,
            heeds,
            heard,
        });
        drop(listeners);
        LazyLock::force(&LISTENS);
        // Whoever came by a place just before the subscriber was there.
        tracing::callsite::rebuild_interest_cache();
        ear
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock()
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
}

impl Learning {
    fn learn(&self, metadata: &Metadata<'static>) {
        let mut heard = self.heard.lock();
        let told = (thread::current().id(), metadata.name());
        heard.told_on.insert(told);
        heard.names.insert(metadata.name());
        heard.targets.insert(metadata.target());
    }
}

impl Visit for Learning {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Before the lock is taken: who prints a value may tell something.
        let value = format!("{value:?}");
        if value.contains(self.heeds) {
            let _ = writeln!(self.heard.lock().values, "{field}={value}");
        }
    }
}

impl Subscriber for Listeners {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        !Self::here().is_empty()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        for mut learning in Self::here() {
            learning.learn(span.metadata());
            span.record(&mut learning);
        }
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        for mut learning in Self::here() {
            values.record(&mut learning);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        for mut learning in Self::here() {
            learning.learn(event.metadata());
            event.record(&mut learning);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
