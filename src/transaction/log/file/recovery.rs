//! Opening a log: what is read, in which order, and what must be durable before anybody acts.
//!
//! 1. The place is locked. List its files, and make their names durable: what is seen now is what a
//!    loss of power would leave.
//! 2. Read the last segment. Earlier ones are void: the last got its name only after all that
//!    lived in them was durable in it.
//! 3. Find a spare file of zeros, write to it what lives, the epoch and the cut, sync it, rename it
//!    to the next segment, sync the directory. Until here a crash leaves everything as it was,
//!    and nobody has acted on what was read.
//! 4. Make a spare file of the segment that was read; remove earlier ones.

use std::sync::Arc;

use crate::transaction::id::{CoordinatorId, Epoch};

use super::super::bytes::len_u64;
use super::super::error::{Flaw, LogError, Operation};
use super::super::frame::Lsn;
use super::super::ledger::Ledger;
use super::super::live::Live;
use super::super::scan::{OVERHEAD, Scan, Wound, scan};
use super::super::seeded::{self, Seeded};
use super::super::segment::{HEADER, SegmentName, check_header};
use super::super::storage::{Storage, StorageLock};
use super::FileLogOptions;
use super::journal::{Journal, Opening, begin};
use super::spare::{
    During, GROWING, SPARE, Spare, find, len_desired, prepare, recycle, rename, round_up, suits,
};

/// Opens the log, which is locked, for a new epoch: at least `hint`, and only if the last one is
/// `after`, where that is said: it is taken once that was seen.
pub(super) fn open(
    storage: &Arc<dyn Storage>,
    options: FileLogOptions,
    hint: u64,
    after: &mut Option<Epoch>,
) -> Result<Journal, LogError> {
    let names = storage.list().during(Operation::List)?;
    storage.sync_directory().during(Operation::SyncDirectory)?;
    let segments = segments(&names)?;
    let latest = if seeded::has(Seeded::ReadsTheOldest) {
        segments.first()
    } else {
        segments.last()
    };
    let past = past(&**storage, latest.copied(), options)?;
    if let Some(epoch) = after.filter(|after| after.as_u64() != past.epoch) {
        return Err(LogError::Superseded { epoch });
    }
    *after = None;
    let opening = past.next(hint)?;
    let spare = obtain(&**storage, &names, &segments, options, past.live.space())?;
    if seeded::has(Seeded::LeavesBeforeItHasArrived) {
        for old in &segments {
            discard(&**storage, &old.to_text());
        }
    }
    let (active, last) = begin(&**storage, spare, opening, &past.live)?;
    let ledger = Arc::new(Ledger::new(active.room(), past.live.space()));
    for old in &segments {
        if past.segment.as_ref().is_none_or(|(name, _)| name != old) {
            discard(&**storage, &old.to_text());
        }
    }
    let mut journal = Journal {
        storage: Arc::clone(storage),
        segment_len_min: options.segment_len_min,
        full_pause: options.full_pause,
        full_at: None,
        epoch: opening.epoch,
        live: past.live,
        ledger,
        active,
        spare: None,
        retired: past.segment,
        next: last.next(),
        durable: last,
        batch: Vec::new(),
    };
    journal.tidy();
    if journal.spare.is_none() {
        // A log that was just created has retired nothing. Without one, it has less room.
        if let Err(error) = journal.provision(0) {
            tracing::warn!(%error, "no spare segment could be made");
        }
    }
    Ok(journal)
}

/// Sees to it that nobody else has the log while this lives.
pub(super) fn lock(
    storage: &dyn Storage,
    options: FileLogOptions,
) -> Result<Box<dyn StorageLock>, LogError> {
    match storage.lock(options.create) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(LogError::Locked),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !options.create => {
            Err(LogError::Missing)
        }
        Err(error) => Err(error).during(Operation::Lock),
    }
}

/// The segments among these files, in their order.
fn segments(names: &[String]) -> Result<Vec<SegmentName>, LogError> {
    let mut segments: Vec<_> = names
        .iter()
        .filter_map(|name| SegmentName::parse(name))
        .collect();
    segments.sort_unstable();
    let mut ids = segments.iter().map(|segment| segment.coordinator);
    let first = ids.next();
    if ids.any(|id| Some(id) != first) {
        return Err(LogError::Mixed);
    }
    Ok(segments)
}

/// What the epochs before have left.
struct Past {
    coordinator: CoordinatorId,
    number: u64,
    epoch: u64,
    live: Live,
    cut: Lsn,
    segment: Option<(SegmentName, Spare)>,
}

impl Past {
    fn next(&self, hint: u64) -> Result<Opening, LogError> {
        let step = u64::from(self.epoch == 0 || !seeded::has(Seeded::KeepsTheEpoch));
        let epoch = self.epoch.checked_add(step).map(|next| next.max(hint));
        let number = self.number.checked_add(1).ok_or(LogError::Exhausted)?;
        Ok(Opening {
            name: SegmentName {
                coordinator: self.coordinator,
                number,
            },
            epoch: epoch.and_then(Epoch::new).ok_or(LogError::Exhausted)?,
            cut: self.cut,
        })
    }
}

