//! What a segment's bytes say: which frames count, where they end, and whether that is an end or
//! a wound. Pure.

use crate::transaction::id::Epoch;

use super::bytes::len_u64;
use super::error::Flaw;
use super::frame::{self, Body, Frame, Lsn, NoFrame, Place};
use super::live::Live;
use super::seeded::{self, Seeded};
use super::segment::{HEADER, SEAL, Seal, SegmentName, check_header, frames_end, read_seal};

/// What the segment leaves to whoever opens the log.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) epoch: Epoch,
    pub(super) live: Live,
    /// The first LSN that no frame has: what comes from there on is void.
    pub(super) cut: Lsn,
    /// Where a torn tail begins, in bytes from the start of the segment.
    pub(super) torn: Option<u64>,
    pub(super) sealed: bool,
}

/// What is wrong with a segment, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wound {
    /// In bytes from the start of the segment.
    pub(super) offset: u64,
    pub(super) flaw: Flaw,
}

fn wound(offset: usize, flaw: Flaw) -> Wound {
    Wound {
        offset: len_u64(offset),
        flaw,
    }
}

/// Reads a whole segment. Nothing is allocated but what checksums vouch for.
pub(super) fn scan(bytes: &[u8], name: SegmentName) -> Result<Scan, Wound> {
    check_header(bytes, name, len_u64(bytes.len())).map_err(|flaw| wound(0, flaw))?;
    let frames_end = frames_end(bytes.len());
    let (frames, sector) = bytes
        .split_at_checked(frames_end)
        .ok_or(wound(0, Flaw::Truncated))?;
    let seal = read_seal(sector, name).map_err(|flaw| wound(frames_end, flaw))?;
    let place = Place::new(name.coordinator, name.number);
    let mut walk = Walk::begin(frames, place)?;
    walk.go_on()?;
    let clean = is_zero(frames, walk.offset);
    match seal {
        Some(_) if seeded::has(Seeded::IgnoresTheSeal) => {}
        Some(seal) => walk.check_seal(seal, clean)?,
        None if clean || seeded::has(Seeded::CutsWithoutALook) => {}
        None => walk.check_tail()?,
    }
    Ok(Scan {
        epoch: walk.epoch,
        torn: (!clean).then(|| len_u64(walk.offset)),
        sealed: seal.is_some(),
        cut: walk.next,
        live: walk.live,
    })
}

/// To compare with: much faster than a look at each byte.
static ZEROS: [u8; 512] = [0; 512];

fn is_zero(bytes: &[u8], from: usize) -> bool {
    let rest = bytes.get(from..).unwrap_or_default();
    let mut chunks = rest.chunks(ZEROS.len());
    chunks.all(|chunk| ZEROS.get(..chunk.len()) == Some(chunk))
}

/// A walk from frame to frame.
struct Walk<'a> {
    frames: &'a [u8],
    place: Place,
    epoch: Epoch,
    live: Live,
    offset: usize,
    next: Lsn,
}

impl<'a> Walk<'a> {
    /// Reads what was written before the segment got its name: any flaw in it is damage.
    fn begin(frames: &'a [u8], place: Place) -> Result<Self, Wound> {
        let first = frame::read(frames, HEADER, place).map_err(|no| wound(HEADER, flaw(no)))?;
        let mut walk = Self {
            frames,
            place,
            epoch: first.stamp.epoch,
            live: Live::default(),
            offset: HEADER,
            next: first.stamp.lsn,
        };
        let mut count = 0_u64;
        loop {
            let frame = walk.read().map_err(|no| walk.wound(flaw(no)))?;
            match frame.body {
                Body::Carried(record) => {
                    walk.live.carry(record);
                    count = count.saturating_add(1);
                }
                Body::Opened { carried, .. } if carried == count => {
                    walk.step(frame.stamp.lsn, frame.len);
                    return Ok(walk);
                }
                Body::Opened { .. } | Body::Appended(_) => return Err(walk.wound(Flaw::Odd)),
            }
            walk.step(frame.stamp.lsn, frame.len);
        }
    }

    /// Takes the frames of appends, up to the first that is none.
    fn go_on(&mut self) -> Result<(), Wound> {
        loop {
            let frame = match self.read() {
                Ok(frame) => frame,
                Err(NoFrame::Bad) => return Ok(()),
                Err(no) => return Err(self.wound(flaw(no))),
            };
            match frame.body {
                Body::Appended(records) => {
                    for record in records {
                        self.live.apply(self.epoch, record);
                    }
                }
                Body::Carried(_) | Body::Opened { .. } => return Err(self.wound(Flaw::Odd)),
            }
            self.step(frame.stamp.lsn, frame.len);
        }
    }

    fn read(&self) -> Result<Frame, NoFrame> {
        let frame = frame::read(self.frames, self.offset, self.place)?;
        if frame.stamp.lsn != self.next || frame.stamp.epoch != self.epoch {
            return Err(NoFrame::Odd);
        }
        Ok(frame)
    }

    fn step(&mut self, lsn: Lsn, len: usize) {
        self.next = lsn.next();
        self.offset = self.offset.saturating_add(len);
    }

    fn wound(&self, flaw: Flaw) -> Wound {
        wound(self.offset, flaw)
    }

    /// After a seal there is nothing but what it tells of.
    fn check_seal(&self, seal: Seal, clean: bool) -> Result<(), Wound> {
        let whole = seal.lsn.next() == self.next && seal.end == len_u64(self.offset);
        if whole && clean {
            return Ok(());
        }
        Err(self.wound(Flaw::Sealed))
    }

    /// A frame further on that was written when the bad one was durable makes it damage.
    fn check_tail(&self) -> Result<(), Wound> {
        let mut offset = self.offset;
        while let Some(at) = offset.checked_add(8).filter(|at| *at < self.frames.len()) {
            offset = at;
            let Some(lsn) = frame::glance(self.frames, at) else {
                break;
            };
            if !self.plausible(lsn) {
                continue;
            }
            match frame::read(self.frames, at, self.place) {
                Ok(later) if later.stamp.durable >= self.next => {
                    return Err(self.wound(Flaw::Durable));
                }
                Err(NoFrame::Newer { version }) => {
                    let version = u32::from(version);
                    return Err(wound(at, Flaw::Newer { version }));
                }
                Ok(_) | Err(NoFrame::Bad | NoFrame::Odd) => {}
            }
        }
        Ok(())
    }

    /// Whether a frame of this LSN can stand behind the bad one: no more than fit in between.
    fn plausible(&self, lsn: Lsn) -> bool {
        let most = len_u64(self.frames.len() / frame::HEAD);
        lsn > self.next && lsn.0.saturating_sub(self.next.0) <= most
    }
}

fn flaw(no: NoFrame) -> Flaw {
    match no {
        NoFrame::Bad => Flaw::Durable,
        NoFrame::Odd => Flaw::Odd,
        NoFrame::Newer { version } => Flaw::Newer {
            version: u32::from(version),
        },
    }
}

/// The least length of a segment: header, an opened frame and the sector of the seal.
pub(super) const OVERHEAD: u64 = (HEADER + frame::HEAD + 16 + SEAL) as u64;
