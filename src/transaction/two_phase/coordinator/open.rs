//! How a coordinator is opened.

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Coordinator;
use super::error::OpenError;
use super::options::Options;
use crate::future::BoxFuture;
use crate::transaction::log::TransactionLog;
use crate::transaction::participant::Participant;

/// A coordinator about to be opened: await it.
#[derive(Debug)]
#[must_use = "nothing happens until it is awaited"]
pub struct OpenCoordinator {
    log: Arc<dyn TransactionLog>,
    participants: Vec<Arc<dyn Participant>>,
    options: Options,
}

impl OpenCoordinator {
    pub(super) fn new(log: Arc<dyn TransactionLog>) -> Self {
        Self {
            log,
            participants: Vec::new(),
            options: Options::default(),
        }
    }

    /// Registers a participant, by its name. Register every one that transactions of this log have
    /// ever had: what a missing one has in doubt waits for it.
    ///
    /// One that cannot be reached does not keep the others waiting. So a stale copy of a log, which
    /// that one would refuse, settles what others have in doubt until it has been reached: never run
    /// a copy beside its original.
    pub fn participant(mut self, participant: impl Participant) -> Self {
        self.participants.push(Arc::new(participant));
        self
    }

    /// How long a transaction may work before its commit is asked for. Default 60 s. Then it is
    /// aborted; so locks of a caller who hangs are freed. Longer than the longest honest work;
    /// shorter than what participants allow an idle connection.
    pub fn work_timeout(mut self, timeout: Duration) -> Self {
        self.options.work_timeout = timeout;
        self
    }

    /// How long votes may take. Default 10 s. Then the transaction is aborted.
    pub fn prepare_timeout(mut self, timeout: Duration) -> Self {
        self.options.prepare_timeout = timeout;
        self
    }

    /// How long `commit()` waits for acknowledgements after the decision. Default 5 s. Then it
    /// returns, and they are asked for in the background.
    pub fn settle_timeout(mut self, timeout: Duration) -> Self {
        self.options.settle_timeout = timeout;
        self
    }

    /// How long opening waits for each participant. Default 5 s. One that does not answer is told
    /// later; until then it cannot be enlisted, and what it has in doubt waits.
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.options.open_timeout = timeout;
        self
    }

    /// The longest pause before a participant is asked again. Default 30 s. The first is 20 ms, and
    /// each is twice the one before.
    pub fn retry_pause_max(mut self, pause: Duration) -> Self {
        self.options.retry_pause_max = pause.max(Duration::from_millis(1));
        self
    }

    /// The longest time between two scans of a participant for what earlier epochs have left
    /// behind. Default 30 s. Right after opening they are more frequent.
    pub fn scan_interval(mut self, interval: Duration) -> Self {
        self.options.scan_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// How many transactions may be under way, from `begin` to the answer. Default 1024, at least
    /// one. Further ones wait in `begin`. Where one participant has four times as many branches that
    /// are not over, because it settles nothing, it is not enlisted any more until it does.
    pub fn transactions_max(mut self, transactions: usize) -> Self {
        self.options.transactions_max = transactions.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many votes of one participant may be under way, and how many decisions beside them.
    /// Default 256, at least 1.
    pub fn requests_max(mut self, requests: usize) -> Self {
        self.options.requests_max = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// The least epoch to open, such as the fencing token of a lock that elects who coordinates.
    /// Default 0: one more than the last.
    pub fn epoch_hint(mut self, hint: u64) -> Self {
        self.options.hint = hint;
        self
    }

    /// Takes a log that does not outlive the process together with participants that do. After a
    /// crash their prepared branches are aborted or wait, whatever was decided: for tests.
    pub fn allow_volatile_log(mut self) -> Self {
        self.options.volatile_log = true;
        self
    }
}

impl IntoFuture for OpenCoordinator {
    type Output = Result<Coordinator, OpenError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Opens the log for a new epoch, tells the participants, replays, and starts settling what is
    /// in doubt. Needs a tokio runtime with time, in which all of it goes on.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(Coordinator::start(
            self.log,
            self.participants,
            self.options,
        ))
    }
}
