//! The sessions of branches that work in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex as ShortMutex;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::transaction::id::BranchId;
use crate::transaction::participant::{ParticipantError, SqlConnection};

/// How long the end of a branch waits for a statement of the user's that is under way.
const TURN_MAX: Duration = Duration::from_secs(5);

/// A branch's connection, which its user and its participant take turns at.
pub(super) struct Session<C> {
    pub(super) connection: Option<C>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Working,
    /// The branch is prepared or over, and the connection is in no transaction.
    Free,
    /// It is not known what became of the branch, or it cannot be prepared. There is no connection.
    Lost,
}

/// What becomes of a connection that is free.
pub(super) trait Kept: SqlConnection + Sized {
    /// Leaves it there for its user, or takes it.
    fn keep(slot: &mut Option<Self>);
}

/// A session over whichever connection.
pub(super) trait AnySession: Send {
    fn state(&self) -> State;
    fn connection(&mut self) -> Option<&mut dyn SqlConnection>;
    fn free(&mut self);
    fn lose(&mut self);
}

impl<C> Session<C> {
    pub(super) fn new(connection: C) -> Self {
        Self {
            connection: Some(connection),
            state: State::Working,
        }
    }
}

impl<C: Kept> AnySession for Session<C> {
    fn state(&self) -> State {
        // One that the user dropped in the middle of a statement took the connection with it.
        match self.state {
            State::Working if self.connection.is_none() => State::Lost,
            State::Working => State::Working,
            State::Free => State::Free,
            State::Lost => State::Lost,
        }
    }

    fn connection(&mut self) -> Option<&mut dyn SqlConnection> {
        let connection = self.connection.as_mut();
        connection.map(|connection| connection as &mut dyn SqlConnection)
    }

    fn free(&mut self) {
        self.state = State::Free;
        C::keep(&mut self.connection);
    }

    fn lose(&mut self) {
        self.state = State::Lost;
        self.connection = None;
    }
}

/// Which branches work, or were lost, in this process. Whoever ends a branch removes it, so there
/// are no more than branches whose coordinator has not heard of their end.
#[derive(Clone, Default)]
pub(super) struct Working(Arc<ShortMutex<HashMap<BranchId, Entry>>>);

#[derive(Clone)]
struct Entry {
    /// Tells a session from a later one of the same branch.
    serial: u64,
    session: Arc<Mutex<dyn AnySession>>,
}

/// What there is of a branch in this process.
pub(super) enum Found {
    Nothing,
    /// A session that was lost: what it asked for last may still be under way.
    Lost,
    Working(Turn),
}

impl Working {
    pub(super) fn enter(&self, branch: BranchId, session: Arc<Mutex<dyn AnySession>>) {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        self.0.lock().insert(branch, Entry { serial, session });
    }

    /// Takes the turn at a branch's session.
    pub(super) async fn find(&self, branch: BranchId) -> Result<Found, ParticipantError> {
        let entry = self.0.lock().get(&branch).cloned();
        let Some(Entry { serial, session }) = entry else {
            return Ok(Found::Nothing);
        };
        let turn = timeout(TURN_MAX, session.lock_owned()).await;
        let busy = |_| ParticipantError::unknown("a statement of the branch is under way");
        let session = turn.map_err(busy)?;
        Ok(match session.state() {
            State::Working => Found::Working(Turn {
                session,
                branch,
                serial,
                working: self.clone(),
                is_over: false,
            }),
            State::Free => Found::Nothing,
            State::Lost => Found::Lost,
        })
    }

    /// Forgets what was lost of a branch that is settled now.
    pub(super) fn forget(&self, branch: BranchId) {
        self.forget_all(|lost| lost == branch);
    }

    /// Forgets what was lost of these branches.
    pub(super) fn forget_all(&self, over: impl Fn(BranchId) -> bool) {
        self.0.lock().retain(|branch, entry| {
            let working = || match entry.session.try_lock().map(|session| session.state()) {
                Ok(State::Free | State::Lost) => false,
                Ok(State::Working) | Err(_) => true,
            };
            !over(*branch) || working()
        });
    }

    fn remove(&self, branch: BranchId, serial: u64) {
        let mut entries = self.0.lock();
        if entries
            .get(&branch)
            .is_some_and(|entry| entry.serial == serial)
        {
            entries.remove(&branch);
        }
    }
}

/// The participant's turn at a session. Dropped before it is known what became of the branch, it
/// closes the connection.
pub(super) struct Turn {
    session: OwnedMutexGuard<dyn AnySession>,
    branch: BranchId,
    serial: u64,
    working: Working,
    is_over: bool,
}

impl Turn {
    /// None where the session was lost.
    pub(super) fn connection(&mut self) -> Option<&mut dyn SqlConnection> {
        self.session.connection()
    }

    /// The connection is in no transaction, and the branch does not work any more.
    pub(super) fn free(mut self) {
        self.is_over = true;
        self.session.free();
        self.working.remove(self.branch, self.serial);
    }

    /// The connection is broken, and the branch can never be prepared or committed.
    pub(super) fn end(self) {
        let (working, branch, serial) = (self.working.clone(), self.branch, self.serial);
        drop(self);
        working.remove(branch, serial);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.session.lose();
        }
    }
}
