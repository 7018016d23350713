//! Who is to be woken when the store tells of a change.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lock::name::HolderId;

/// A bell for each waiter that listens.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<HolderId, Arc<Notify>>>);

/// One that listens. Its bell goes with the last who listens to it.
pub(super) struct Listener<'a> {
    bells: &'a Bells,
    holder: HolderId,
    bell: Arc<Notify>,
}

impl Bells {
    pub(super) fn listen(&self, holder: HolderId) -> Listener<'_> {
        let bell = Arc::clone(self.0.lock().entry(holder).or_default());
        Listener {
            bells: self,
            holder,
            bell,
        }
    }

    pub(super) fn ring(&self, holder: HolderId) {
        if let Some(bell) = self.0.lock().get(&holder) {
            bell.notify_waiters();
        }
    }

    /// What was told meanwhile may have been missed.
    pub(super) fn ring_all(&self) {
        for bell in self.0.lock().values() {
            bell.notify_waiters();
        }
    }
}

impl Listener<'_> {
    /// What ends when the bell rings, from now on.
    pub(super) fn rung(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.bell).notified_owned()
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut bells = self.bells.0.lock();
        // The map's and this one.
        if Arc::strong_count(&self.bell) <= 2 {
            bells.remove(&self.holder);
        }
    }
}
