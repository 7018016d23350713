//! The trait that every log of a coordinator implements, and the logs of this crate.
//!
//! A log keeps [`Record`]s of [`Subject`]s and gives them no meaning. A record lives until its
//! subject ends; what lives is given back whenever the log is opened, however long ago it was
//! written. [`FileLog`] keeps them in a directory, `PostgresLog`, behind the feature `postgres`, in a
//! database, [`MemoryLog`] in memory.
//!
//! ```
//! use tripod::transaction::TransactionId;
//! use tripod::transaction::log::{Durability, MemoryLog, Record, Subject, TransactionLog};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let log = MemoryLog::new();
//! let opened = log.open(0).await?;
//! let epoch = opened.epoch();
//! let subject = Subject::Transaction(TransactionId::new(opened.coordinator(), epoch, 1));
//!
//! let begun = log.reserve(epoch, 4096).await?; // a full log refuses here, and only here
//! let decision = Record::new(subject.clone(), "commit")?;
//! log.append(epoch, vec![decision], Durability::Forced, Some(begun)).await?;
//!
//! log.crash();
//! let opened = log.open(0).await?;
//! assert_eq!(opened.live()[0].record().payload(), b"commit");
//! let end = vec![Record::end(subject)];
//! log.append(opened.epoch(), end, Durability::Unforced, None).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it grows
//!
//! With what is unfinished, and not with time: a record is dropped when its subject ends. What is
//! remembered of sagas that are over is bounded by their retention. [`FileLog`] writes segments one
//! after the other, carries what lives into a fresh one, and deletes the others; a log that keeps
//! growing has transactions that are parked, or a participant that is away. A full log refuses new
//! work and takes the decisions of what has begun.
//!
//! # Writing one
//!
//! The law stands at [`TransactionLog`]; the feature `conformance` tests it. What is easily got wrong:
//!
//! 1. *Durable is durable.* Whoever is told that a forced append is done tells others that it
//!    committed. A failed sync may have dropped what it was to write: refuse all further appends
//!    until the log is opened again.
//! 2. *An append that is not known is unknown.* Only what certainly will never be in the log is a
//!    definite error.
//! 3. *The epoch is raised before anything is read*, by compare-and-set, and every append is checked
//!    against it in the step that writes. A process that was paused appends after its successor has
//!    opened, or not at all.
//! 4. *What was reserved is there.* A decision must not fail for want of room.

mod bytes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod file;
mod frame;
mod front;
mod ledger;
mod live;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
mod reservation;
mod scan;
mod seeded;
mod segment;
mod storage;
mod waiting;

use std::fmt;
use std::sync::Arc;

use crate::future::BoxFuture;

use super::id::{CoordinatorId, Epoch};

pub(in crate::transaction) use bytes::{Reader, put_bytes_u16, put_bytes_u32};
pub use error::{AppendError, Flaw, LogError, Operation, RecordError};
pub use file::{FileLog, FileLogOptions, LogWriter};
pub use frame::FORMAT_VERSION;
pub use memory::MemoryLog;
#[cfg(feature = "postgres")]
pub use postgres::{ConnectPostgresLog, LogName, LogNameError, MigratePostgresLog, PostgresLog};
pub use record::{LiveRecord, Record, Subject, SubjectKey};
pub use reservation::{Reservation, SpaceKeeper};
#[cfg(test)]
#[allow(
    unused_imports,
    reason = "the test of the seeded faults is a program that has these sources as its own"
)]
pub(crate) use seeded::{Seeded, with};
pub use storage::{Directory, Storage, StorageFile, StorageLock};

/// The most [space](Record::space) of one append, in bytes: 4 MiB.
pub const APPEND_SPACE_MAX: u64 = 4 << 20;

/// The most that one call reserves, in bytes: 64 MiB. [`Reservation::absorb`] adds up several.
pub const RESERVATION_MAX: u64 = 64 << 20;

