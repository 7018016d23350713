//! One saga, as its coordinator keeps it.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::codec::{Digest, Finished};
use super::course::{Course, Stage};
use crate::transaction::id::TransactionId;
use crate::transaction::log::{Record, Reservation};
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::event::{Event, Refusal, Transition};
use crate::transaction::saga::fact::{Fact, Json};
use crate::transaction::saga::key::SagaKey;
use crate::transaction::saga::state::Execution;

/// One saga, in one epoch.
pub(super) struct Case {
    pub(super) key: SagaKey,
    pub(super) id: TransactionId,
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) digest: Digest,
    /// In milliseconds since 1970.
    pub(super) created: u64,
    /// The definition of its name and version, if there is one.
    pub(super) blueprint: Option<Arc<Blueprint>>,
    /// What its callers wait for: the same through all epochs.
    pub(super) course: Arc<Course>,
    /// Whoever drives it.
    driver: AtomicWaker,
    /// Whether it waits until the log has room.
    pressed: AtomicBool,
    own: Mutex<Own>,
}

#[derive(Default)]
struct Own {
    live: Option<Live>,
    wishes: Vec<Wish>,
    /// The last of what was noted, and when.
    history: VecDeque<(u64, Fact)>,
    permit: Option<OwnedSemaphorePermit>,
    /// For the way back, the end, and being forgotten.
    space: Option<Reservation>,
}

/// What a saga is, until it is over.
pub(super) enum Live {
    Driven(Driven),
    /// It is left alone until its definition is there.
    Stranded(Stranding),
}

/// A saga that goes on.
pub(super) struct Driven {
    pub(super) blueprint: Arc<Blueprint>,
    pub(super) input: Json,
    pub(super) execution: Execution,
    /// What came last instead of a success, by step.
    pub(super) errors: BTreeMap<u16, Arc<dyn Error + Send + Sync>>,
}

/// Why a saga is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stranding {
    /// No definition of its name and version is registered.
    Unregistered,
    /// The definition of its name and version is another one: its steps, their versions or their
    /// order have changed.
    Changed,
    /// Its records cannot be read: a later version of this crate wrote them.
    Unreadable,
}

/// What somebody asks for, and who waits until it is durable.
pub(super) struct Wish {
    pub(super) event: Event,
    pub(super) word: Word,
}

/// Whether it was done.
pub(super) type Word = oneshot::Sender<Result<(), Refusal>>;

/// So much of its history is kept of a saga that is tried again and again.
const HISTORY_MAX: usize = 256;

/// There is room for so much of it at first.
const HISTORY_FIRST: usize = 8;

impl Driven {
    pub(super) fn new(blueprint: &Arc<Blueprint>, input: Json, execution: Execution) -> Self {
        Self {
            errors: BTreeMap::new(),
            blueprint: Arc::clone(blueprint),
            input,
            execution,
        }
    }
}

impl Case {
    pub(super) fn new(
        (key, id): (SagaKey, TransactionId),
        (name, version): (Arc<str>, u32),
        blueprint: Option<Arc<Blueprint>>,
        digest: Digest,
        created: u64,
        course: Arc<Course>,
        live: Option<Live>,
    ) -> Self {
        let history = match &live {
            // A start of each, and all successes but the last.
            Some(Live::Driven(driven)) => (2 * driven.execution.steps().len()).min(HISTORY_FIRST),
            Some(Live::Stranded(_)) | None => 0,
        };
        Self {
            key,
            id,
            name,
            version,
            digest,
            created,
            blueprint,
            course,
            driver: AtomicWaker::new(),
            pressed: AtomicBool::new(false),
            own: Mutex::new(Own {
                history: VecDeque::with_capacity(history),
                live,
                ..Own::default()
            }),
        }
    }

    pub(super) fn admit(&self, permit: Option<OwnedSemaphorePermit>) {
        self.own.lock().permit = permit;
    }

    pub(super) fn take_permit(&self) -> Option<OwnedSemaphorePermit> {
        self.own.lock().permit.take()
    }

    /// Takes what happened. Nothing follows for one that is over or left alone.
    pub(super) fn step(&self, event: Event, out: &mut Transition) -> Result<(), Refusal> {
        match &mut self.own.lock().live {
            Some(Live::Driven(driven)) => driven.execution.take(event, out),
            Some(Live::Stranded(_)) => Ok(()),
            None => Err(Refusal::Over),
        }
    }

    /// Looks at what goes on.
    pub(super) fn look<T>(&self, at: impl FnOnce(&Driven) -> T) -> Option<T> {
        match &self.own.lock().live {
            Some(Live::Driven(driven)) => Some(at(driven)),
            Some(Live::Stranded(_)) | None => None,
        }
    }

