//! A lease that many entries share, and what is proved of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::lock::lease::Lease as Proved;

use super::trouble::Trouble;

/// How long after a request was given up it may take effect yet, by a generous measure.
const LATE_MAX: Duration = Duration::from_secs(60);

/// One lease of this process. All entries of one TTL stand under it; a task keeps it alive.
#[derive(Debug)]
pub(super) struct Lease {
    terms: Terms,
    proof: watch::Sender<Proof>,
    /// Asks the task for a renewal now.
    asked: Notify,
    /// When it was last taken into use, or seen to be in use.
    used: Mutex<Instant>,
    /// When something last may have come to stand under it that nobody knows of.
    suspected: Mutex<Option<Instant>>,
    pub(super) tended: AtomicBool,
}

/// What a lease is to the store: its id, and the TTL that was granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) id: i64,
    pub(super) ttl_secs: u64,
}

#[derive(Clone, Copy, Debug)]
enum Proof {
    /// It was alive when the request was sent at this time.
    Alive(Instant),
    Lost,
}

impl Lease {
    /// A lease that was granted to a request sent at `sent`.
    pub(super) fn new(terms: Terms, sent: Instant) -> Self {
        Self {
            terms,
            proof: watch::Sender::new(Proof::Alive(sent)),
            asked: Notify::new(),
            used: Mutex::new(sent),
            suspected: Mutex::default(),
            tended: AtomicBool::new(false),
        }
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }

    pub(super) fn id(&self) -> i64 {
        self.terms.id
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_secs(self.terms.ttl_secs)
    }

    /// When the last renewal was sent that was answered.
    pub(super) fn sent(&self) -> Option<Instant> {
        match *self.proof.borrow() {
            Proof::Alive(sent) => Some(sent),
            Proof::Lost => None,
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.sent().is_none()
    }

    /// What is proved of it, as answers carry it.
    pub(super) fn proved(&self) -> Result<Proved, Trouble> {
        let sent = self.sent().ok_or_else(Trouble::lease_gone)?;
        Ok(Proved::new(sent, self.ttl()))
    }

    /// As [`proved`](Self::proved), by a renewal sent since `asked`.
    pub(super) async fn proved_since(
        &self,
        asked: Instant,
        until: Instant,
    ) -> Result<Proved, Trouble> {
        let mut proof = self.proof.subscribe();
        self.asked.notify_one();
        let new_enough = |proof: &Proof| match *proof {
            Proof::Alive(sent) => sent >= asked,
            Proof::Lost => true,
        };
        // Its end is that of the lease, which is in use.
        let waited = timeout_at(until, proof.wait_for(new_enough)).await;
        if waited.is_err() {
            return Err(Trouble::no_answer());
        }
        self.proved()
    }

    /// As [`proved`](Self::proved), by one that is not old: what is granted now is to last.
    pub(super) async fn proved_lately(&self, until: Instant) -> Result<(), Trouble> {
        let now = Instant::now();
        match self.sent() {
            Some(sent) if now < sent + self.ttl() / 2 => Ok(()),
            Some(_) => self
                .proved_since(now, until)
                .await
                .map(drop)
                .map_err(Trouble::before_it_went_out),
            None => Err(Trouble::lease_gone()),
        }
    }

    /// Returns when a renewal is asked for.
    pub(super) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Takes note of an answered renewal.
    pub(super) fn renewed(&self, sent: Instant) {
        self.proof.send_if_modified(|proof| {
            let alive = matches!(proof, Proof::Alive(_));
            if alive {
                *proof = Proof::Alive(sent);
            }
            alive
        });
    }

    pub(super) fn lose(&self) {
        self.proof.send_replace(Proof::Lost);
    }

    /// Takes note that something may stand under it that nobody knows of.
    pub(super) fn suspect(&self) {
        *self.suspected.lock() = Some(Instant::now());
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspected.lock().is_some()
    }

    /// Takes note that all was found and removed that stood under it at `looked`.
    pub(super) fn cleared(&self, looked: Instant) {
        let late = self.ttl().max(LATE_MAX);
        let mut suspected = self.suspected.lock();
        *suspected = suspected.filter(|suspected| looked < *suspected + late);
    }

    pub(super) fn use_now(&self) {
        *self.used.lock() = Instant::now();
    }

    pub(super) fn unused_since(&self) -> Instant {
        *self.used.lock()
    }
}

/// What became of the request for a lease that several wait for.
#[derive(Clone, Debug)]
pub(super) enum Granting {
    UnderWay,
    Granted(Arc<Lease>),
    Failed(Trouble),
}
