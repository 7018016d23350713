//! What a segment's bytes say: which frames count, where they end, and whether that is an end or
//! a wound. Pure.

use crate::transaction::id::Epoch;

use super::bytes::len_u64;
use super::error::Flaw;
use super::frame::{self, Body, Frame, Glance, Lsn, NoFrame, Place};
use super::live::Live;
use super::seeded::{self, Seeded};
use super::segment::{
    HEADER, SEAL, Seal, SegmentName, check_header, frames_end, is_torn, read_seal,
};

/// What the segment leaves to whoever opens the log.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) epoch: Epoch,
    pub(super) live: Live,
    /// The first LSN that no frame has: what comes from there on is void.
    pub(super) cut: Lsn,
    /// Where a torn tail or a torn seal begins, in bytes from the start of the segment.
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
    let place = Place::new(name.coordinator, name.number);
    let mut walk = Walk::begin(frames, place)?;
    walk.go_on()?;
    let clean = is_zero(frames, walk.offset);
    let seal = read_seal(sector, name);
    let mut torn = (!clean).then_some(walk.offset);
    match seal {
        Ok(Some(_)) | Err(_) if seeded::has(Seeded::IgnoresTheSeal) => {}
        Ok(Some(seal)) => walk.check_seal(seal, clean)?,
        Ok(None) if clean || seeded::has(Seeded::CutsWithoutALook) => {}
        Ok(None) => walk.check_tail().map(drop)?,
        // It is written when all frames are durable.
        Err(_) if !clean => return Err(walk.wound(Flaw::Sealed)),
        Err(_) if is_torn(sector, walk.seal(), name) => torn = Some(frames_end),
        Err(flaw) => return Err(wound(frames_end, flaw)),
    }
    Ok(Scan {
        epoch: walk.epoch,
        torn: torn.map(len_u64),
        sealed: matches!(seal, Ok(Some(_))),
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

    /// The seal of these frames.
    fn seal(&self) -> Seal {
        Seal {
            lsn: Lsn(self.next.0.saturating_sub(1)),
            end: len_u64(self.offset),
        }
    }

    /// After a seal there is nothing but what it tells of.
    fn check_seal(&self, seal: Seal, clean: bool) -> Result<(), Wound> {
        if seal == self.seal() && clean {
            return Ok(());
        }
        Err(self.wound(Flaw::Sealed))
    }

    /// A frame further on that was written when the bad one was durable makes it damage. Answers
    /// how many bytes were summed up to see that there is none.
    ///
    /// Frames do not overlap, so those that a log wrote are together no longer than the tail. What
    /// users put into records may look like many that do: they are looked at up to a bound.
    fn check_tail(&self) -> Result<usize, Wound> {
        let tail = self.frames.len().saturating_sub(self.offset);
        let mut summed = 0_usize;
        let further = (self.offset..self.frames.len()).step_by(8).skip(1);
        for at in further {
            let Some(found) = frame::glance(self.frames, at) else {
                continue;
            };
            if !self.tells(found) {
                continue;
            }
            summed = summed.saturating_add(found.len);
            if summed > tail.saturating_mul(TAILS_SUMMED) {
                return Err(self.wound(Flaw::Crowded));
            }
            match frame::read(self.frames, at, self.place) {
                Ok(_) => return Err(self.wound(Flaw::Durable)),
                Err(NoFrame::Newer { version }) => {
                    let version = u32::from(version);
                    return Err(wound(at, Flaw::Newer { version }));
                }
                Err(NoFrame::Bad | NoFrame::Odd) => {}
            }
        }
        Ok(summed)
    }

    /// Whether a frame like this could stand behind the bad one, with an LSN of no more frames than
    /// fit in between, and would say that the bad one was durable.
    fn tells(&self, found: Glance) -> bool {
        let most = len_u64(self.frames.len() / frame::HEAD);
        let fits = found.lsn > self.next && found.lsn.0.saturating_sub(self.next.0) <= most;
        fits && (self.next..found.lsn).contains(&found.durable)
    }
}

/// As often as its length, the bytes of a tail are summed up at most. Once would do for what a log
/// has written; the rest is for what a disk has made of it.
const TAILS_SUMMED: usize = 4;

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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests know what they made")]
mod tests {
    use super::*;
    use crate::transaction::id::CoordinatorId;
    use crate::transaction::log::frame::Stamp;
    use crate::transaction::log::{Record, Subject, SubjectKey};

    const LEN: usize = 256 << 10;

    /// The frames of a segment that ends in this, from where the first frame is not one.
    fn checked(tail: impl Fn(Place, &mut Vec<u8>)) -> Result<usize, Wound> {
        let place = Place::new(CoordinatorId::from_u128(7), 1);
        let mut frames = vec![0; HEADER];
        let body = Body::Opened {
            cut: Lsn(NEXT.0 - 1),
            carried: 0,
        };
        frame::put(&mut frames, 0, place, stamp(NEXT.0 - 1, NEXT.0 - 2), &body);
        tail(place, &mut frames);
        frames.resize(LEN, 0);
        let mut walk = Walk::begin(&frames, place).unwrap();
        walk.go_on().unwrap();
        assert_eq!(walk.next, NEXT);
        walk.check_tail()
    }

    /// An LSN that is the head of a frame of 128 KiB, too.
    const NEXT: Lsn = Lsn(128 << 10 << 32);

    fn stamp(lsn: u64, durable: u64) -> Stamp {
        Stamp {
            lsn: Lsn(lsn),
            epoch: Epoch::new(1).unwrap(),
            durable: Lsn(durable),
        }
    }

    /// Puts words from nearly each of which a frame seems to begin.
    fn crowd(frames: &mut Vec<u8>) {
        for count in (1..5000).rev().cycle() {
            if frames.len() >= LEN {
                return;
            }
            frames.extend((NEXT.0 + count).to_be_bytes());
        }
    }

    #[test]
    fn a_tail_made_of_what_looks_like_frames_is_given_up_after_some_of_it() {
        // Counted as they would all be summed up, to see that the tail is what it says.
        let place = Place::new(CoordinatorId::from_u128(7), 1);
        let mut frames = vec![0; HEADER];
        crowd(&mut frames);
        let walk = Walk {
            frames: &frames,
            place,
            epoch: Epoch::new(1).unwrap(),
            live: Live::default(),
            offset: HEADER,
            next: NEXT,
        };
        let all = (HEADER..LEN).step_by(8);
        let found = all.filter_map(|at| frame::glance(&frames, at));
        let found = found.filter(|found| walk.tells(*found));
        let summed: usize = found.map(|found| found.len).sum();
        assert!(summed > LEN * 1000, "{summed} is not much");
        let given_up = checked(|_, frames| crowd(frames)).unwrap_err();
        assert_eq!(given_up.flaw, Flaw::Crowded);
    }

    #[test]
    fn a_torn_batch_is_summed_up_once_at_most() {
        let summed = checked(|place, frames| {
            let first = frames.len();
            for number in 1..100 {
                let saga = Subject::Saga(SubjectKey::new("saga").unwrap());
                let body = Body::Appended(vec![Record::new(saga, vec![1; 2000]).unwrap()]);
                let stamp = stamp(NEXT.0 + number, NEXT.0);
                frame::put(frames, 0, place, stamp, &body);
            }
            // They do not stand where they were written.
            frames.splice(first..first, [0; 40]);
        });
        assert!((LEN / 2..LEN).contains(&summed.unwrap()), "{summed:?}");
    }
}
