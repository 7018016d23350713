//! What trouble with the server means for a log.

use std::io;

use tokio_postgres::error::SqlState;

use crate::postgres::{NoWay, SchemaTrouble};
use crate::transaction::postgres::{Trouble, unfit as unfit_until};

use super::super::error::{AppendError, LogError, Operation};

pub(super) fn no_way(error: NoWay) -> LogError {
    LogError::Unfit(error.into())
}

/// What a migration or a check that did not end well means.
pub(super) fn unfit(error: SchemaTrouble) -> LogError {
    match unfit_until(error, "PostgresLog::migrate") {
        Ok(why) => LogError::Unfit(why),
        Err(why) => failed(why),
    }
}

/// What trouble means for an opening that has not raised the epoch.
pub(super) fn asking(trouble: Trouble) -> LogError {
    if trouble.is_refusal() {
        LogError::Unfit(trouble.into_source())
    } else {
        failed(trouble.into_source())
    }
}

/// What trouble means once the epoch is raised, or the log is no longer open: whoever refuses, more
/// was done than nothing.
pub(super) fn since(trouble: Trouble) -> LogError {
    failed(trouble.into_source())
}

fn failed(why: Box<dyn std::error::Error + Send + Sync>) -> LogError {
    LogError::Io {
        operation: Operation::Ask,
        source: io::Error::other(why),
    }
}

/// What trouble means for an append.
#[derive(Clone)]
pub(super) enum Verdict {
    /// It was not appended, for want of room, and the log is as it was.
    Full,
    /// It was not appended, and never will be.
    Never,
    /// It may have been appended, or may yet.
    Unknown,
}

impl Verdict {
    pub(super) fn of(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Server(_) if trouble.is(&SqlState::DISK_FULL) => Self::Full,
            // The server has undone the transaction, or was never asked for it.
            Trouble::Server(error) if error.is_undone => Self::Never,
            Trouble::Unsent(_) => Self::Never,
            Trouble::Server(_) | Trouble::Lost(_) => Self::Unknown,
        }
    }

    /// What each of those is told whose appends went together.
    pub(super) fn tell(&self, bytes: u64, why: &str) -> AppendError {
        let source = || io::Error::other(why.to_owned());
        match self {
            Self::Full => AppendError::Full {
                bytes,
                source: Some(source()),
            },
            Self::Never => AppendError::Poisoned,
            Self::Unknown => AppendError::Unknown(source()),
        }
    }
}
