//! A log that fails when it is told to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::transaction::Epoch;
use tripod::transaction::log::{
    AppendError, Durability, LogError, MemoryLog, Opened, Record, Reservation, TransactionLog,
};

#[derive(Clone, Debug)]
pub(crate) struct Failing {
    log: MemoryLog,
    fails: Arc<AtomicBool>,
    writes: bool,
}

impl Failing {
    /// `writes`: what it fails on is in the log all the same.
    pub(crate) fn over(log: MemoryLog, writes: bool) -> Self {
        Self {
            log,
            fails: Arc::default(),
            writes,
        }
    }

    /// The next forced append fails.
    pub(crate) fn fail(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }
}

impl Failing {
    /// Whether it has failed as it was told.
    pub(crate) fn has_failed(&self) -> bool {
        !self.fails.load(Ordering::SeqCst)
    }
}

impl TransactionLog for Failing {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.log.open(hint)
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        // Time for another to open it first.
        Box::pin(async move {
            sleep(Duration::from_millis(10)).await;
            self.log.reopen(after).await
        })
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let forced = durability == Durability::Forced;
        if !forced || !self.fails.swap(false, Ordering::SeqCst) {
            return self.log.append(epoch, records, durability, space);
        }
        Box::pin(async move {
            if self.writes {
                self.log.append(epoch, records, durability, space).await?;
            }
            Err(AppendError::Unknown(io::Error::other("as it was told")))
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.log.reserve(epoch, bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.close(epoch)
    }
}