/// A durable log of records: the contract between a coordinator and what outlives it.
///
/// # The law
///
/// An implementor obeys every sentence here and at the methods; the feature `conformance` has a
/// test for each.
///
/// **Records.** A record lives from its append until a record of its subject is appended that ends
/// it. Nothing else ends one: not age, not number, not a new epoch. A subject that has ended may
/// begin again. Distinct subjects never meet.
///
/// **Epochs.** Each opening has an epoch greater than every one before it, durable before anybody
/// learns of it. At most one epoch may append: the last that was opened. What an earlier one has
/// under way when the next is opened was appended before that, or never is.
///
/// **Durable** is what outlives the process and a loss of power, as far as
/// [`Persistence`] goes. What is appended is durable in the order in which it was appended: with
/// an append, all before it.
///
/// **Failures.** After an append or a sync has failed, nothing is appended until the log is opened
/// again. What any error lets the caller conclude stands at [`AppendError`] and [`LogError`].
///
/// **Dropped futures.** A future that is dropped may have had its effect, may not have, and may
/// still have it later, whole; nothing else comes of it. Every call ends by itself.
///
/// Use it through `Arc<dyn TransactionLog>`, `Box<dyn TransactionLog>` or by value: all forward.
pub trait TransactionLog: fmt::Debug + Send + Sync + 'static {
    /// Opens the log for a new epoch: one more than the last, or `hint` if that is greater.
    /// Creates the log, with a coordinator id of random bits, if there is none. Answers the
    /// coordinator id, which stays the same for the life of the log; the epoch; and all that
    /// lives, in the order in which it was appended, with the epochs that wrote it.
    ///
    /// A log that is open already, or has failed, is opened again by the same call.
    ///
    /// # Errors
    /// The log is not open. The epoch may have been used up; nobody has acted in it.
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>>;

    /// Opens the log again, as [`open`](Self::open) with a hint of 0 does, if nobody else has opened
    /// it since the epoch `after`. A reopening after the same epoch was not somebody else's: its
    /// answer may have been lost. Creates no log. For whoever had the log open in that epoch.
    ///
    /// # Errors
    /// [`LogError::Superseded`] if somebody else has opened it: no epoch is used up, and whoever has
    /// the log open has it still. Any other error is one of [`open`](Self::open).
    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>>;

    /// Appends these records, all or none, in their order, after all appends that were confirmed
    /// before. A forced append returns when it is durable. One that is not forced may return
    /// earlier, and is durable with the next forced one at the latest. No records, forced, make
    /// durable what was appended before.
    ///
    /// `space` covers what it covers; for the rest there must be room beside all reservations.
    /// What is left of it is given back. A reservation of another log, or of an earlier opening,
    /// covers nothing.
    ///
    /// # Errors
    /// [`AppendError::is_definite`] tells whether the records may have been appended.
    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>>;

    /// Sets space aside, in bytes of [`Record::space`], so that no append that it covers fails
    /// for want of it. It lasts until it is used, dropped, or the log is opened again.
    ///
    /// # Errors
    /// Nothing was set aside.
    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>>;

    /// Ends this epoch cleanly: all that was appended is durable when this returns. Nothing is
    /// appended until the log is opened again.
    ///
    /// # Errors
    /// What was durable stands. Of an epoch that is not the open one, nothing happens.
    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>>;
}

/// When an append returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Once it is durable.
    Forced,
    /// Once nothing but a failure keeps it from becoming durable with the next forced one.
    Unforced,
}

/// What a log outlives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Persistence {
    /// The coordinator, but not its process.
    Process,
    /// The process, and a loss of power.
    Storage,
}

/// A log that has been opened.
#[derive(Clone, Debug)]
pub struct Opened {
    coordinator: CoordinatorId,
    epoch: Epoch,
    live: Vec<LiveRecord>,
    persistence: Persistence,
}

impl Opened {
    /// For implementors of logs.
    #[must_use]
    pub fn new(
        coordinator: CoordinatorId,
        epoch: Epoch,
        live: Vec<LiveRecord>,
        persistence: Persistence,
    ) -> Self {
        Self {
            coordinator,
            epoch,
            live,
            persistence,
        }
    }

    /// Whose log it is.
    #[must_use]
    pub fn coordinator(&self) -> CoordinatorId {
        self.coordinator
    }

    /// The epoch that may append now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All that lives, in the order in which it was appended.
    #[must_use]
    pub fn live(&self) -> &[LiveRecord] {
        &self.live
    }

    /// All that lives, to be kept.
    #[must_use]
    pub fn into_live(self) -> Vec<LiveRecord> {
        self.live
    }

    /// What the log outlives.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        self.persistence
    }
}

/// Refuses what is more than may be asked for at a time.
fn limit(bytes: u64, bytes_max: u64) -> Result<(), AppendError> {
    if bytes > bytes_max {
        return Err(AppendError::TooLarge { bytes, bytes_max });
    }
    Ok(())
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<L: TransactionLog + ?Sized> TransactionLog for $pointer<L> {
            fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
                (**self).open(hint)
            }

            fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
                (**self).reopen(after)
            }

            fn append(
                &self,
                epoch: Epoch,
                records: Vec<Record>,
                durability: Durability,
                space: Option<Reservation>,
            ) -> BoxFuture<'_, Result<(), AppendError>> {
                (**self).append(epoch, records, durability, space)
            }

            fn reserve(
                &self,
                epoch: Epoch,
                bytes: u64,
            ) -> BoxFuture<'_, Result<Reservation, AppendError>> {
                (**self).reserve(epoch, bytes)
            }

            fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
                (**self).close(epoch)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
