//! Frames: what a segment consists of. Pure.
//!
//! Integers are big endian. A frame is checksum (8), length of its body (4), version (1), kind
//! (1), zero (2), LSN (8), epoch (8), the LSN that was durable when it was written (8), its body,
//! and zeros up to a multiple of 8. The checksum is XXH3-64 of all that follows it, zeros
//! included; its seed is made of coordinator, segment and offset, so that a frame counts only
//! where it was written.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::transaction::id::{CoordinatorId, Epoch};

use super::bytes::{Reader, len_u64};
use super::record::{LiveRecord, RECORD_HEAD, Record, Subject};
use super::seeded::{self, Seeded};

/// The version of segments and frames that this code writes, and the only one so far.
pub const FORMAT_VERSION: u8 = 1;

/// What stands before a frame's body, in bytes.
pub(super) const HEAD: usize = 40;
const ALIGNMENT: usize = 8;

const CARRIED: u8 = 1;
const OPENED: u8 = 2;
const APPENDED: u8 = 3;

/// The number of a frame in its log: each is one more than the frame's before. 64 bits do not run
/// out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Lsn(pub(super) u64);

impl Lsn {
    pub(super) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) lsn: Lsn,
    pub(super) epoch: Epoch,
    pub(super) durable: Lsn,
}

/// What a frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A live record of an earlier segment.
    Carried(LiveRecord),
    /// All that lived was carried. What the segments before held from `cut` on is void.
    Opened { cut: Lsn, carried: u64 },
    /// The records of one append.
    Appended(Vec<Record>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) stamp: Stamp,
    pub(super) body: Body,
    /// Its length on disk, in bytes.
    pub(super) len: usize,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// Its checksum does not fit, or it does not end within the bytes.
    Bad,
    /// Its checksum fits and its content does not: nobody of this version wrote it.
    Odd,
    /// Its checksum fits, and a later version of this crate wrote it.
    Newer { version: u8 },
}

/// Where frames stand: of whom, and in which segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn new(coordinator: CoordinatorId, segment: u64) -> Self {
        let mut bytes = [0; 24];
        let parts = coordinator.as_u128().to_be_bytes().into_iter();
        for (to, from) in bytes.iter_mut().zip(parts.chain(segment.to_be_bytes())) {
            *to = from;
        }
        Self(xxh3_64(&bytes))
    }

    fn seed(self, offset: usize) -> u64 {
        self.0.wrapping_add(len_u64(offset))
    }
}

impl Record {
    /// The [`space`](Self::space) of a record of this subject whose payload has so many bytes.
    #[must_use]
    pub fn space_for(subject: &Subject, payload_len: usize) -> u64 {
        let body = 8 + RECORD_HEAD + subject.key_len() + payload_len.min(Self::PAYLOAD_LEN_MAX);
        len_for(body)
    }
}

/// The length of a frame with a body of so many bytes.
pub(super) fn len_for(body: usize) -> u64 {
    len_u64(padded(HEAD.saturating_add(body)))
}

fn padded(len: usize) -> usize {
    len.checked_next_multiple_of(ALIGNMENT)
        .unwrap_or(usize::MAX)
}

/// Puts a frame at the end of `out`, whose first byte stands at `base` of the segment.
pub(super) fn put(out: &mut Vec<u8>, base: usize, place: Place, stamp: Stamp, body: &Body) {
    let start = out.len();
    out.extend([0; 12]);
    out.extend([FORMAT_VERSION, kind(body), 0, 0]);
    out.extend(stamp.lsn.0.to_be_bytes());
    out.extend(stamp.epoch.as_u64().to_be_bytes());
    out.extend(stamp.durable.0.to_be_bytes());
    put_body(out, body);
    let body_len = out.len().saturating_sub(start + HEAD);
    out.resize(start + padded(HEAD + body_len), 0);
    let body_len = u32::try_from(body_len).unwrap_or(u32::MAX);
    fill(out, start + 8, &body_len.to_be_bytes());
    let checksum = out.get(start + 8..).map_or(0, |rest| {
        xxh3_64_with_seed(rest, place.seed(base.saturating_add(start)))
    });
    fill(out, start, &checksum.to_be_bytes());
}

fn fill(out: &mut [u8], at: usize, bytes: &[u8]) {
    let to = out.iter_mut().skip(at);
    to.zip(bytes).for_each(|(to, from)| *to = *from);
}

