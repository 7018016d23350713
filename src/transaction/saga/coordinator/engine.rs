//! The sagas of a log during one epoch.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::case::Case;
use super::codec::Finished;
use super::status::SagaEvent;
use crate::transaction::health::Health;
use crate::transaction::id::{CoordinatorId, Epoch, TransactionId};
use crate::transaction::log::{AppendError, Durability, Record, RecordError, TransactionLog};
use crate::transaction::saga::blueprint::Blueprint;
use crate::transaction::saga::fact::Fact;
use crate::transaction::saga::key::SagaKey;

/// Definitions by name and version.
pub(super) type Definitions = BTreeMap<(Arc<str>, u32), Arc<Blueprint>>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) hint: u64,
    pub(super) retention: Duration,
    pub(super) retained_max: usize,
    pub(super) sagas_max: usize,
}

/// The sagas of a log during one epoch.
pub(super) struct Engine {
    pub(super) coordinator: CoordinatorId,
    pub(super) epoch: Epoch,
    pub(super) log: Arc<dyn TransactionLog>,
    pub(super) definitions: Arc<Definitions>,
    pub(super) options: Options,
    pub(super) events: broadcast::Sender<SagaEvent>,
    /// One for each saga that is under way.
    pub(super) permits: Arc<Semaphore>,
    pub(super) health: watch::Sender<Health>,
    /// Cancelled by [`close`](Self::close) only.
    pub(super) closing: CancellationToken,
    pub(super) state: Mutex<State>,
    pub(super) runtime: Handle,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) cases: HashMap<SagaKey, Arc<Case>>,
    /// Started in this epoch.
    pub(super) started: u64,
    /// Those that are over, in the order in which they are forgotten.
    pub(super) ended: VecDeque<(Instant, SagaKey, TransactionId)>,
}

impl Engine {
    pub(super) fn serves(&self) -> bool {
        *self.health.borrow() == Health::Serving
    }

    pub(super) fn health(&self) -> Health {
        *self.health.borrow()
    }

    /// The first finding counts.
    pub(super) fn ail(&self, error: &AppendError) {
        if self.closing.is_cancelled() {
            return;
        }
        let Some(health) = Health::after(error) else {
            return;
        };
        self.health.send_if_modified(|now| {
            let changed = *now == Health::Serving;
            if changed {
                *now = health;
            }
            changed
        });
    }

    /// Appends what is told of this saga.
    pub(super) async fn append(
        &self,
        case: &Case,
        records: Result<Vec<Record>, RecordError>,
        pressed: bool,
        durability: Durability,
    ) -> Result<(), AppendError> {
        let records = records.map_err(|_| AppendError::TooLarge {
            bytes: u64::MAX,
            bytes_max: crate::transaction::log::APPEND_SPACE_MAX,
        })?;
        let needed = records.iter().map(Record::space).sum();
        // What was set aside is for when there is no other room.
        let space = pressed.then(|| case.split_space(needed)).flatten();
        let appended = self.log.append(self.epoch, records, durability, space);
        let appended = appended.await;
        appended.inspect_err(|error| {
            tracing::warn!(saga = %case.key, %error, "the log did not take a record");
            self.ail(error);
        })
    }

    /// It is over: what became of it is remembered for a while. `told`: the log tells of it.
    pub(super) fn retain(&self, case: &Case, finished: &Finished, told: bool) {
        if !told {
            return remove(&mut self.state.lock(), &case.key, case.id);
        }
        let since = now().saturating_sub(finished.ended);
        let since = Duration::from_millis(since);
        let left = self.options.retention.saturating_sub(since);
        let now = Instant::now();
        let until = now.checked_add(left).or_else(|| now.checked_add(LONGEST));
        let ended = (until.unwrap_or(now), case.key.clone(), case.id);
        self.state.lock().ended.push_back(ended);
    }

    /// Forgets those that have been over for long enough, for as long as the epoch lasts.
    pub(super) async fn forget(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = sleep(FORGET_PAUSE) => {}
                () = self.closing.cancelled() => return,
            }
            for (key, id) in self.due() {
                let Ok(subject) = key.subject() else { continue };
                let case = self.state.lock().cases.get(&key).cloned();
                let space = case.and_then(|case| case.take_space());
                let end = vec![Record::end(subject)];
                let ended = self
                    .log
                    .append(self.epoch, end, Durability::Unforced, space);
                match ended.await {
                    Ok(()) => remove(&mut self.state.lock(), &key, id),
                    Err(error) => {
                        self.ail(&error);
                        if !self.serves() {
                            return;
                        }
                        let again = (Instant::now() + FORGET_PAUSE, key, id);
                        self.state.lock().ended.push_back(again);
                    }
                }
            }
        }
    }

    /// Those that need not be remembered any more; also those that are too many.
    fn due(&self) -> Vec<(SagaKey, TransactionId)> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let surplus = state.ended.len().saturating_sub(self.options.retained_max);
        let late = state.ended.iter().take_while(|(until, ..)| *until <= now);
        let due = late.count().max(surplus).min(FORGOTTEN_AT_ONCE);
        let due = state.ended.drain(..due);
        due.map(|(_, key, id)| (key, id)).collect()
    }

    /// Tells who listens, once it is durable.
    pub(super) fn tell(&self, case: &Case, blueprint: &Blueprint, at: u64, facts: &[Fact]) {
        if self.events.receiver_count() == 0 {
            return;
        }
        for fact in facts {
            let event = SagaEvent::new(case, blueprint, at, fact);
            // Nobody listens any more.
            let _ = self.events.send(event);
        }
    }

    /// Ends it for those who wait, if nobody here will.
    pub(super) fn lose_all(&self) {
        for case in self.cases() {
            case.course.lose();
        }
    }

    /// Ends all that goes on.
    pub(super) fn close(&self) {
        self.closing.cancel();
        for case in self.cases() {
            case.wake();
        }
    }

    pub(super) fn cases(&self) -> Vec<Arc<Case>> {
        self.state.lock().cases.values().cloned().collect()
    }
}

/// Longer than any process lives, and less than the clock reaches.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How often it is looked for what may be forgotten.
const FORGET_PAUSE: Duration = Duration::from_millis(500);

/// So many are forgotten between two looks at the clock.
const FORGOTTEN_AT_ONCE: usize = 16_384;

/// Removes it, unless another one has its key by now.
pub(super) fn remove(state: &mut State, key: &SagaKey, id: TransactionId) {
    if let Entry::Occupied(kept) = state.cases.entry(key.clone())
        && kept.get().id == id
    {
        kept.remove();
    }
}

/// In milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("epoch", &self.epoch)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
