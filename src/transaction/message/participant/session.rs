//! Branches that work for somebody at the other end of a queue.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::wire::{Answer, Done};
use crate::chance::random_wide;
use crate::transaction::id::BranchId;

/// For how long a branch may be asked nothing before it is aborted: longer than anybody's patience
/// with one request. Branches hold locks meanwhile.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// Branches at a time: more than a database has connections for.
const SESSIONS_MAX: usize = 4096;

pub(super) struct Sessions<B>(Mutex<HashMap<BranchId, Arc<Session<B>>>>);

/// What serves one branch, from its beginning to its end.
pub(super) struct Session<B> {
    /// Which beginning it was of those that whoever asks tells apart.
    nonce: u128,
    /// Tells it from any other that served the branch before, in this process or another.
    pub(super) id: u128,
    used: Mutex<Instant>,
    /// Whether the branch was settled: it works no more.
    has_ended: AtomicBool,
    /// One request at a time.
    pub(super) held: tokio::sync::Mutex<Held<B>>,
}

pub(super) struct Held<B> {
    /// None before it began, and once it was asked to prepare.
    pub(super) branch: Option<B>,
    pub(super) has_begun: bool,
    /// Of the last request that was begun, and what it was answered.
    pub(super) number: u32,
    pub(super) reply: Answer,
    /// Whether some request was begun and not ended: what it did, nobody knows.
    pub(super) is_broken: bool,
    /// Its vote, where that ended it.
    pub(super) read_only: bool,
}

impl<B> Default for Sessions<B> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<B> Sessions<B> {
    pub(super) fn get(&self, branch: BranchId) -> Option<Arc<Session<B>>> {
        let session = self.untouched(branch)?;
        *session.used.lock() = Instant::now();
        Some(session)
    }

    /// The same, for somebody who asks nothing of it.
    pub(super) fn untouched(&self, branch: BranchId) -> Option<Arc<Session<B>>> {
        self.0.lock().get(&branch).cloned()
    }

    /// The session of this beginning, if there is no other one and there is room.
    pub(super) fn begin(
        &self,
        branch: BranchId,
        nonce: u128,
    ) -> Result<Arc<Session<B>>, &'static str> {
        let mut sessions = self.0.lock();
        let crowded = sessions.len() >= SESSIONS_MAX;
        match sessions.entry(branch) {
            Entry::Occupied(session) if session.get().nonce == nonce => {
                Ok(Arc::clone(session.get()))
            }
            Entry::Occupied(_) => Err("the branch works already"),
            Entry::Vacant(_) if crowded => Err("too many branches work"),
            Entry::Vacant(vacant) => Ok(Arc::clone(vacant.insert(Arc::new(Session::new(nonce))))),
        }
    }

    /// No more is done for a branch.
    pub(super) fn end(&self, branch: BranchId) {
        if let Some(session) = self.0.lock().remove(&branch) {
            session.has_ended.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn idle(&self) -> Vec<BranchId> {
        let sessions = self.0.lock();
        let idle = sessions.iter().filter(|(_, session)| session.is_idle());
        idle.map(|(branch, _)| *branch).collect()
    }
}

impl<B> Session<B> {
    fn new(nonce: u128) -> Self {
        Self {
            nonce,
            id: random_wide(),
            used: Mutex::new(Instant::now()),
            has_ended: AtomicBool::new(false),
            held: tokio::sync::Mutex::new(Held {
                branch: None,
                has_begun: false,
                number: 0,
                reply: Answer::Lost,
                is_broken: false,
                read_only: false,
            }),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.used.lock().elapsed() > IDLE_MAX
    }

    /// Whether all that was asked for was done here, and answered.
    pub(super) fn is_whole(&self, held: &Held<B>, done: Option<Done>) -> bool {
        let here = Done {
            session: self.id,
            number: held.number,
        };
        done == Some(here) && !held.is_broken
    }
}
