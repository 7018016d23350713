//! A log in memory, for tests and for what need not outlive its process.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::future::BoxFuture;
use crate::transaction::id::{CoordinatorId, Epoch};

use super::error::{AppendError, LogError};
use super::live::Live;
use super::record::Record;
use super::reservation::{Reservation, SpaceKeeper};
use super::{
    APPEND_SPACE_MAX, Durability, Opened, Persistence, RESERVATION_MAX, TransactionLog, limit,
};

/// A log in memory. Clones are handles of the same log; it lasts as long as any of them.
///
/// *It does not outlive the process*: after that, nobody knows what was decided. With
/// [`crash`](Self::crash) it stands in for a durable log in tests.
///
/// An append or a reservation is made when it is called, and its future only tells what came of it.
#[derive(Clone)]
pub struct MemoryLog(Arc<Mutex<Memory>>);

struct Memory {
    coordinator: CoordinatorId,
    epoch: u64,
    /// The epoch that the last opening came after, if it was a reopening.
    after: Option<Epoch>,
    open: bool,
    durable: Live,
    /// What was appended after the last forced append.
    pending: Vec<(Epoch, Record)>,
    pending_space: u64,
    room: Arc<Room>,
    space_max: u64,
}

/// So many unforced records wait for a forced one; then they are durable without it, so that a
/// caller who never forces does not fill the memory with what has ended.
const PENDING_MAX: usize = 1024;

/// What one opening has reserved.
#[derive(Debug, Default)]
struct Room {
    reserved: Mutex<u64>,
}

impl SpaceKeeper for Room {
    fn give_back(&self, bytes: u64) {
        let mut reserved = self.reserved.lock();
        *reserved = reserved.saturating_sub(bytes);
    }
}

impl MemoryLog {
    /// A new log. Memory is its only limit.
    #[must_use]
    pub fn new() -> Self {
        Self::with_space(u64::MAX)
    }

    /// A new log that holds at most so many bytes of [space](Record::space), reservations
    /// included.
    #[must_use]
    pub fn with_space(bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Memory {
            coordinator: CoordinatorId::random(),
            epoch: 0,
            after: None,
            open: false,
            durable: Live::default(),
            pending: Vec::new(),
            pending_space: 0,
            room: Arc::default(),
            space_max: bytes,
        })))
    }

    /// What a loss of power does: the log is no longer open, and what was appended unforced since
    /// the last forced append is gone.
    pub fn crash(&self) {
        let mut memory = self.0.lock();
        memory.open = false;
        memory.pending.clear();
        memory.pending_space = 0;
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    fn reopen(&mut self, after: Epoch) -> Result<Opened, LogError> {
        if self.epoch != after.as_u64() && self.after != Some(after) {
            return Err(LogError::Superseded { epoch: after });
        }
        let opened = self.open(0)?;
        self.after = Some(after);
        Ok(opened)
    }

    fn open(&mut self, hint: u64) -> Result<Opened, LogError> {
        let next = self.epoch.checked_add(1).map(|next| next.max(hint));
        let epoch = next.and_then(Epoch::new).ok_or(LogError::Exhausted)?;
        self.settle();
        self.epoch = epoch.as_u64();
        self.after = None;
        self.open = true;
        self.room = Arc::default();
        let live = self.durable.in_order().collect();
        let coordinator = self.coordinator;
        Ok(Opened::new(coordinator, epoch, live, Persistence::Process))
    }

    fn admit(&self, epoch: Epoch) -> Result<(), AppendError> {
        if !self.open {
            return Err(AppendError::Closed);
        }
        if self.epoch != epoch.as_u64() {
            return Err(AppendError::Superseded { epoch });
        }
        Ok(())
    }

    fn settle(&mut self) {
        for (epoch, record) in self.pending.drain(..) {
            self.durable.apply(epoch, record);
        }
        self.pending_space = 0;
    }

    fn keeper(&self) -> Arc<dyn SpaceKeeper> {
        let keeper: Arc<Room> = Arc::clone(&self.room);
        keeper
    }

    /// Whether there is room for so many bytes beside what lives, may yet live and is reserved.
    fn fit(&self, reserved: u64, bytes: u64) -> Result<(), AppendError> {
        let used = self.durable.space().saturating_add(self.pending_space);
        let all = used.saturating_add(reserved).saturating_add(bytes);
        if all > self.space_max {
            return Err(AppendError::Full {
                bytes,
                source: None,
            });
        }
        Ok(())
    }

    /// Sets so many bytes aside.
    fn reserve(&self, epoch: Epoch, bytes: u64) -> Result<Reservation, AppendError> {
        limit(bytes, RESERVATION_MAX)?;
        self.admit(epoch)?;
        let mut reserved = self.room.reserved.lock();
        self.fit(*reserved, bytes)?;
        *reserved = reserved.saturating_add(bytes);
        Ok(Reservation::new(bytes, self.keeper()))
    }

    fn append(
        &mut self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> Result<(), AppendError> {
        let needed = records.iter().map(Record::space).sum();
        limit(needed, APPEND_SPACE_MAX)?;
        self.admit(epoch)?;
        let covered = space.map(|space| {
            let mut own = Reservation::new(0, self.keeper());
            own.absorb(space);
            own
        });
        let covers = covered.as_ref().map_or(0, Reservation::bytes);
        let reserved = *self.room.reserved.lock();
        self.fit(reserved, needed.saturating_sub(covers))?;
        if durability == Durability::Forced {
            self.settle();
            for record in records {
                self.durable.apply(epoch, record);
            }
            return Ok(());
        }
        let records = records.into_iter().map(|record| (epoch, record));
        self.pending.extend(records);
        self.pending_space = self.pending_space.saturating_add(needed);
        if self.pending.len() >= PENDING_MAX {
            self.settle();
        }
        Ok(())
    }
}

impl TransactionLog for MemoryLog {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(async move { self.0.lock().open(hint) })
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        Box::pin(async move { self.0.lock().reopen(after) })
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        let appended = self.0.lock().append(epoch, records, durability, space);
        Box::pin(ready(appended))
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        let reserved = self.0.lock().reserve(epoch, bytes);
        Box::pin(ready(reserved))
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        Box::pin(async move {
            let mut memory = self.0.lock();
            if memory.admit(epoch).is_err() {
                return Err(LogError::Superseded { epoch });
            }
            memory.settle();
            memory.open = false;
            Ok(())
        })
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.0.lock();
        f.debug_struct("MemoryLog")
            .field("epoch", &memory.epoch)
            .field("open", &memory.open)
            .field("live", &memory.durable.len())
            .finish_non_exhaustive()
    }
}
