//! A log in files of this machine.

mod journal;
mod recovery;
mod spare;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::future::BoxFuture;
use crate::transaction::id::Epoch;

use super::error::{AppendError, LogError, Operation};
use super::front::Front;
use super::record::Record;
use super::reservation::Reservation;
use super::storage::{Directory, Storage};
use super::{Durability, Opened, TransactionLog};
use spare::During;

pub use writer::LogWriter;

/// A log in a directory of its own: the embedded default.
///
/// One thread writes. What was queued while it synced goes out in one write and one `fdatasync`
/// (group commit), so the cost of a sync is shared by all who wait for it.
///
/// # Files
///
/// `lock`, which is locked while the log is open; one segment, `<coordinator>-<number>.segment`;
/// `spare`, the space for the next; for moments `growing`, and the segment before. Other files are
/// left alone. A segment is followed by the next one when it is full: all that lives is copied,
/// and the old one becomes the spare one. So the log takes the space of two segments, each
/// of [`segment_len`](FileLogOptions::segment_len) or, if that is more, twice to eight times what
/// lives and is reserved; and as much memory as what lives.
///
/// # What is found after a crash
///
/// Every frame says which frames were durable when it was written. Bytes that cannot be read are
/// *damage* if a later frame says that they were durable, or if the log was shut down cleanly
/// ([`close`](TransactionLog::close)): opening fails, with file and offset. Otherwise they are what
/// a crash has left of a batch that nobody was told of, and are cut. What a disk does to
/// the very last batch after a crash, and after that batch was durable, cannot be told from that.
///
/// So with a shutdown that the power interrupts: a seal of which words are missing is cut, if all
/// that it seals is there. One with any other bit flipped cannot be told from one that was whole
/// when the shutdown had returned, and is damage: [`Flaw::Seal`](super::Flaw::Seal) says what to do.
///
/// # Copies
///
/// To back a log up: [`close`](TransactionLog::close) it, or take a snapshot of the file system
/// that is atomic over the directory; copy every `.segment` file. A copy taken file by file while
/// the log is open may be damaged, and may miss the newest segment.
///
/// A copy is *the past*. What was decided after it was taken is not in it: transactions it shows
/// as undecided may have been committed. So a log that is opened from a copy raises its epoch from
/// what the copy knew, and participants, which remember the highest epoch that they have seen of
/// this coordinator, refuse it if the original had been opened since. To restore one on purpose,
/// make sure that the original is gone for good, settle by hand what the participants have in
/// doubt, and open the copy with a hint above the highest epoch any of them has seen. Never run
/// a copy beside its original.
///
/// # Handles
///
/// Those who wait for appends in tasks of one `tokio` runtime are told by a task of that runtime: one
/// that blocks its runtime's only thread until an append is done may wait for ever.
///
/// Clones are handles of the same log. When the last is gone, the writer does what is queued and
/// ends, and the lock goes with it a moment later. A log that was not closed opens like one after
/// a crash of the process: nothing durable is missing.
#[derive(Clone)]
pub struct FileLog(Front);

/// How a [`FileLog`] uses its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLogOptions {
    segment_len_min: u64,
    create: bool,
    full_pause: Duration,
}

impl Default for FileLogOptions {
    fn default() -> Self {
        Self {
            segment_len_min: 4 << 20,
            create: true,
            full_pause: Duration::from_secs(1),
        }
    }
}

impl FileLogOptions {
    /// How long segments are at least, in bytes, rounded up to 4096. Default 4 MiB; from 4 KiB to
    /// 1 GiB, what is outside is taken as the nearest. Longer ones are followed by the next more
    /// rarely, which takes a few syncs and as many bytes of zeros; shorter ones take less disk.
    #[must_use]
    pub fn segment_len(mut self, bytes: u64) -> Self {
        self.segment_len_min = spare::round_up(bytes.min(1 << 30));
        self
    }

    /// Whether to create the log where there is none. Default true. Say false once it must be
    /// there: then a directory that was not mounted is an error, and not a new log which knows
    /// of nothing that is in doubt.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// For how long a disk that was found full is taken to be so: what needs more of it is refused
    /// without asking. Default 1 s, any value. Shorter notices sooner that there is room; longer
    /// spares the writer the attempts, each of which holds up what is queued.
    #[must_use]
    pub fn full_pause(mut self, pause: Duration) -> Self {
        self.full_pause = pause;
        self
    }
}

impl FileLog {
    /// A log in this directory, with a thread that writes. Nothing is touched before it is
    /// [opened](TransactionLog::open).
    ///
    /// # Errors
    /// [`LogError::Io`]: there can be no further thread.
    pub fn start(directory: impl Into<PathBuf>, options: FileLogOptions) -> Result<Self, LogError> {
        let (log, writer) = Self::on(Directory::new(directory), options);
        thread::Builder::new()
            .name("tripod-log".into())
            .spawn(move || writer.run())
            .during(Operation::Spawn)?;
        Ok(log)
    }

    /// A log on this storage, and its writer, which the caller runs.
    #[must_use = "nothing happens before the writer runs"]
    pub fn on(storage: impl Storage, options: FileLogOptions) -> (Self, LogWriter) {
        let (front, queue, session) = Front::new();
        let writer = LogWriter::new(Arc::new(storage), options, queue, session);
        (Self(front), writer)
    }
}

impl TransactionLog for FileLog {
    fn open(&self, hint: u64) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.0.open(hint)
    }

    fn reopen(&self, after: Epoch) -> BoxFuture<'_, Result<Opened, LogError>> {
        self.0.reopen(after)
    }

    fn append(
        &self,
        epoch: Epoch,
        records: Vec<Record>,
        durability: Durability,
        space: Option<Reservation>,
    ) -> BoxFuture<'_, Result<(), AppendError>> {
        self.0.append(epoch, records, durability, space)
    }

    fn reserve(&self, epoch: Epoch, bytes: u64) -> BoxFuture<'_, Result<Reservation, AppendError>> {
        self.0.reserve(epoch, bytes)
    }

    fn close(&self, epoch: Epoch) -> BoxFuture<'_, Result<(), LogError>> {
        self.0.close(epoch)
    }
}

impl fmt::Debug for FileLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLog")
            .field("epoch", &self.0.epoch())
            .finish_non_exhaustive()
    }
}
