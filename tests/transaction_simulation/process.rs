//! A process that runs coordinators or sagas, and when it dies.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::chronicle::Chronicle;
use crate::counts::Count;
use crate::random::Random;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// When a process may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The log has been opened, and nobody has been told.
    Opened,
    /// A participant is to be told of the epoch.
    Introduced,
    /// A request to prepare is to be sent.
    Prepare,
    /// All have voted; the decision is to be appended.
    Deciding,
    /// The decision was handed to the log.
    Handed,
    /// The decision is durable.
    Durable,
    /// An order to commit is to be sent.
    Ordering,
    /// A one-phase commit is to be sent.
    OnePhase,
    /// The end is to be appended.
    Ending,
    /// Something is to be noted of a saga.
    Recording,
    /// It was handed to the log.
    Submitted,
    /// It is durable.
    Recorded,
    /// An action is to be asked for.
    Acting,
    /// An action has been answered, and nothing is noted yet.
    Acted,
    /// A compensation is to be asked for.
    Compensating,
    /// A compensation has been answered.
    Compensated,
}

impl Moment {
    /// Those of two-phase commit.
    pub const TWO_PHASE: [Self; 9] = [
        Self::Opened,
        Self::Introduced,
        Self::Prepare,
        Self::Deciding,
        Self::Handed,
        Self::Durable,
        Self::Ordering,
        Self::OnePhase,
        Self::Ending,
    ];

    /// Those of sagas.
    pub const SAGA: [Self; 9] = [
        Self::Opened,
        Self::Recording,
        Self::Submitted,
        Self::Recorded,
        Self::Acting,
        Self::Acted,
        Self::Compensating,
        Self::Compensated,
        Self::Ending,
    ];

    /// A moment, and how often it has to come before it counts.
    pub fn draw(random: &mut Random, moments: &[Self]) -> (Self, u64) {
        (random.of(moments), random.below(3))
    }
}

#[derive(Debug)]
pub struct Process {
    pub number: u64,
    /// Cancelled: it is dead. Nothing that it still does has any effect.
    pub end: CancellationToken,
    /// Whether a coordinator was opened.
    pub serves: AtomicBool,
    /// Whether its log has failed it, or somebody has stopped it.
    pub troubled: AtomicBool,
    plan: Mutex<Option<(Moment, u64)>>,
    /// What has come about and nothing has followed from yet, and what it counts as if it dies now.
    open: Mutex<BTreeMap<String, Count>>,
}

impl Process {
    pub fn new(number: u64, plan: Option<(Moment, u64)>) -> Arc<Self> {
        Arc::new(Self {
            number,
            end: CancellationToken::new(),
            serves: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            plan: Mutex::new(plan),
            open: Mutex::default(),
        })
    }

    /// What comes of it, if the process lives until then.
    pub async fn outlives<T>(&self, done: impl IntoFuture<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.end.cancelled() => None,
            done = done.into_future() => Some(done),
        }
    }

    /// Until the clients are done, the time is over or the process is dead.
    pub async fn works(&self, clients: &mut JoinSet<()>, time: Duration) {
        let done = async {
            while let Some(ended) = clients.join_next().await {
                ended.unwrap();
            }
        };
        let _ = self.outlives(timeout(time, done)).await;
    }

    pub fn is_dead(&self) -> bool {
        self.end.is_cancelled()
    }

    pub fn is_troubled(&self) -> bool {
        self.is_dead() || self.troubled.load(Ordering::Relaxed)
    }

    pub fn trouble(&self) {
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// Dies here, if that is what was planned. Says whether it is dead.
    pub fn passes(&self, page: &Chronicle, moment: Moment) -> bool {
        let mut plan = self.plan.lock();
        let now = match &mut *plan {
            Some((planned, 0)) => *planned == moment,
            Some((planned, left)) if *planned == moment => {
                *left -= 1;
                false
            }
            Some(_) | None => false,
        };
        if now {
            *plan = None;
            drop(plan);
            page.count(Count::KilledAtMoment);
            if matches!(moment, Moment::Deciding | Moment::Handed) && !self.is_dead() {
                page.count(Count::VotedNotDecided);
            }
            self.die(page, &format!("{moment:?}"));
        }
        self.is_dead()
    }

    pub fn live_on(&self) {
        *self.plan.lock() = None;
    }

    pub fn die(&self, page: &Chronicle, why: &str) {
        if self.is_dead() {
            return;
        }
        page.say(|| format!("process {} dies: {why}", self.number));
        if self.number > 0 && !self.serves.load(Ordering::Relaxed) {
            page.count(Count::CrashInRecovery);
        }
        for count in self.open.lock().values() {
            page.count(*count);
        }
        self.end.cancel();
    }

    /// This has come about, and something has to follow: if it dies before, that counts.
    pub fn owes(&self, what: impl Display, count: Count) {
        self.open.lock().insert(what.to_string(), count);
    }

    /// It has followed.
    pub fn pays(&self, what: impl Display) {
        self.open.lock().remove(&what.to_string());
    }
}
