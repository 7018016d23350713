//! The branches that work in this process, each on a connection of its own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

use crate::transaction::id::BranchId;

use super::way::Session;

/// As many as the coordinator has under way; each goes when its end is asked for.
#[derive(Default)]
pub(super) struct Live {
    working: Mutex<HashMap<BranchId, Arc<Slot>>>,
    /// The connections of prepared branches: the server ends a branch most surely on its own.
    prepared: Mutex<HashMap<BranchId, Session>>,
}

/// A branch's connection, or where it was.
pub(super) struct Slot {
    state: Mutex<State>,
    /// Whoever ends the branch: one after the other.
    turn: Arc<Turns<()>>,
}

enum State {
    Idle(Session),
    /// A statement of the user's is under way.
    Busy,
    Over,
}

/// What of a branch that is to end is in this process.
pub(super) enum Local {
    Works(Session),
    /// A statement is under way. Its connection is closed when it ends, or is dropped.
    Busy,
    Nothing,
}

/// Whoever ends a branch. Others wait until this is dropped.
pub(super) struct Ending<'a> {
    live: &'a Live,
    branch: BranchId,
    slot: Option<(Arc<Slot>, OwnedMutexGuard<()>)>,
}

/// A branch's connection while a statement is under way. If this is dropped, so is the branch:
/// nobody knows the connection's state.
pub(super) struct Lent<'a> {
    slot: &'a Slot,
    session: Option<Session>,
}

impl Live {
    /// Takes a branch in, unless it is there.
    pub(super) fn insert(&self, branch: BranchId, session: Session) -> Option<Arc<Slot>> {
        let mut live = self.working.lock();
        if live.contains_key(&branch) {
            return None;
        }
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Idle(session)),
            turn: Arc::default(),
        });
        live.insert(branch, Arc::clone(&slot));
        Some(slot)
    }

    /// Ends a branch for its user, after others who do.
    pub(super) async fn end(&self, branch: BranchId) -> (Local, Ending<'_>) {
        let mut ending = Ending {
            live: self,
            branch,
            slot: None,
        };
        let Some(slot) = self.get(branch) else {
            return (Local::Nothing, ending);
        };
        let turn = Arc::clone(&slot.turn).lock_owned().await;
        let local = slot.end();
        ending.slot = Some((slot, turn));
        (local, ending)
    }

    /// Waits for whoever ends the branch now.
    pub(super) async fn ended(&self, branch: BranchId) {
        if let Some(slot) = self.get(branch) {
            drop(slot.turn.lock().await);
        }
    }

    /// Keeps the connection of a branch that is prepared.
    pub(super) fn keep(&self, branch: BranchId, session: Session) {
        self.prepared.lock().insert(branch, session);
    }

    /// The connection of a branch that was prepared here, for whoever ends it.
    pub(super) fn take_prepared(&self, branch: BranchId) -> Option<Session> {
        self.prepared.lock().remove(&branch)
    }

    fn get(&self, branch: BranchId) -> Option<Arc<Slot>> {
        self.working.lock().get(&branch).cloned()
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let Some((slot, _)) = &self.slot else {
            return;
        };
        let mut live = self.live.working.lock();
        let ours = live.get(&self.branch);
        if ours.is_some_and(|ours| Arc::ptr_eq(ours, slot)) {
            live.remove(&self.branch);
        }
    }
}

impl Slot {
    /// The connection, for a statement, unless the branch has ended.
    pub(super) fn lend(&self) -> Option<Lent<'_>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Busy) {
            State::Idle(session) => Some(Lent {
                slot: self,
                session: Some(session),
            }),
            State::Busy => None,
            State::Over => {
                *state = State::Over;
                None
            }
        }
    }

    fn end(&self) -> Local {
        match std::mem::replace(&mut *self.state.lock(), State::Over) {
            State::Idle(session) => Local::Works(session),
            State::Busy => Local::Busy,
            State::Over => Local::Nothing,
        }
    }
}

impl Lent<'_> {
    pub(super) fn session(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// The statement is over, and the branch works on, unless its end was asked for meanwhile.
    pub(super) fn give_back(mut self) {
        let mut state = self.slot.state.lock();
        if let (State::Busy, Some(session)) = (&*state, self.session.take()) {
            *state = State::Idle(session);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if self.session.is_some() {
            *self.slot.state.lock() = State::Over;
        }
    }
}
