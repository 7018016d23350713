//! A process that runs coordinators, and when it dies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tripod::transaction::TransactionId;

use crate::counts::Count;
use crate::random::Random;
use crate::world::World;

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
}

impl Moment {
    const ALL: [Self; 9] = [
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

    /// A moment, and how often it has to come before it counts.
    pub fn draw(random: &mut Random) -> (Self, u64) {
        (random.of(&Self::ALL), random.below(3))
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
    /// Decided and durable, and how many orders were sent.
    decided: Mutex<BTreeMap<TransactionId, u64>>,
}

impl Process {
    pub fn new(number: u64, plan: Option<(Moment, u64)>) -> Arc<Self> {
        Arc::new(Self {
            number,
            end: CancellationToken::new(),
            serves: AtomicBool::new(false),
            troubled: AtomicBool::new(false),
            plan: Mutex::new(plan),
            decided: Mutex::default(),
        })
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
    pub fn passes(&self, world: &World, moment: Moment) -> bool {
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
            world.count(Count::KilledAtMoment);
            if matches!(moment, Moment::Deciding | Moment::Handed) && !self.is_dead() {
                world.count(Count::VotedNotDecided);
            }
            self.die(world, &format!("{moment:?}"));
        }
        self.is_dead()
    }

    pub fn live_on(&self) {
        *self.plan.lock() = None;
    }

    pub fn die(&self, world: &World, why: &str) {
        if self.is_dead() {
            return;
        }
        world.say(|| format!("process {} dies: {why}", self.number));
        if self.number > 0 && !self.serves.load(Ordering::Relaxed) {
            world.count(Count::CrashInRecovery);
        }
        if self.decided.lock().values().any(|orders| *orders == 0) {
            world.count(Count::DurableNotSent);
        }
        self.end.cancel();
    }

    pub fn decided(&self, id: TransactionId) {
        self.decided.lock().insert(id, 0);
    }

    pub fn ordered(&self, id: TransactionId) {
        if let Some(orders) = self.decided.lock().get_mut(&id) {
            *orders += 1;
        }
    }
}
