//! Runs two-phase commit: performs what it decides, and recovers.

mod active;
mod codec;
mod counters;
mod driver;
mod engine;
mod error;
mod keeper;
mod lately;
mod member;
mod open;
mod operator;
mod options;
mod recovery;
mod run;
mod status;
mod supervisor;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::book::{Inquirer, Standing};
use crate::transaction::health::Health;
use crate::transaction::id::TransactionId;
use crate::transaction::log::{AppendError, LogError, TransactionLog};
use crate::transaction::participant::Participant;
use counters::Counters;
use engine::{Engine, Memory};
use lately::Lately;
use options::Options;

pub use active::{ActiveTransaction, BRANCHES_MAX, CommitOutcome};
pub use error::{BeginError, EnlistError, OpenError, ResolveError, RetireError};
pub use open::OpenCoordinator;
pub use status::{BranchStatus, CoordinatorStats, Filter, ParticipantStatus, TransactionStatus};

/// Coordinates transactions over participants, by two-phase commit over a log.
///
/// Clones are handles of the same coordinator. It lives in the runtime in which it was opened. When
/// the last handle and the last [`ActiveTransaction`] are gone, it stops as in a crash, and a commit whose future was dropped
/// with it; the next opening of the log takes over. [`shutdown`](Self::shutdown) ends it cleanly.
///
/// ```
/// use tripod::transaction::participant::MemoryParticipant;
/// use tripod::transaction::log::MemoryLog;
/// use tripod::transaction::two_phase::Coordinator;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let savings = MemoryParticipant::<i64>::new("savings")?;
/// let checking = MemoryParticipant::<i64>::new("checking")?;
/// let coordinator = Coordinator::open(MemoryLog::new())
///     .participant(savings.clone())
///     .participant(checking.clone())
///     .await?;
///
/// let mut transfer = coordinator.begin().await?;
/// let from = transfer.enlist(&savings).await?;
/// let to = transfer.enlist(&checking).await?;
/// from.set("alice", -5).await?;
/// to.set("alice", 5).await?;
/// assert!(transfer.commit().await.is_committed());
/// assert_eq!(checking.get("alice"), Some(5));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Coordinator(Arc<Shared>);

struct Shared {
    log: Arc<dyn TransactionLog>,
    participants: Vec<Arc<dyn Participant>>,
    options: Options,
    counters: Arc<Counters>,
    lately: Arc<Mutex<Lately>>,
    engine: Mutex<Arc<Engine>>,
    /// One for each transaction that is under way.
    permits: Arc<Semaphore>,
    closed: AtomicBool,
    stop: CancellationToken,
    /// The log is not being opened again, and will not be.
    supervised: CancellationToken,
}

/// How a coordinator was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct Shutdown {
    /// How many transactions were not over. The next opening of the log takes care of them.
    pub unfinished: usize,
}

impl Coordinator {
    /// Opens a coordinator over this log. A handle of a log is taken by value: clone it to keep one.
    pub fn open(log: impl TransactionLog) -> OpenCoordinator {
        OpenCoordinator::new(Arc::new(log))
    }

    async fn start(
        log: Arc<dyn TransactionLog>,
        participants: Vec<Arc<dyn Participant>>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let mut names = BTreeSet::new();
        for participant in &participants {
            if !names.insert(participant.name().clone()) {
                return Err(OpenError::Duplicate(participant.name().clone()));
            }
        }
        let (counters, lately) = Memory::default();
        let memory = (Arc::clone(&counters), Arc::clone(&lately));
        let opened = log.open(options.hint).await?;
        let engine =
            recovery::take_over(opened, &log, &participants, options, memory, false).await?;
        let shared = Arc::new(Shared {
            engine: Mutex::new(engine),
            log,
            participants,
            options,
            counters,
            lately,
            permits: Arc::new(Semaphore::new(options.transactions_max)),
            closed: AtomicBool::new(false),
            stop: CancellationToken::new(),
            supervised: CancellationToken::new(),
        });
        supervisor::start(&shared);
        Ok(Self(shared))
    }

