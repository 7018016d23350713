//! What may become of a segment, and what an opening must make of it.

use tripod::transaction::log::{LogError, Opened, Record};

use super::super::disk::{Dice, SECTOR};
use super::sample::{HEADER, Sample, same, vouch_for_header};

/// What is done to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoil {
    /// Some bytes are others.
    Scribble,
    /// It is longer or shorter.
    Length,
    /// From some byte on it is another segment.
    Splice,
    /// Fields of a frame are others, and the checksum says that they are right.
    ForgedFrame,
    /// So with the header.
    ForgedHeader,
    /// A header, and nothing but noise after it.
    Noise,
}

pub(super) const SPOILS: [Spoil; 6] = [
    Spoil::Scribble,
    Spoil::Length,
    Spoil::Splice,
    Spoil::ForgedFrame,
    Spoil::ForgedHeader,
    Spoil::Noise,
];

/// What must come of it.
pub(super) enum Due<'a> {
    Damage,
    /// All that was durable before the place where it differs, which is what nobody was told of.
    Exactly(&'a [Record]),
    /// Something that lived at some time, or damage: nothing tells when.
    Past,
    /// No panic: nobody can tell a good forgery.
    Anything,
}

impl Due<'_> {
    pub(super) fn check(&self, sample: &Sample, opened: &Result<Opened, LogError>) -> bool {
        match (self, opened) {
            (_, Err(LogError::Damaged { .. })) => !matches!(self, Self::Exactly(_)),
            (Self::Anything, Ok(_) | Err(LogError::Newer { .. } | LogError::Exhausted)) => true,
            (Self::Damage, Ok(_)) | (_, Err(_)) => false,
            (Self::Exactly(state), Ok(opened)) => same(state, opened.live()),
            (Self::Past, Ok(opened)) => sample.has_been(opened.live()),
        }
    }
}

/// The bytes after it; none if they are as they were.
pub(super) fn spoiled(sample: &Sample, spoil: Spoil, dice: &mut Dice) -> Option<Vec<u8>> {
    let mut bytes = sample.bytes.clone();
    match spoil {
        Spoil::Scribble => {
            let at = below(dice, bytes.len());
            let most = [8, 80, 800][below(dice, 3)];
            let len = 1 + below(dice, most);
            bytes[at..]
                .iter_mut()
                .take(len)
                .for_each(|byte| *byte = noise(dice));
        }
        Spoil::Length => {
            let len = below(dice, bytes.len() * 2);
            bytes.resize(len, noise(dice));
        }
        Spoil::Splice => {
            let other = Sample::new(dice).bytes;
            let at = below(dice, bytes.len()).min(other.len());
            bytes.truncate(at);
            bytes.extend(&other[at..]);
        }
        Spoil::ForgedFrame => {
            let frame = sample.frames[below(dice, sample.frames.len())].clone();
            for _ in 0..=below(dice, 3) {
                forge(&mut bytes[frame.start + 8..frame.end], sample, dice);
            }
            // The frame may say now that it ends elsewhere.
            let body = u32::from_be_bytes(bytes[frame.start + 8..][..4].try_into().unwrap());
            let end = frame.start + (40 + body as usize).next_multiple_of(8);
            let fits = end <= bytes.len() - SECTOR;
            sample.vouch(&mut bytes, frame.start, if fits { end } else { frame.end });
        }
        Spoil::ForgedHeader => {
            forge(&mut bytes[..HEADER - 8], sample, dice);
            vouch_for_header(&mut bytes);
        }
        Spoil::Noise => bytes[HEADER..]
            .iter_mut()
            .for_each(|byte| *byte = noise(dice)),
    }
    (bytes != sample.bytes).then_some(bytes)
}

pub(super) fn due<'a>(sample: &'a Sample, spoil: Spoil, bytes: &[u8]) -> Due<'a> {
    match spoil {
        Spoil::ForgedFrame | Spoil::ForgedHeader => Due::Anything,
        Spoil::Length | Spoil::Noise => Due::Damage,
        Spoil::Splice if bytes.len() != sample.bytes.len() => Due::Damage,
        Spoil::Splice => Due::Past,
        // By chance it looks like a seal that was torn.
        Spoil::Scribble if tears_a_seal(sample, bytes) => Due::Past,
        Spoil::Scribble if sample.sealed => Due::Damage,
        Spoil::Scribble => {
            let differ = |at: &usize| bytes[*at] != sample.bytes[*at];
            let first = (0..bytes.len()).find(differ).unwrap();
            let last = (0..bytes.len()).rfind(differ).unwrap();
            let begun = &sample.frames[sample.begun - 1];
            let newest = sample.frames.last().unwrap();
            // Whatever lies before a frame that was not touched was durable when that was written.
            let durable = first < begun.end || last < newest.start;
            let seal = last >= bytes.len() - SECTOR;
            if durable || seal {
                return Due::Damage;
            }
            Due::Exactly(sample.state_at(first))
        }
    }
}

/// Whether only words of the seal differ, and each is zero before or after.
fn tears_a_seal(sample: &Sample, bytes: &[u8]) -> bool {
    let words = sample.bytes.chunks(8).zip(bytes.chunks(8)).enumerate();
    let mut differ = words.filter(|(_, (word, other))| word != other);
    let seal = (bytes.len() - SECTOR) / 8;
    differ.all(|(at, (word, other))| at >= seal && (word == [0; 8] || other == [0; 8]))
        && sample
            .bytes
            .iter()
            .zip(bytes)
            .filter(|(one, two)| one != two)
            .count()
            <= 8
}

/// Puts something that a reader might believe where a field might be.
fn forge(bytes: &mut [u8], sample: &Sample, dice: &mut Dice) {
    let at = below(dice, bytes.len());
    let len = sample.bytes.len() as u64;
    let values = [
        0,
        1,
        2,
        0x7f,
        0xff,
        0xffff,
        len - 1,
        len,
        len + 1,
        1 << 30,
        u64::from(u32::MAX),
    ];
    let value = match below(dice, values.len() + 3) {
        number if number < values.len() => values[number],
        number if number == values.len() => u64::MAX,
        _ => dice.next() >> below(dice, 64),
    };
    let width = [1, 2, 4, 8][below(dice, 4)];
    let field = &value.to_be_bytes()[8 - width..];
    for (to, from) in bytes[at..].iter_mut().zip(field) {
        *to = *from;
    }
}

fn noise(dice: &mut Dice) -> u8 {
    dice.next().to_be_bytes()[0]
}

fn below(dice: &mut Dice, bound: usize) -> usize {
    usize::try_from(dice.below(bound as u64)).unwrap()
}
