//! Segments to come: files of zeros, whose space is taken before it is needed.

use std::io::{self, ErrorKind};

use super::super::error::{LogError, Operation};
use super::super::seeded::{self, Seeded};
use super::super::storage::{Storage, StorageFile};

/// The next segment, until it has something to say.
pub(super) const SPARE: &str = "spare";
/// What is about to become the spare one.
pub(super) const GROWING: &str = "growing";

/// Segments are so many bytes or a multiple: the pages of most file systems.
const GRAIN: u64 = 4096;

/// A file of zeros, all durable.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: Box<dyn StorageFile>,
    pub(super) len: u64,
}

/// Says what the system was doing when it failed.
pub(super) trait During<T> {
    fn during(self, operation: Operation) -> Result<T, LogError>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, operation: Operation) -> Result<T, LogError> {
        self.map_err(|source| {
            if [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].contains(&source.kind()) {
                return LogError::Full(source);
            }
            LogError::Io { operation, source }
        })
    }
}

/// The length of a segment that so many bytes must fit into: twice as long, so that copying what
/// lives is at most half of what is written.
pub(super) fn len_desired(needed: u64, len_min: u64) -> u64 {
    round_up(needed.saturating_mul(2).max(len_min))
}

/// The least length of a segment that so many bytes fit into.
pub(super) fn round_up(needed: u64) -> u64 {
    needed
        .max(GRAIN)
        .checked_next_multiple_of(GRAIN)
        .unwrap_or(u64::MAX)
}

/// Whether a file of this length can serve where this one is desired, and is no waste.
pub(super) fn suits(len: u64, desired: u64) -> bool {
    len >= desired && len / 4 <= desired && len.is_multiple_of(GRAIN)
}

/// A new spare segment of this length. The one before stays until this one takes its name.
pub(super) fn grow(storage: &dyn Storage, len: u64) -> Result<Spare, LogError> {
    let spare = prepare(storage, len)?;
    rename(storage, GROWING, SPARE)?;
    Ok(spare)
}

/// A file of zeros that has yet to take its name as the spare segment.
pub(super) fn prepare(storage: &dyn Storage, len: u64) -> Result<Spare, LogError> {
    let prepared = create(storage, len);
    if prepared.is_err() {
        // Its space may be what others need. What is left of it, the next opening removes.
        let _ = storage.remove(GROWING);
    }
    prepared
}

fn create(storage: &dyn Storage, len: u64) -> Result<Spare, LogError> {
    let mut file = storage.create(GROWING).during(Operation::Preallocate)?;
    file.preallocate(len).during(Operation::Preallocate)?;
    file.sync_data().during(Operation::Sync)?;
    Ok(Spare { file, len })
}

/// The file that has the name of the spare segment.
pub(super) fn find(storage: &dyn Storage) -> Result<Spare, LogError> {
    let file = storage.open(SPARE).during(Operation::Open)?;
    let len = file.length().during(Operation::Open)?;
    Ok(Spare { file, len })
}

/// A file under another name, durably. Whoever writes to it next must not find that it has its
/// old name after a loss of power.
pub(super) fn rename(storage: &dyn Storage, from: &str, to: &str) -> Result<(), LogError> {
    storage.rename(from, to).during(Operation::Rename)?;
    if seeded::has(Seeded::SyncsNoNames) {
        return Ok(());
    }
    storage.sync_directory().during(Operation::SyncDirectory)
}

/// A spare segment made of a file that is one already, or that held a segment of old.
pub(super) fn recycle(storage: &dyn Storage, name: &str, file: Spare) -> Result<Spare, LogError> {
    let Spare { mut file, len } = file;
    if name != SPARE {
        rename(storage, name, SPARE)?;
    }
    file.preallocate(len).during(Operation::Preallocate)?;
    file.sync_data().during(Operation::Sync)?;
    Ok(Spare { file, len })
}
