//! The lease of a guard, as the guard and the renewal task share it.

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::Entry;
use super::error::Loss;
use super::lease::Lease;

/// A lease that is believed in until it is lost, and never again after that.
#[derive(Debug)]
pub(super) struct Tenure {
    entry: Entry,
    /// When within its window it is renewed, see [`Lease::renew_at`].
    spread: u16,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lease: Lease,
    loss: Option<Loss>,
    /// Made for the first who asks.
    cancelled: Option<CancellationToken>,
}

impl Tenure {
    pub(super) fn new(entry: Entry, spread: u16, lease: Lease) -> Self {
        Self {
            entry,
            spread,
            state: Mutex::new(State {
                lease,
                loss: None,
                cancelled: None,
            }),
        }
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(super) fn spread(&self) -> u16 {
        self.spread
    }

    pub(super) fn lease(&self) -> Lease {
        self.state.lock().lease
    }

    /// Whether it may still be believed in.
    pub(super) fn check(&self, now: Instant) -> Result<(), Loss> {
        let state = self.state.lock();
        match state.loss {
            Some(loss) => Err(loss),
            None if now >= state.lease.deadline() => Err(Loss::Expired),
            None => Ok(()),
        }
    }

    /// Believes in a lease that an answer has proved, and says which is the better one. An answer
    /// that comes after the deadline proves nothing: the loss may have been seen.
    pub(super) fn extend(&self, lease: Lease) -> Result<Lease, Loss> {
        let mut state = self.state.lock();
        // Read here, so that whoever has seen the loss has seen it before.
        let now = Instant::now();
        if let Some(loss) = state.loss {
            return Err(loss);
        }
        if now >= state.lease.deadline() {
            return Err(Loss::Expired);
        }
        if lease.deadline() > state.lease.deadline() {
            state.lease = lease;
        }
        Ok(state.lease)
    }

    /// Is lost from now on, and tells whoever listens.
    pub(super) fn lose(&self, loss: Loss) {
        let mut state = self.state.lock();
        state.loss.get_or_insert(loss);
        let cancelled = state.cancelled.clone();
        // Whoever is woken may ask back at once.
        drop(state);
        if let Some(cancelled) = cancelled {
            cancelled.cancel();
        }
    }

    /// What is cancelled when it is lost.
    pub(super) fn cancelled(&self) -> CancellationToken {
        let mut state = self.state.lock();
        let lost = state.loss.is_some();
        let cancelled = state.cancelled.get_or_insert_default().clone();
        drop(state);
        if lost {
            cancelled.cancel();
        }
        cancelled
    }
}
