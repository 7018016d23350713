//! What goes wrong with a log, and what state it leaves things in.

use std::error::Error;
use std::fmt;
use std::io;

use crate::transaction::id::Epoch;

/// A record that cannot be: too large for the log. Nothing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The key is longer than [`SubjectKey::LEN_MAX`](super::SubjectKey::LEN_MAX). Shorten it, or
    /// use a digest of it.
    #[error("a subject's key of {len} bytes is too long")]
    KeyTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// The payload is longer than [`Record::PAYLOAD_LEN_MAX`](super::Record::PAYLOAD_LEN_MAX).
    /// Keep the bulk elsewhere, and its name in the record.
    #[error("a payload of {len} bytes is too long")]
    PayloadTooLong {
        /// Its length in bytes.
        len: usize,
    },
}

/// A log that was not opened or not closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another process, or another handle of this one, has the log open. Nothing was changed. Let
    /// it close, or end it; the lock goes with the process that holds it.
    #[error("the log is in use by another")]
    Locked,
    /// There is no log, and none was to be created. No segment was made. See whether the right
    /// directory is mounted.
    #[error("there is no log here")]
    Missing,
    /// The directory holds segments of more than one log. Nothing was changed. Find out which is
    /// the one, and move the others away.
    #[error("segments of several logs lie together")]
    Mixed,
    /// A durable part of the log cannot be read. Nothing was changed, and nothing will be: the
    /// transactions that the rest tells of may not be all. Restore the log from a copy, as its
    /// documentation says, or decide what is in doubt by hand.
    #[error("{segment} is damaged at byte {offset}: {flaw}")]
    Damaged {
        /// The file's name.
        segment: String,
        /// Where, in bytes from its start.
        offset: u64,
        /// What is wrong there.
        flaw: Flaw,
    },
    /// A later version of this crate has written the log. Nothing was changed. Open it with that.
    #[error("{segment} has format {version}, which is newer than this crate")]
    Newer {
        /// The file's name.
        segment: String,
        /// Its format.
        version: u32,
    },
    /// The server, its tables or its user do not do, or the URL leads nowhere. No log was changed,
    /// and no epoch raised. Mend it, and open again.
    #[error("the log's server does not do as it is")]
    Unfit(#[source] Box<dyn Error + Send + Sync>),
    /// A record in the log's table makes no sense. The epoch was raised, and nobody has acted in it.
    /// The transactions that the others tell of may not be all: restore the database, or decide what
    /// is in doubt by hand.
    #[error("the record {lsn} cannot be read")]
    Unreadable {
        /// Its number in the table.
        lsn: i64,
    },
    /// There is no epoch after the last one, or no segment. Nothing was changed. The log is at
    /// its end: finish what it holds with another tool, and begin a new one.
    #[error("the log's numbers are used up")]
    Exhausted,
    /// There is no room for the segment that an opening needs. What the log holds stands. Make
    /// room, and open again.
    #[error("no space for a new segment")]
    Full(#[source] io::Error),
    /// The system failed. Opening: the epoch may have been raised; nobody has acted in it. Open
    /// again. Closing: the log is closed, and may lack its seal, as after a crash; what was
    /// durable stands.
    #[error("{operation} failed")]
    Io {
        /// What was being done.
        operation: Operation,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Opening again: another has opened the log since. Nothing was changed. Opening: another has
    /// opened it meanwhile. Either way, end what this epoch does: its successor looks after it.
    /// Closing: another epoch has the log open, or none has. Nothing was changed.
    #[error("epoch {epoch} does not have the log open")]
    Superseded {
        /// The epoch of the caller.
        epoch: Epoch,
    },
    /// Closing: an append or a sync had failed. The log is closed without a seal, as after a
    /// crash. Open it to learn what it holds.
    #[error("the log had failed before")]
    Poisoned,
    /// The writer has ended before it answered. As after a crash: the log may or may not have been
    /// opened or closed. Start another.
    #[error("the log's writer has ended")]
    Gone,
}

/// An append or a reservation that was not confirmed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Another epoch has the log open. *Not appended, and never will be.* End what this epoch
    /// does: its successor looks after it.
    #[error("epoch {epoch} has been superseded")]
    Superseded {
        /// The epoch of the caller.
        epoch: Epoch,
    },
    /// The log is not open. *Not appended, and never will be.* Open it.
    #[error("the log is not open")]
    Closed,
    /// An earlier append or sync failed, and this one was still waiting; or it was refused itself. *Not appended, and never
    /// will be*, nor will anything until the log is opened again.
    #[error("the log has failed and needs to be opened again")]
    Poisoned,
    /// The log has no room beside what is reserved. *Not appended*; the log goes on. Refuse new
    /// work, and try again when there is room.
    #[error("the log has no room for {bytes} more bytes")]
    Full {
        /// What was asked for.
        bytes: u64,
        /// What the system said, if it was asked.
        #[source]
        source: Option<io::Error>,
    },
    /// More than one append or one reservation may have. *Not appended.* Divide it.
    #[error("{bytes} bytes are more than {bytes_max} at a time")]
    TooLarge {
        /// What was asked for.
        bytes: u64,
        /// The most there may be.
        bytes_max: u64,
    },
    /// It was handed to the system, and writing or syncing failed. *It may have been appended.*
    /// Do not act on either; open the log again, and see.
    #[error("the log failed while appending")]
    Unknown(#[source] io::Error),
    /// The writer has ended before it answered. *It may have been appended.* Start another log on
    /// the same place, and see.
    #[error("the log's writer has ended")]
    Gone,
}

impl AppendError {
    /// Whether the records were not appended and never will be.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Superseded { .. }
            | Self::Closed
            | Self::Poisoned
            | Self::Full { .. }
            | Self::TooLarge { .. } => true,
            Self::Unknown(_) | Self::Gone => false,
        }
    }
}

