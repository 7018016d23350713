//! The log's files while they are open: which bytes go where, and when a new segment begins.
//! Synchronous; it decides nothing by time.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::transaction::id::Epoch;

use super::super::bytes::len_u64;
use super::super::error::{LogError, Operation};
use super::super::frame::{self, Body, Lsn, Place, Stamp};
use super::super::ledger::Ledger;
use super::super::live::Live;
use super::super::record::{LiveRecord, Record};
use super::super::reservation::Reservation;
use super::super::seeded::{self, Seeded};
use super::super::segment::{SEAL, Seal, SegmentName, header, seal};
use super::super::storage::{Storage, StorageFile};
use super::spare::{
    During, GROWING, SPARE, Spare, find, grow, len_desired, prepare, recycle, rename, round_up,
    suits,
};

/// An open log.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) segment_len_min: u64,
    pub(super) full_pause: Duration,
    /// When the disk was last found full.
    pub(super) full_at: Option<Instant>,
    pub(super) epoch: Epoch,
    pub(super) live: Live,
    pub(super) ledger: Arc<Ledger>,
    pub(super) active: Active,
    pub(super) spare: Option<Spare>,
    /// The segment before the active one, which nobody needs any more.
    pub(super) retired: Option<(SegmentName, Spare)>,
    pub(super) next: Lsn,
    pub(super) durable: Lsn,
    /// Frames that have yet to be written, from the end of the active segment on.
    pub(super) batch: Vec<u8>,
}

/// The segment in use.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) name: SegmentName,
    pub(super) place: Place,
    pub(super) file: Spare,
    /// Where the written frames end, in bytes.
    pub(super) end: u64,
}

impl Active {
    pub(super) fn room(&self) -> u64 {
        let seal = len_u64(SEAL);
        self.file.len.saturating_sub(seal).saturating_sub(self.end)
    }
}

/// What a new segment says of those before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) name: SegmentName,
    pub(super) epoch: Epoch,
    pub(super) cut: Lsn,
}

/// Makes the spare file the segment that stands for all before it: when this returns, it does.
/// Answers the segment, and the LSN of its last frame.
pub(super) fn begin(
    storage: &dyn Storage,
    mut spare: Spare,
    opening: Opening,
    live: &Live,
) -> Result<(Active, Lsn), LogError> {
    let Opening { name, epoch, cut } = opening;
    let place = Place::new(name.coordinator, name.number);
    let mut bytes = header(name, spare.len);
    let mut lsn = cut;
    // All of it is durable before the file has the name of a segment.
    let durable = Lsn(cut.0.saturating_sub(1));
    let stamp = |lsn| Stamp {
        lsn,
        epoch,
        durable,
    };
    let left_out = usize::from(seeded::has(Seeded::CarriesAllButOne));
    let mut carried = 0_u64;
    let kept = |live: &LiveRecord| {
        let age = epoch.as_u64().saturating_sub(live.epoch().as_u64());
        age < 2 || !seeded::has(Seeded::DropsByAge)
    };
    for record in live.in_order().skip(left_out).filter(kept) {
        let body = Body::Carried(record);
        frame::put(&mut bytes, 0, place, stamp(lsn), &body);
        lsn = lsn.next();
        carried = carried.saturating_add(1);
    }
    frame::put(
        &mut bytes,
        0,
        place,
        stamp(lsn),
        &Body::Opened { cut, carried },
    );
    spare.file.write_at(0, &bytes).during(Operation::Write)?;
    if !seeded::has(Seeded::NamesBeforeItSyncs) {
        spare.file.sync_data().during(Operation::Sync)?;
    }
    rename(storage, SPARE, &name.to_text())?;
    let active = Active {
        name,
        place,
        file: spare,
        end: len_u64(bytes.len()),
    };
    Ok((active, lsn))
}

impl Journal {
    /// Whether an append of so many bytes goes into the active segment.
    pub(super) fn fits(&self, frame_len: u64) -> bool {
        len_u64(self.batch.len()).saturating_add(frame_len) <= self.active.room()
    }

    pub(super) fn batch_len(&self) -> usize {
        self.batch.len()
    }

    /// Adds an append to the batch. It must fit. Gives the records back.
    pub(super) fn stage(&mut self, records: Vec<Record>, reservation: Reservation) -> Vec<Record> {
        let before = self.batch.len();
        let body = Body::Appended(records);
        let stamp = Stamp {
            lsn: self.next,
            epoch: self.epoch,
            durable: if seeded::has(Seeded::CallsDurableWhatIsNot) {
                Lsn(self.next.0.saturating_sub(1))
            } else {
                self.durable
            },
        };
        let base = usize::try_from(self.active.end).unwrap_or(usize::MAX);
        frame::put(&mut self.batch, base, self.active.place, stamp, &body);
        self.next = self.next.next();
        let records = match body {
            Body::Appended(records) => records,
            Body::Carried(_) | Body::Opened { .. } => Vec::new(),
        };
        for record in &records {
            self.live.apply(self.epoch, record.clone());
        }
        let written = len_u64(self.batch.len().saturating_sub(before));
        self.ledger.spend(reservation, written, self.live.space());
        records
    }