fn kind(body: &Body) -> u8 {
    match body {
        Body::Carried(_) => CARRIED,
        Body::Opened { .. } => OPENED,
        Body::Appended(_) => APPENDED,
    }
}

fn put_body(out: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Carried(live) => {
            out.extend(live.epoch().as_u64().to_be_bytes());
            live.record().put(out);
        }
        Body::Opened { cut, carried } => {
            out.extend(cut.0.to_be_bytes());
            out.extend(carried.to_be_bytes());
        }
        Body::Appended(records) => records.iter().for_each(|record| record.put(out)),
    }
}

/// The frame at `offset` of a segment's bytes. Nothing is allocated before the checksum fits.
pub(super) fn read(bytes: &[u8], offset: usize, place: Place) -> Result<Frame, NoFrame> {
    let rest = bytes.get(offset..).ok_or(NoFrame::Bad)?;
    let mut head = Reader::new(rest);
    let checksum = head.u64().ok_or(NoFrame::Bad)?;
    let body_len = head.u32().ok_or(NoFrame::Bad)?;
    let body_len = usize::try_from(body_len).map_err(|_| NoFrame::Bad)?;
    let body_end = HEAD.checked_add(body_len).ok_or(NoFrame::Bad)?;
    let len = padded(body_end);
    let checked = rest.get(8..len).ok_or(NoFrame::Bad)?;
    let unchecked = checksum != 0 && seeded::has(Seeded::ChecksNothing);
    if xxh3_64_with_seed(checked, place.seed(offset)) != checksum && !unchecked {
        return Err(NoFrame::Bad);
    }
    let version = head.u8().ok_or(NoFrame::Odd)?;
    if version > FORMAT_VERSION {
        return Err(NoFrame::Newer { version });
    }
    let padding = rest.get(body_end..len).ok_or(NoFrame::Odd)?;
    let body = rest.get(HEAD..body_end).ok_or(NoFrame::Odd)?;
    if version != FORMAT_VERSION || padding.iter().any(|byte| *byte != 0) {
        return Err(NoFrame::Odd);
    }
    let (stamp, body) = read_checked(&mut head, body).ok_or(NoFrame::Odd)?;
    Ok(Frame { stamp, body, len })
}

fn read_checked(head: &mut Reader<'_>, body: &[u8]) -> Option<(Stamp, Body)> {
    let kind = head.u8()?;
    if head.u16()? != 0 {
        return None;
    }
    let lsn = Lsn(head.u64()?);
    let epoch = Epoch::new(head.u64()?)?;
    let durable = Lsn(head.u64()?);
    let mut reader = Reader::new(body);
    let body = match kind {
        CARRIED => {
            let epoch = Epoch::new(reader.u64()?)?;
            Body::Carried(LiveRecord::new(epoch, Record::read(&mut reader)?))
        }
        OPENED => Body::Opened {
            cut: Lsn(reader.u64()?),
            carried: reader.u64()?,
        },
        APPENDED => {
            let mut records = vec![Record::read(&mut reader)?];
            while !reader.is_empty() {
                records.push(Record::read(&mut reader)?);
            }
            Body::Appended(records)
        }
        _ => return None,
    };
    let stamp = Stamp {
        lsn,
        epoch,
        durable,
    };
    (reader.is_empty() && durable < lsn).then_some((stamp, body))
}

/// What a frame at this offset would say of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    pub(super) lsn: Lsn,
    pub(super) durable: Lsn,
    /// Its length on disk, in bytes: no more than there are.
    pub(super) len: usize,
}

/// Looks at what could be a frame, without a look at its checksum: a cheap sieve for those who
/// search.
pub(super) fn glance(bytes: &[u8], offset: usize) -> Option<Glance> {
    let rest = bytes.get(offset..)?;
    let mut reader = Reader::new(rest);
    let _checksum = reader.u64()?;
    let body_len = usize::try_from(reader.u32()?).ok()?;
    let _kinds = reader.u32()?;
    let lsn = Lsn(reader.u64()?);
    let _epoch = reader.u64()?;
    let durable = Lsn(reader.u64()?);
    let len = padded(HEAD.checked_add(body_len)?);
    (len <= rest.len()).then_some(Glance { lsn, durable, len })
}
