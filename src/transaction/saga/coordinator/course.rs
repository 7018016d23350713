//! How far a saga is, for those who wait for it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::codec::Finished;
use crate::transaction::log::AppendError;

/// How far a saga is for those who wait for it.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Its start is not durable yet.
    Starting,
    /// Its start did not become durable.
    NotStarted(Arc<AppendError>),
    /// It is under way, or waits for somebody.
    UnderWay,
    Ended(Arc<Finished>),
    /// Nobody here knows any more.
    Lost,
}

/// Its stages, one after the other: the same through all epochs.
///
/// A channel of tokio's would do, and takes five times the memory.
pub(super) struct Course {
    stage: Mutex<Stage>,
    changed: Notify,
}

impl Course {
    pub(super) fn new(stage: Stage) -> Arc<Self> {
        Arc::new(Self {
            stage: Mutex::new(stage),
            changed: Notify::new(),
        })
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage.lock().clone()
    }

    /// Goes on to this one, if it is at one of those. Whether it did.
    pub(super) fn turn(&self, from: impl FnOnce(&Stage) -> bool, to: Stage) -> bool {
        let mut stage = self.stage.lock();
        if !from(&stage) {
            return false;
        }
        let before = std::mem::replace(&mut *stage, to);
        drop(stage);
        drop(before);
        self.changed.notify_waiters();
        true
    }

    /// Nobody here will know how it ends.
    pub(super) fn lose(&self) {
        let waits = |stage: &Stage| matches!(stage, Stage::Starting | Stage::UnderWay);
        self.turn(waits, Stage::Lost);
    }

    /// Waits until it is at one of those.
    pub(super) async fn reach(&self, there: impl Fn(&Stage) -> bool) -> Stage {
        loop {
            // Made before the look, so that no change falls between.
            let changed = self.changed.notified();
            let stage = self.stage();
            if there(&stage) {
                return stage;
            }
            changed.await;
        }
    }
}
