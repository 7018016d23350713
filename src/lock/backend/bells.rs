//! Who is to be woken when the store tells of a change.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::lock::name::HolderId;

/// A bell for each waiter that listens.
#[derive(Debug, Default)]
pub(super) struct Bells(Mutex<HashMap<HolderId, Bell>>);

#[derive(Debug, Default)]
struct Bell {
    listeners: usize,
    rings: Arc<Notify>,
}

/// One that listens. Its bell goes with the last who listens to it.
pub(super) struct Listener<'a> {
    bells: &'a Bells,
    holder: HolderId,
    rings: Arc<Notify>,
}

impl Bells {
    pub(super) fn listen(&self, holder: HolderId) -> Listener<'_> {
        let mut bells = self.0.lock();
        let bell = bells.entry(holder).or_default();
        bell.listeners += 1;
        Listener {
            bells: self,
            holder,
            rings: Arc::clone(&bell.rings),
        }
    }

    pub(super) fn ring(&self, holder: HolderId) {
        if let Some(bell) = self.0.lock().get(&holder) {
            bell.rings.notify_waiters();
        }
    }

    /// What was told meanwhile may have been missed.
    #[cfg(any(feature = "postgres", feature = "redis", feature = "zookeeper"))]
    pub(super) fn ring_all(&self) {
        for bell in self.0.lock().values() {
            bell.rings.notify_waiters();
        }
    }
}

impl Listener<'_> {
    /// What ends when the bell rings, from now on.
    pub(super) fn rung(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.rings).notified_owned()
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut bells = self.bells.0.lock();
        if let Some(bell) = bells.get_mut(&self.holder) {
            bell.listeners -= 1;
            if bell.listeners == 0 {
                bells.remove(&self.holder);
            }
        }
    }
}