fn past(
    storage: &dyn Storage,
    last: Option<SegmentName>,
    options: FileLogOptions,
) -> Result<Past, LogError> {
    let Some(name) = last else {
        if !options.create {
            return Err(LogError::Missing);
        }
        return Ok(Past {
            coordinator: CoordinatorId::random(),
            number: 0,
            epoch: 0,
            live: Live::default(),
            cut: Lsn(1),
            segment: None,
        });
    };
    let text = name.to_text();
    let mut file = storage.open(&text).during(Operation::Open)?;
    let len = file.length().during(Operation::Read)?;
    let mut spare = Spare { file, len };
    let bytes = read(&mut spare, name)?;
    let Scan {
        epoch,
        live,
        cut,
        torn,
        sealed,
    } = scan(&bytes, name).map_err(|wound| damaged(name, wound))?;
    tracing::info!(segment = %text, %epoch, sealed, live = live.len(), "a log is opened");
    if let Some(offset) = torn {
        tracing::warn!(segment = %text, offset, "a torn tail is cut: nobody was told of it");
    }
    file = spare.file;
    Ok(Past {
        coordinator: name.coordinator,
        number: name.number,
        epoch: epoch.as_u64(),
        live,
        cut,
        segment: Some((name, Spare { file, len })),
    })
}

/// The whole segment. Its header is read first, so that a length that is not its own makes
/// nothing be allocated.
fn read(spare: &mut Spare, name: SegmentName) -> Result<Vec<u8>, LogError> {
    let truncated = || {
        damaged(
            name,
            Wound {
                offset: 0,
                flaw: Flaw::Truncated,
            },
        )
    };
    let mut header = [0; HEADER];
    if spare.len < len_u64(HEADER) {
        return Err(truncated());
    }
    let read = spare.file.read_at(0, &mut header);
    read.during(Operation::Read)?;
    check_header(&header, name, spare.len)
        .map_err(|flaw| damaged(name, Wound { offset: 0, flaw }))?;
    let len = usize::try_from(spare.len).map_err(|_| truncated())?;
    let mut bytes = Vec::new();
    let reserved = bytes.try_reserve_exact(len);
    reserved
        .map_err(std::io::Error::other)
        .during(Operation::Read)?;
    bytes.resize(len, 0);
    let read = spare.file.read_at(0, &mut bytes);
    read.during(Operation::Read)?;
    Ok(bytes)
}

fn damaged(name: SegmentName, wound: Wound) -> LogError {
    let segment = name.to_text();
    match wound.flaw {
        Flaw::Newer { version } => LogError::Newer { segment, version },
        flaw @ (Flaw::Header
        | Flaw::Misnamed
        | Flaw::Truncated
        | Flaw::Seal
        | Flaw::Sealed
        | Flaw::Durable
        | Flaw::Crowded
        | Flaw::Odd) => LogError::Damaged {
            segment,
            offset: wound.offset,
            flaw,
        },
    }
}

/// A spare file for the next segment: the one that is there, or a new one; on a full disk the
/// place of what nobody needs any more, and a shorter one.
fn obtain(
    storage: &dyn Storage,
    names: &[String],
    segments: &[SegmentName],
    options: FileLogOptions,
    live: u64,
) -> Result<Spare, LogError> {
    let needed = OVERHEAD.saturating_add(live);
    let desired = len_desired(needed, options.segment_len_min);
    let has = |file: &str| names.iter().any(|name| name == file);
    if has(GROWING) {
        discard(storage, GROWING);
    }
    let present = if has(SPARE) {
        Some(find(storage)?)
    } else {
        None
    };
    let present = match present {
        Some(spare) if suits(spare.len, desired) => return recycle(storage, SPARE, spare),
        other => other.filter(|spare| suits(spare.len, round_up(needed))),
    };
    let prepared = match (prepare(storage, desired), present) {
        (Err(LogError::Full(_)), Some(spare)) => return recycle(storage, SPARE, spare),
        (Err(LogError::Full(_)), None) => {
            let (_last, void) = segments.split_last().unzip();
            for old in void.unwrap_or_default() {
                discard(storage, &old.to_text());
            }
            if has(SPARE) {
                discard(storage, SPARE);
            }
            prepare(storage, round_up(needed))?
        }
        (other, _) => other?,
    };
    // If this fails, the name may be that of either file, however full the disk is.
    rename(storage, GROWING, SPARE)?;
    Ok(prepared)
}

/// Removes what nobody needs. If it stays, the next opening tries again.
fn discard(storage: &dyn Storage, name: &str) {
    if let Err(error) = storage.remove(name) {
        tracing::warn!(name, %error, "a file that is not needed could not be removed");
    }
}
