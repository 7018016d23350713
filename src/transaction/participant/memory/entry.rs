//! A key: what was committed under it, who holds it, and who waits.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use crate::transaction::id::BranchId;

pub(super) struct Entry<V> {
    pub(super) value: Option<V>,
    pub(super) holder: Option<BranchId>,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    branch: BranchId,
    call: oneshot::Sender<()>,
}

/// What a branch awaits, that waits for a key: it is called to look again.
pub(super) struct Wait {
    /// Who held the key when the wait began.
    pub(super) holder: BranchId,
    /// Resolves, either way, when the branch holds the key or has ended.
    pub(super) called: oneshot::Receiver<()>,
}

impl<V> Entry<V> {
    pub(super) fn new(value: Option<V>) -> Self {
        Self {
            value,
            holder: None,
            waiters: VecDeque::new(),
        }
    }

    /// Takes the key for a branch, or puts it in the queue.
    pub(super) fn lock(&mut self, branch: BranchId) -> Option<Wait> {
        let holder = *self.holder.get_or_insert(branch);
        if holder == branch {
            return None;
        }
        // Who gave up is cleared away here, so that the queue is as long as those who wait.
        self.waiters.retain(|waiter| !waiter.call.is_closed());
        let (call, called) = oneshot::channel();
        self.waiters.push_back(Waiter { branch, call });
        Some(Wait { holder, called })
    }

    /// Lets the first who still waits have the key.
    pub(super) fn pass_on(&mut self) -> Option<BranchId> {
        self.holder = None;
        while let Some(Waiter { branch, call }) = self.waiters.pop_front() {
            if call.send(()).is_ok() {
                self.holder = Some(branch);
                // It may wait several times over.
                self.leave(branch);
                break;
            }
        }
        self.holder
    }

    /// Sends a branch out of the queue.
    pub(super) fn leave(&mut self, branch: BranchId) {
        self.waiters.retain(|waiter| waiter.branch != branch);
    }

    /// Whether nothing has to be remembered.
    pub(super) fn is_idle(&self) -> bool {
        self.value.is_none() && self.holder.is_none() && self.waiters.is_empty()
    }
}