    /// Whether it is not over; `moving`: and may come to its end by itself.
    pub(super) fn is_open(&self, moving: bool) -> bool {
        match &self.own.lock().live {
            Some(Live::Driven(driven)) => !moving || !driven.execution.is_stuck(),
            Some(Live::Stranded(_)) => !moving,
            None => false,
        }
    }

    pub(super) fn stranding(&self) -> Option<Stranding> {
        match &self.own.lock().live {
            Some(Live::Stranded(why)) => Some(*why),
            Some(Live::Driven(_)) | None => None,
        }
    }

    pub(super) fn err(&self, step: u16, error: Option<Arc<dyn Error + Send + Sync>>) {
        let mut own = self.own.lock();
        let before = match &mut own.live {
            Some(Live::Driven(driven)) => match error {
                Some(error) => driven.errors.insert(step, error),
                None => driven.errors.remove(&step),
            },
            Some(Live::Stranded(_)) | None => None,
        };
        // It is code of others that drops it.
        drop(own);
        drop(before);
    }

    pub(super) fn remember(&self, at: u64, facts: &[Fact]) {
        let history = &mut self.own.lock().history;
        history.extend(facts.iter().map(|fact| (at, fact.clone())));
        while history.len() > HISTORY_MAX {
            history.pop_front();
        }
    }

    pub(super) fn history(&self) -> Vec<(u64, Fact)> {
        self.own.lock().history.iter().cloned().collect()
    }

    /// Asks whoever drives it; no answer, if nobody does.
    pub(super) fn wish(&self, event: Event) -> oneshot::Receiver<Result<(), Refusal>> {
        let (word, answer) = oneshot::channel();
        let mut own = self.own.lock();
        if matches!(own.live, Some(Live::Driven(_))) {
            own.wishes.push(Wish { event, word });
        } else if own.live.is_none() {
            let _ = word.send(Err(Refusal::Over));
        }
        drop(own);
        self.wake();
        answer
    }

    pub(super) fn wishes(&self) -> Vec<Wish> {
        std::mem::take(&mut self.own.lock().wishes)
    }

    /// From now on whoever drives it is woken by this.
    pub(super) fn register(&self, driver: &Waker) {
        self.driver.register(driver);
    }

    /// There is something to be looked at, for whoever drives it.
    pub(super) fn wake(&self) {
        self.driver.wake();
    }

    pub(super) fn set_space(&self, space: Option<Reservation>) {
        self.own.lock().space = space;
    }

    /// All that was set aside.
    pub(super) fn take_space(&self) -> Option<Reservation> {
        self.own.lock().space.take()
    }

    /// So much of what was set aside, if there is as much.
    pub(super) fn split_space(&self, bytes: u64) -> Option<Reservation> {
        let mut own = self.own.lock();
        let space = own.space.as_mut().filter(|space| space.bytes() >= bytes);
        space.map(|space| space.split(bytes))
    }

    pub(super) fn press(&self, pressed: bool) {
        self.pressed.store(pressed, Ordering::Relaxed);
    }

    pub(super) fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }

    /// It has begun, durably.
    pub(super) fn started(&self) {
        let new = |stage: &Stage| match stage {
            Stage::Starting | Stage::NotStarted(_) | Stage::Lost => true,
            Stage::UnderWay | Stage::Ended(_) => false,
        };
        self.course.turn(new, Stage::UnderWay);
    }

    /// Nothing goes on here: whoever still asks is told so.
    pub(super) fn drop_out(&self) {
        let (live, permit, wishes) = {
            let mut own = self.own.lock();
            let wishes = std::mem::take(&mut own.wishes);
            (own.live.take(), own.permit.take(), wishes)
        };
        drop((live, permit));
        // It would keep a task that is over.
        drop(self.driver.take());
        for wish in wishes {
            let _ = wish.word.send(Err(Refusal::Over));
        }
    }

    /// Takes a stranded one, for whoever comes first.
    pub(super) fn claim(&self) -> Option<Stranding> {
        let mut own = self.own.lock();
        let Some(Live::Stranded(why)) = own.live else {
            return None;
        };
        own.live = None;
        Some(why)
    }

    pub(super) fn strand(&self, why: Stranding) {
        self.own.lock().live = Some(Live::Stranded(why));
    }

    /// It is over, durably. What it needed on its way is dropped.
    pub(super) fn end(&self, finished: Arc<Finished>) {
        self.drop_out();
        self.press(false);
        {
            let mut own = self.own.lock();
            own.history = VecDeque::new();
            // What is left to append is that it is forgotten.
            let end = self.key.subject().map(|it| Record::space_for(&it, 0));
            own.space = own.space.take().map(|mut it| it.split(end.unwrap_or(0)));
        }
        self.course.turn(|_| true, Stage::Ended(finished));
    }
}