    /// Begins a transaction. Waits while as many as may be are under way.
    ///
    /// # Errors
    /// [`BeginError`]. Nothing was begun.
    ///
    /// # Cancel safety
    /// A dropped future has begun nothing.
    pub async fn begin(&self) -> Result<ActiveTransaction, BeginError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        let permit = permit.map_err(|_| BeginError::Closed)?;
        let engine = self.0.engine();
        self.0.refuse(&engine)?;
        let space = engine.reserve().await.map_err(|error| match error {
            AppendError::Full { .. } | AppendError::TooLarge { .. } => BeginError::Log(error),
            AppendError::Superseded { .. } | AppendError::Closed => BeginError::Superseded,
            AppendError::Poisoned | AppendError::Unknown(_) | AppendError::Gone => {
                BeginError::Reopening
            }
        })?;
        let run = engine.begin(space);
        run.admit(permit);
        Ok(ActiveTransaction::new(self.clone(), engine, run))
    }

    /// What can be said about a transaction of this log: active, decided, unknown for now, or
    /// forgotten. From that it is forgotten, nothing follows: it may have committed long ago.
    ///
    /// Of transactions that are over, the last 65,536 are remembered whose callers have left before
    /// they were told, or were told that it cannot be said; until the process ends.
    #[must_use]
    pub fn inquire(&self, id: TransactionId) -> Standing {
        let engine = self.0.engine();
        let standing = engine.state.lock().book.inquire(id, Inquirer::Anyone);
        if standing != Standing::Forgotten {
            return standing;
        }
        let lately = self.0.lately.lock().get(id);
        lately.map_or(Standing::Forgotten, Standing::Decided)
    }

    /// Whether another coordinator has opened the log, or a participant has seen a later opening of
    /// it: then this one is of no more use.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        *self.0.engine().health.borrow() == Health::Superseded
    }

    /// The transactions that are not over, the oldest first.
    #[must_use]
    pub fn list(&self, filter: Filter) -> Vec<TransactionStatus> {
        status::list(&self.0.engine(), filter)
    }

    /// The participants that are registered here, or that the log names.
    #[must_use]
    pub fn participants(&self) -> Vec<ParticipantStatus> {
        status::participants(&self.0.engine())
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> CoordinatorStats {
        let counters = &self.0.counters;
        CoordinatorStats {
            epoch: Some(self.0.engine().epoch),
            begun: counters.begun.read(),
            committed: counters.committed.read(),
            aborted: counters.aborted.read(),
            unknown: counters.unknown.read(),
            forced_writes: counters.forced_writes.read(),
            parked: counters.parked.read(),
            orphans: counters.orphans.read(),
            reopened: counters.reopened.read(),
            impossible: counters.impossible.read(),
        }
    }

    /// Ends it cleanly: nothing more begins; waits at most so long until what is under way is over;
    /// aborts what is not decided then, and gives participants some time to take note; closes the
    /// log.
    ///
    /// # Errors
    /// The log was not closed cleanly. What was durable stands.
    ///
    /// # Cancel safety
    /// A dropped future leaves a coordinator in which nothing begins any more. Call it again.
    pub async fn shutdown(&self, patience: Duration) -> Result<Shutdown, LogError> {
        let shared = &self.0;
        shared.closed.store(true, Ordering::Release);
        shared.permits.close();
        shared.stop.cancel();
        shared.supervised.cancelled().await;
        let engine = shared.engine();
        let mut unfinished = idle(&engine, patience).await;
        if unfinished > 0 {
            // What is not decided by now is aborted; its participants are told, if they listen.
            engine.expire(|_, _| true);
            unfinished = idle(&engine, shared.options.settle_timeout.min(patience)).await;
        }
        engine.keeping.cancel();
        engine.closing.cancel();
        engine.log.close(engine.epoch).await?;
        Ok(Shutdown { unfinished })
    }
}

/// Waits, at most so long, until nothing is under way, and answers what is.
async fn idle(engine: &Engine, patience: Duration) -> usize {
    let deadline = Instant::now().checked_add(patience);
    loop {
        let unfinished = engine.state.lock().book.transactions().count();
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if unfinished == 0 || late {
            return unfinished;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

impl Shared {
    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine.lock())
    }

    fn memory(&self) -> Memory {
        (Arc::clone(&self.counters), Arc::clone(&self.lately))
    }

    fn refuse(&self, engine: &Engine) -> Result<(), BeginError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(BeginError::Closed);
        }
        match *engine.health.borrow() {
            Health::Serving => Ok(()),
            Health::Failed => Err(BeginError::Reopening),
            Health::Superseded => Err(BeginError::Superseded),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
        let engine = self.engine.get_mut();
        engine.keeping.cancel();
        engine.closing.cancel();
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("engine", &self.0.engine())
            .finish_non_exhaustive()
    }
}
