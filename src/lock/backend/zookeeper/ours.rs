//! The entries that this process has in the store, and when each was last asked for.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::lock::backend::{Entry, Metadata};
use crate::lock::name::HolderId;

/// All entries of one backend. One leaves when it is released, has left, is gone, or was not asked
/// for within a TTL: so there are never more than were asked for within that time.
#[derive(Debug, Default)]
pub(super) struct Ours(Mutex<HashMap<Entry, Our>>);

/// An entry. Whoever asks for one that is not here is told that it is gone.
#[derive(Clone, Debug)]
pub(super) struct Our {
    pub(super) metadata: Metadata,
    /// The session that it ends with.
    pub(super) session: i64,
    /// What its node is called, once that is known.
    pub(super) node: Option<String>,
    /// Whether that node holds.
    pub(super) holds: bool,
    named: Instant,
}

impl Ours {
    /// Takes an entry in, or notes that it was asked for. Answers whether it is new.
    pub(super) fn enter(&self, entry: &Entry, metadata: &Metadata, session: i64) -> bool {
        let mut ours = self.0.lock();
        let named = Instant::now();
        if let Some(our) = ours.get_mut(entry).filter(|our| our.session == session) {
            our.named = named;
            return false;
        }
        let our = Our {
            metadata: metadata.clone(),
            session,
            node: None,
            holds: false,
            named,
        };
        ours.insert(entry.clone(), our);
        true
    }

    /// Notes that it was asked for, if it is here and of this session.
    pub(super) fn name(&self, entry: &Entry, session: i64) -> Option<Our> {
        let mut ours = self.0.lock();
        let our = ours.get_mut(entry).filter(|our| our.session == session)?;
        our.named = Instant::now();
        Some(our.clone())
    }

    pub(super) fn get(&self, entry: &Entry) -> Option<Our> {
        self.0.lock().get(entry).cloned()
    }

    pub(super) fn is_here(&self, entry: &Entry, session: i64) -> bool {
        let ours = self.0.lock();
        ours.get(entry).is_some_and(|our| our.session == session)
    }

    /// Notes what its node is called. Answers whether it is still here, and of this session.
    pub(super) fn found(&self, entry: &Entry, node: &str, holds: bool, session: i64) -> bool {
        let mut ours = self.0.lock();
        let Some(our) = ours.get_mut(entry).filter(|our| our.session == session) else {
            return false;
        };
        our.named = Instant::now();
        our.node = Some(node.to_owned());
        our.holds = holds;
        true
    }

    pub(super) fn forget(&self, entry: &Entry) {
        self.0.lock().remove(entry);
    }

    /// Forgets those that were not asked for within this time.
    pub(super) fn forget_unnamed(&self, ttl: Duration) -> Vec<HolderId> {
        let now = Instant::now();
        let mut gone = Vec::new();
        self.0.lock().retain(|entry, our| {
            let is_named = now < our.named + ttl;
            if !is_named {
                gone.push(entry.holder());
            }
            is_named
        });
        gone
    }

    /// Forgets those that ended with their session.
    pub(super) fn forget_all_but(&self, session: Option<i64>) {
        self.0.lock().retain(|_, our| Some(our.session) == session);
    }

    /// All that are here.
    pub(super) fn all(&self) -> HashMap<Entry, Our> {
        self.0.lock().clone()
    }
}