    /// Hands the batch to the system.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Active { file, end, .. } = &mut self.active;
        file.file.write_at(*end, &self.batch)?;
        *end = end.saturating_add(len_u64(self.batch.len()));
        self.batch.clear();
        // One huge batch should not hold its memory for ever.
        self.batch.shrink_to(BATCH_KEPT);
        Ok(())
    }

    /// Makes durable what was handed to the system.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let last = Lsn(self.next.0.saturating_sub(1));
        if self.durable < last {
            let file = &mut self.active.file.file;
            match file.sync_data() {
                Err(_) if seeded::has(Seeded::SyncsAgainAfterAFailure) => file.sync_data()?,
                synced => synced?,
            }
            self.durable = last;
        }
        Ok(())
    }

    /// Begins the spare segment with all that lives. The batch must be empty. Without a spare
    /// segment it fails; the ledger has seen to it that this does not happen.
    pub(super) fn roll(&mut self) -> Result<(), LogError> {
        let none = || io::Error::other("there is no spare segment");
        let spare = self.spare.take().ok_or_else(none);
        let spare = spare.during(Operation::Preallocate)?;
        let number = self.active.name.number.checked_add(1);
        let opening = Opening {
            name: SegmentName {
                number: number.ok_or(LogError::Exhausted)?,
                ..self.active.name
            },
            epoch: self.epoch,
            cut: self.next,
        };
        let (active, last) = begin(&*self.storage, spare, opening, &self.live)?;
        self.next = last.next();
        self.durable = last;
        let old = mem::replace(&mut self.active, active);
        self.retired = Some((old.name, old.file));
        self.ledger.roll(self.active.room());
        Ok(())
    }

    /// Makes a spare segment of the one that was left.
    pub(super) fn tidy(&mut self) {
        let Some((name, old)) = self.retired.take() else {
            return;
        };
        let name = name.to_text();
        match self.renew(&name, old) {
            Ok(spare) => self.provide(spare),
            Err(error) => {
                // The next opening removes it; until then, growing makes another one.
                tracing::warn!(%name, %error, "no spare segment could be made");
                let _ = self.storage.remove(&name);
            }
        }
    }

    fn renew(&self, name: &str, old: Spare) -> Result<Spare, LogError> {
        let storage = &*self.storage;
        let desired = len_desired(self.ledger.wanted(0), self.segment_len_min);
        if suits(old.len, desired) {
            return recycle(storage, name, old);
        }
        if old.len > desired {
            storage.remove(name).during(Operation::Remove)?;
            return grow(storage, desired);
        }
        let Ok(grown) = grow(storage, desired) else {
            return recycle(storage, name, old);
        };
        storage.remove(name).during(Operation::Remove)?;
        Ok(grown)
    }

    fn provide(&mut self, spare: Spare) {
        self.ledger.provide(spare.len);
        self.spare = Some(spare);
    }

    /// Sees to a spare segment into which so many more bytes fit, and reserves them.
    pub(super) fn enlarge(&mut self, bytes: u64) -> Result<Reservation, LogError> {
        self.tidy();
        if let Some(reservation) = self.ledger.reserve(bytes) {
            return Ok(reservation);
        }
        self.provision(bytes)?;
        // Others reserve meanwhile; half of the new segment is theirs.
        let none = || io::Error::from(io::ErrorKind::StorageFull);
        let reservation = self.ledger.reserve(bytes).ok_or_else(none);
        reservation.during(Operation::Preallocate)
    }

    /// Makes a spare segment that takes all that lives, all that is reserved, and so much more.
    pub(super) fn provision(&mut self, bytes: u64) -> Result<(), LogError> {
        if self
            .full_at
            .is_some_and(|at| at.elapsed() < self.full_pause)
        {
            return Err(LogError::Full(io::ErrorKind::StorageFull.into()));
        }
        // Never shorter than the one there is: others reserve against that one meanwhile.
        let present = self.spare.as_ref().map_or(0, |spare| spare.len);
        let needed = self.ledger.wanted(bytes).max(present);
        let desired = len_desired(needed, self.segment_len_min);
        let prepared = match prepare(&*self.storage, desired) {
            Err(LogError::Full(_)) => prepare(&*self.storage, round_up(needed)),
            other => other,
        };
        let full = matches!(prepared, Err(LogError::Full(_)));
        self.full_at = full.then(Instant::now);
        self.replace(prepared?)
    }

    /// Makes a prepared file the spare segment.
    fn replace(&mut self, prepared: Spare) -> Result<(), LogError> {
        let renamed = rename(&*self.storage, GROWING, SPARE);
        // If it failed, either file may have the name now. Rolling renames by name, so it must not
        // write to one and rename the other; and nobody knows how far an earlier one was zeroed.
        let storage = &*self.storage;
        let spare = match &renamed {
            Ok(()) => Ok(prepared),
            Err(_) => find(storage).and_then(|found| recycle(storage, SPARE, found)),
        };
        self.spare = None;
        match spare {
            Ok(spare) => self.provide(spare),
            Err(error) => {
                tracing::error!(%error, "the spare segment was lost");
                self.ledger.provide(0);
            }
        }
        renamed
    }

    /// Ends the log cleanly: what is sealed is durable before the seal says so.
    pub(super) fn seal(mut self) -> io::Result<()> {
        self.write()?;
        if !seeded::has(Seeded::SealsBeforeItSyncs) {
            self.sync()?;
        }
        let Active {
            name, file, end, ..
        } = &mut self.active;
        let written = Seal {
            lsn: Lsn(self.next.0.saturating_sub(1)),
            end: *end,
        };
        let at = file.len.saturating_sub(len_u64(SEAL));
        let file: &mut dyn StorageFile = &mut *file.file;
        file.write_at(at, &seal(written, *name))?;
        file.sync_data()
    }
}

/// How much memory a batch keeps for the next one, in bytes.
const BATCH_KEPT: usize = 1 << 20;