/// What is wrong with a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The header is not one.
    #[error("the header cannot be read")]
    Header,
    /// The header names another segment or another log.
    #[error("the file has another segment's name")]
    Misnamed,
    /// The file is not as long as it was made.
    #[error("the file's length has changed")]
    Truncated,
    /// The seal of a clean shutdown is not whole, and all that it seals is. If the power went
    /// while the log was being closed, and for no other reason, write zeros over the last 512
    /// bytes of the segment, and open it as after any crash.
    #[error("the seal cannot be read")]
    Seal,
    /// The log was shut down cleanly, and is not as it was then.
    #[error("the segment has changed since it was sealed")]
    Sealed,
    /// These bytes were durable once.
    #[error("bytes that were durable cannot be read")]
    Durable,
    /// More of what cannot be read looks like frames than any log has written: records were made
    /// to look so. Whether it was durable was not looked for to the end. If the power went while
    /// they were written, and for no other reason, write zeros from the offset that is told up to
    /// the last 512 bytes of the segment, and open it as after any crash.
    #[error("bytes that cannot be read look like too many frames")]
    Crowded,
    /// A checksum fits, and what it covers makes no sense.
    #[error("a frame stands where it cannot")]
    Odd,
    /// A later version of this crate has written it.
    #[error("the format {version} is newer than this crate")]
    Newer {
        /// Its format.
        version: u32,
    },
}

/// What was asked of the system, as an error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Making and locking the log's place.
    Lock,
    /// Listing its files.
    List,
    /// Creating or zeroing a file.
    Preallocate,
    /// Opening a file.
    Open,
    /// Reading a file.
    Read,
    /// Writing a file.
    Write,
    /// Making a file's bytes durable.
    Sync,
    /// Making names durable.
    SyncDirectory,
    /// Giving a file its name.
    Rename,
    /// Removing a file.
    Remove,
    /// Starting the writer's thread.
    Spawn,
    /// Asking a server.
    Ask,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lock => "locking the log",
            Self::List => "listing the log's files",
            Self::Preallocate => "making a file of zeros",
            Self::Open => "opening a file",
            Self::Read => "reading a segment",
            Self::Write => "writing a segment",
            Self::Sync => "syncing a segment",
            Self::SyncDirectory => "syncing the directory",
            Self::Rename => "renaming a file",
            Self::Remove => "removing a file",
            Self::Spawn => "starting the writer",
            Self::Ask => "asking the server",
        })
    }
}
