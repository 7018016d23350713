//! A participant in memory.

mod branch;
mod entry;
mod error;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{
    Enlist, Opening, Participant, ParticipantError, ParticipantOpenError, Reply, Report, Request,
    Vote,
};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, CoordinatorId, Epoch};
use crate::transaction::log::Persistence;
use crate::transaction::name::{ParticipantName, ParticipantNameError};
use state::State;

pub use branch::MemoryBranch;
pub use error::MemoryError;

/// A map in memory, from text to values, that takes part in transactions: for examples, tests and
/// simulations.
///
/// Branches lock the keys that they touch, one at a time, until they end (strict two-phase locking:
/// Bernstein, Hadzilacos and Goodman, *Concurrency control and recovery in database systems*, 1987,
/// section 3.2), so transactions are serializable within one map. Who waits for a key is served in
/// the order of arrival. Two that wait for each other are not found out; the first whose wait
/// exceeds [`lock_wait`](Self::lock_wait) is told, and had better abort.
///
/// *It does not outlive the process.* Clones are handles of the same map; it lasts as long as any
/// of them. No request takes time, and none fails. When a coordinator's log is opened anew, what
/// works for its earlier epochs is aborted, and no more of them begins, for nobody is left who
/// would end it.
///
/// ```
/// use tripod::transaction::participant::MemoryParticipant;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let accounts = MemoryParticipant::with("accounts", [("alice", 100), ("bob", 0)])?;
/// assert_eq!(accounts.get("alice"), Some(100));
/// # Ok(())
/// # }
/// ```
pub struct MemoryParticipant<V = i64> {
    shared: Arc<Shared<V>>,
    lock_wait: Duration,
}

struct Shared<V> {
    name: ParticipantName,
    state: Mutex<State<V>>,
}

impl MemoryParticipant {
    /// An empty map of numbers. For other values, see [`with`](Self::with).
    ///
    /// # Errors
    /// [`ParticipantNameError`] where the name is none.
    pub fn new(name: &str) -> Result<Self, ParticipantNameError> {
        Self::with::<String>(name, [])
    }
}

impl<V> MemoryParticipant<V> {
    /// How long a branch waits for a key, unless told otherwise.
    pub const LOCK_WAIT: Duration = Duration::from_secs(5);

    /// A map that holds these entries. The last of several with one key counts.
    ///
    /// # Errors
    /// [`ParticipantNameError`] where the name is none.
    pub fn with<K: AsRef<str>>(
        name: &str,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ParticipantNameError> {
        let shared = Shared {
            name: ParticipantName::new(name)?,
            state: Mutex::new(State::holding(entries)),
        };
        Ok(Self {
            shared: Arc::new(shared),
            lock_wait: Self::LOCK_WAIT,
        })
    }

    /// How long the branches that begin by this handle wait for a key, by `tokio`'s clock. 5 s
    /// unless told otherwise; any duration will do. Longer than the transactions that one has to
    /// wait for, and shorter than the patience of those who wait: deadlocks end by it.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// What was committed under this key. Waits for no branch.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<V>
    where
        V: Clone,
    {
        self.shared.state.lock().committed(key)
    }

    /// All that was committed, at one moment. O(n log n) in the number of entries, while branches
    /// wait.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, V>
    where
        V: Clone,
    {
        self.shared.state.lock().snapshot()
    }

    /// Loses all branches that are not prepared, as a database does when it crashes. Prepared ones
    /// stand.
    pub fn crash(&self) {
        self.shared.state.lock().crash();
    }
}

impl<V: Send + 'static> MemoryParticipant<V> {
    fn vote(&self, branch: BranchId) -> Vote {
        match self.shared.state.lock().answer(branch, Request::Prepare) {
            Reply::Vote(vote) => vote,
            Reply::Report(_) => Vote::Unknown,
        }
    }

    fn report(&self, branch: BranchId, request: Request) -> Report {
        match self.shared.state.lock().answer(branch, request) {
            Reply::Report(report) => report,
            Reply::Vote(_) => Report::Unknown,
        }
    }
}

impl<V: Send + 'static> Participant for MemoryParticipant<V> {
    fn name(&self) -> &ParticipantName {
        &self.shared.name
    }

    fn persistence(&self) -> Persistence {
        Persistence::Process
    }

    fn lists(&self) -> bool {
        true
    }

    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<(), ParticipantOpenError>> {
        Box::pin(async move { Ok(self.shared.state.lock().open(opening)?) })
    }

    fn prepare(&self, branch: BranchId) -> BoxFuture<'_, Result<Vote, ParticipantError>> {
        Box::pin(async move { Ok(self.vote(branch)) })
    }

    fn commit_one_phase(
        &self,
        branch: BranchId,
    ) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { Ok(self.report(branch, Request::CommitOnePhase)) })
    }

    fn commit(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { Ok(self.report(branch, Request::Commit)) })
    }

    fn abort(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { Ok(self.report(branch, Request::Abort)) })
    }

    fn settle(&self, branch: BranchId) -> BoxFuture<'_, Result<Report, ParticipantError>> {
        Box::pin(async move { Ok(self.report(branch, Request::Settle)) })
    }

    fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> BoxFuture<'_, Result<Vec<BranchId>, ParticipantError>> {
        Box::pin(async move { Ok(self.shared.state.lock().in_doubt(coordinator, before)) })
    }

    fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            self.shared.state.lock().forget(coordinator, watermark);
            Ok(())
        })
    }
}

impl<V: Clone + Send + 'static> Enlist for MemoryParticipant<V> {
    type Branch = MemoryBranch<V>;

    fn work(&self, branch: BranchId) -> BoxFuture<'_, Result<Self::Branch, ParticipantError>> {
        Box::pin(async move {
            let begun = self.shared.state.lock().work(branch);
            begun.map_err(ParticipantError::refused)?;
            let shared = Arc::clone(&self.shared);
            Ok(MemoryBranch::new(shared, branch, self.lock_wait))
        })
    }
}

impl<V> Clone for MemoryParticipant<V> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            lock_wait: self.lock_wait,
        }
    }
}

impl<V> fmt::Debug for MemoryParticipant<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryParticipant")
            .field("name", &self.shared.name)
            .finish_non_exhaustive()
    }
}
