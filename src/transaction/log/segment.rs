//! Segments: the files of a log. Pure: names, headers, seals.
//!
//! A segment is a header (64 bytes), frames, zeros, and a last sector of 512 bytes, which is zero
//! or holds the seal. It gets its name only after all that it has to say about the segments
//! before it is durable, so a segment that has its name and does not begin well is damaged.
//!
//! # A seal that is not whole
//!
//! The seal is written once all frames are durable. So whatever but zeros stands in its sector,
//! the frames must be whole, and end in zeros. If they are, they say what the seal had to be, and a
//! sector that is not as it had to be was either torn by a loss of power while it was written, or
//! has changed since.
//!
//! Nothing can tell these two apart for certain. A loss of power may leave any bytes of what was
//! not synced, also those of a whole seal with one bit flipped; and that is what the flip of a bit
//! leaves later. More writes do not help: whichever is the last before a shutdown returns, a loss
//! of power may leave of it what later damage may leave. So the line is drawn by what disks do:
//!
//! * Torn: each aligned word of 8 bytes is as it had to be, or zero as before the write. The frames
//!   are whole, nobody was told that the log is shut down, and it opens as after any crash.
//! * Damage: anything else, and what differs by one bit only. That may be a word with a single bit
//!   that was not written, and a seal that was garbled rather than torn is damage as well. But no
//!   flipped bit makes a log that was shut down pass for one that was not. Words of the seal that
//!   become zero later do, and cost nothing: the frames are there that the rest of it tells of.
//!
//! The way out of the latter, for a person who knows that the power went during the shutdown:
//! [`Flaw::Seal`] is told only where all frames are whole. Zeros over the last 512 bytes of the
//! segment make it one that was not shut down.

use xxhash_rust::xxh3::xxh3_64;

use crate::transaction::id::CoordinatorId;

use super::bytes::Reader;
use super::error::Flaw;
use super::frame::{FORMAT_VERSION, Lsn};

const MAGIC: [u8; 8] = *b"triplog\x00";
const SEAL_MAGIC: [u8; 8] = *b"tripseal";

/// The length of a header, in bytes.
pub(super) const HEADER: usize = 64;
/// The length of the sector at the end that takes the seal, in bytes: what a disk writes as one.
pub(super) const SEAL: usize = 512;
const SEAL_COPY: usize = SEAL / 2;

/// A segment's name says whose it is and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) coordinator: CoordinatorId,
    pub(super) number: u64,
}

impl SegmentName {
    /// The name of this form; `None` for every other file.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (coordinator, number) = name.strip_suffix(".segment")?.split_once('-')?;
        let id = CoordinatorId::from_u128(hex(coordinator, 32)?);
        Some(Self {
            coordinator: id,
            number: u64::try_from(hex(number, 16)?).ok()?,
        })
    }

    pub(super) fn to_text(self) -> String {
        format!("{}-{:016x}.segment", self.coordinator, self.number)
    }
}

fn hex(digits: &str, len: usize) -> Option<u128> {
    let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let well_formed = digits.len() == len && digits.bytes().all(lower);
    well_formed
        .then(|| u128::from_str_radix(digits, 16).ok())
        .flatten()
}

/// The header: magic (8), version (4), zeros (4), coordinator (16), number (8), length of the
/// file (8), zeros (8), XXH3-64 of all before (8). All versions begin with magic and version, and
/// end with that checksum.
pub(super) fn header(name: SegmentName, file_len: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend(MAGIC);
    out.extend(u32::from(FORMAT_VERSION).to_be_bytes());
    out.extend([0; 4]);
    out.extend(name.coordinator.as_u128().to_be_bytes());
    out.extend(name.number.to_be_bytes());
    out.extend(file_len.to_be_bytes());
    out.extend([0; 8]);
    let checksum = xxh3_64(&out);
    out.extend(checksum.to_be_bytes());
    out
}

/// Whether these bytes begin with the header of a segment of this name and length.
pub(super) fn check_header(bytes: &[u8], name: SegmentName, file_len: u64) -> Result<(), Flaw> {
    let header = bytes.get(..HEADER).ok_or(Flaw::Truncated)?;
    let (body, checksum) = header.split_last_chunk::<8>().ok_or(Flaw::Truncated)?;
    if xxh3_64(body) != u64::from_be_bytes(*checksum) {
        return Err(Flaw::Header);
    }
    let mut reader = Reader::new(body);
    if reader.array() != Some(MAGIC) {
        return Err(Flaw::Header);
    }
    match reader.u32() {
        Some(version) if version == u32::from(FORMAT_VERSION) => {}
        Some(version) if version > u32::from(FORMAT_VERSION) => {
            return Err(Flaw::Newer { version });
        }
        Some(_) | None => return Err(Flaw::Header),
    }
    let zeros = reader.u32() == Some(0);
    let own =
        reader.u128() == Some(name.coordinator.as_u128()) && reader.u64() == Some(name.number);
    if !own {
        return Err(Flaw::Misnamed);
    }
    if reader.u64() != Some(file_len) {
        return Err(Flaw::Truncated);
    }
    if !zeros || reader.u64() != Some(0) {
        return Err(Flaw::Header);
    }
    Ok(())
}

