//! A process that dies, as its log sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::future::BoxFuture;
use crate::transaction::id::Epoch;
use crate::transaction::log::{
    AppendError, Durability, LogError, MemoryLog, Opened, Record, Reservation, TransactionLog,
};

/// A log that takes so many appends, and then its process is dead.
#[derive(Clone, Debug)]
pub(super) struct Mortal {
    log: MemoryLog,
    left: Arc<AtomicU32>,
}

impl Mortal {
    /// Its process dies after so many records, or never.
    pub(super) fn after(records: Option<u32>) -> Self {
        Self {
            log: MemoryLog::new(),
            left: Arc::new(AtomicU32::new(records.unwrap_or(u32::MAX))),
        }
    }

    /// Its process is started again, and does not die any more.
    pub(super) fn start_again(&self) {
        self.log.crash();
        self.left.store(u32::MAX, Ordering::Release);
    }

    /// Waits until it is dead.
    pub(super) async fn death(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl TransactionLog for Mortal {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.log.open(hint)
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.log.reopen(after)
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(async move {
            self.log.append(epoch, records, durability, space).await?;
            let left = self.left.load(Ordering::Acquire);
            if left == u32::MAX {
                return Ok(());
            }
            let left = left.saturating_sub(1);
            self.left.store(left, Ordering::Release);
            if left == 0 {
                // It is written, and nobody is left to go on.
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.log.reserve(epoch, bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.close(epoch)
    }
}