/// What a clean shutdown leaves in the last sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// The last frame's.
    pub(super) lsn: Lsn,
    /// Where the frames end, in bytes from the start of the segment.
    pub(super) end: u64,
}

/// The last sector of a sealed segment: the seal twice, so that no flipped bit makes it pass for
/// an open one. A copy is magic (8), LSN (8), end (8), zeros, XXH3-64 of all before (8).
pub(super) fn seal(seal: Seal, name: SegmentName) -> Vec<u8> {
    let mut copy = Vec::with_capacity(SEAL_COPY);
    copy.extend(SEAL_MAGIC);
    copy.extend(seal.lsn.0.to_be_bytes());
    copy.extend(seal.end.to_be_bytes());
    copy.extend(name.coordinator.as_u128().to_be_bytes());
    copy.extend(name.number.to_be_bytes());
    copy.resize(SEAL_COPY - 8, 0);
    let checksum = xxh3_64(&copy);
    copy.extend(checksum.to_be_bytes());
    copy.repeat(2)
}

/// The seal of these bytes, `None` if they are zeros.
pub(super) fn read_seal(sector: &[u8], name: SegmentName) -> Result<Option<Seal>, Flaw> {
    if sector.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let mut reader = Reader::new(sector);
    let _magic: Option<[u8; 8]> = reader.array();
    let (lsn, end) = (reader.u64(), reader.u64());
    let read = lsn.zip(end).map(|(lsn, end)| Seal { lsn: Lsn(lsn), end });
    // Comparing the whole sector to what it must be checks every bit of it.
    match read {
        Some(found) if seal(found, name) == sector => Ok(Some(found)),
        Some(_) | None => Err(Flaw::Seal),
    }
}

/// Whether a loss of power may have left this while the seal was written over zeros.
pub(super) fn is_torn(sector: &[u8], written: Seal, name: SegmentName) -> bool {
    let whole = seal(written, name);
    let words = sector.chunks(WORD).zip(whole.chunks(WORD));
    let torn =
        |(found, written): (&[u8], &[u8])| found == written || found.iter().all(|byte| *byte == 0);
    let bytes = sector.iter().zip(&whole);
    let flipped: u32 = bytes
        .map(|(found, written)| (found ^ written).count_ones())
        .sum();
    sector.len() == whole.len() && words.into_iter().all(torn) && flipped != 1
}

/// What is written whole or not at all, in bytes, whatever becomes of a sector.
const WORD: usize = 8;

/// Where a segment's frames must end at the latest: before the sector of the seal.
pub(super) fn frames_end(file_len: usize) -> usize {
    file_len.saturating_sub(SEAL)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests know their lengths")]
mod tests {
    use super::*;

    fn name() -> SegmentName {
        SegmentName {
            coordinator: CoordinatorId::from_u128(0xfeed),
            number: 17,
        }
    }

    #[test]
    fn names_read_back_and_nothing_else_is_a_name() {
        let text = name().to_text();
        assert_eq!(SegmentName::parse(&text), Some(name()));
        for odd in [
            "",
            "spare",
            "lost+found",
            &text.to_uppercase(),
            &format!("{text}~"),
            &text.replace('-', "-+"),
            &text.replace("0000feed", "+000feed"),
            &text.replace(".segment", ".segment.bak"),
        ] {
            assert_eq!(SegmentName::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn any_flipped_bit_of_a_header_or_a_seal_is_seen() {
        let good = header(name(), 4096);
        assert_eq!(check_header(&good, name(), 4096), Ok(()));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&bad, name(), 4096).is_err(), "bit {bit}");
        }
        let written = Seal {
            lsn: Lsn(9),
            end: 640,
        };
        let good = seal(written, name());
        assert_eq!(good.len(), SEAL);
        assert_eq!(read_seal(&good, name()), Ok(Some(written)));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_seal(&bad, name()), Err(Flaw::Seal), "bit {bit}");
        }
    }

    #[test]
    fn a_seal_without_some_words_is_torn_and_one_with_other_bits_is_not() {
        // Each of these words has a single bit.
        let written = Seal {
            lsn: Lsn(8),
            end: 1024,
        };
        let whole = seal(written, name());
        for kept in 1..whole.len() / WORD {
            let (mut first, mut last) = (whole.clone(), whole.clone());
            first[kept * WORD..].fill(0);
            last[..kept * WORD].fill(0);
            for torn in [first, last] {
                assert_eq!(torn != whole, is_torn(&torn, written, name()), "{kept}");
                let other = Seal {
                    lsn: Lsn(9),
                    ..written
                };
                let same = is_torn(&torn, other, name());
                // What tells the two apart may be what is missing.
                assert!(!same || torn[8..16] == [0; 8], "{kept}");
            }
        }
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_torn(&bad, written, name()), "bit {bit}");
        }
        assert!(!is_torn(&whole[WORD..], written, name()));
    }

    #[test]
    fn a_header_of_a_later_version_is_told_apart_from_damage() {
        let mut later = header(name(), 4096);
        later[11] = 9;
        let checksum = xxh3_64(&later[..56]);
        later[56..].copy_from_slice(&checksum.to_be_bytes());
        let newer = Err(Flaw::Newer { version: 9 });
        assert_eq!(check_header(&later, name(), 4096), newer);
    }
}
