//! Segments that a log wrote, taken apart.

use std::ops::Range;

use tripod::transaction::log::{Durability, LiveRecord, Record};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::super::disk::{Dice, Disk, Loss, SECTOR};
use super::super::model::Model;
use super::super::script::saga;
use super::super::world::World;

pub(super) const HEADER: usize = 64;
const HEAD: usize = 40;
const APPENDED: u8 = 3;

/// A log whose appends were forced one by one, so that each frame says that all before it were
/// durable.
pub(super) struct Sample {
    pub(super) disk: Disk,
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    /// Where its frames stand.
    pub(super) frames: Vec<Range<usize>>,
    /// So many of them were written before the segment had its name.
    pub(super) begun: usize,
    /// What lives after those, and after each further one.
    pub(super) states: Vec<Vec<Record>>,
    pub(super) sealed: bool,
}

impl Sample {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let mut world = World::new(Disk::new(dice.next()), Model::default());
        let mut live: Vec<Record> = Vec::new();
        let mut states = Vec::new();
        for _ in 0..=dice.below(2) {
            world.open(0).unwrap().unwrap();
            for _ in 0..dice.below(8) {
                let records = append(dice);
                for record in &records {
                    if record.ends() {
                        live.retain(|other| other.subject() != record.subject());
                    } else {
                        live.push(record.clone());
                    }
                }
                let append = vec![(records, Durability::Forced)];
                world.append(append).remove(0).unwrap();
                states.push(live.clone());
            }
        }
        let sealed = dice.coin() && world.close().is_some();
        let disk = world.restart(Loss::Everything).disk;
        let mut names = disk.names().into_iter();
        let name = names.rfind(|name| name.ends_with(".segment")).unwrap();
        let bytes = disk.read(&name);
        let frames = frames(&bytes);
        let appended = |frame: &&Range<usize>| bytes[frame.start + 13] == APPENDED;
        let count = frames.iter().filter(appended).count();
        // Earlier appends are in what was carried.
        states.insert(0, Vec::new());
        let states = states.split_off(states.len() - count - 1);
        Self {
            begun: frames.len() - count,
            disk,
            name,
            bytes,
            frames,
            states,
            sealed,
        }
    }

    /// What lives after the frames that end by this offset.
    pub(super) fn state_at(&self, offset: usize) -> &[Record] {
        let whole = self.frames.iter().filter(|frame| frame.end <= offset);
        &self.states[whole.count() - self.begun]
    }

    /// Whether what was given back is what lived at some time.
    pub(super) fn has_been(&self, live: &[LiveRecord]) -> bool {
        self.states.iter().any(|state| same(state, live))
    }

    /// Makes the checksum of a frame right again.
    pub(super) fn vouch(&self, bytes: &mut [u8], start: usize, end: usize) {
        let (id, number) = self
            .name
            .strip_suffix(".segment")
            .unwrap()
            .split_once('-')
            .unwrap();
        let mut place = u128::from_str_radix(id, 16).unwrap().to_be_bytes().to_vec();
        place.extend(u64::from_str_radix(number, 16).unwrap().to_be_bytes());
        let seed = xxh3_64(&place).wrapping_add(start as u64);
        let checksum = xxh3_64_with_seed(&bytes[start + 8..end], seed);
        bytes[start..start + 8].copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Makes the checksum of a header right again.
pub(super) fn vouch_for_header(bytes: &mut [u8]) {
    let checksum = xxh3_64(&bytes[..HEADER - 8]);
    bytes[HEADER - 8..HEADER].copy_from_slice(&checksum.to_be_bytes());
}

pub(super) fn same(records: &[Record], live: &[LiveRecord]) -> bool {
    live.iter().map(LiveRecord::record).eq(records)
}

/// One to three records: now and then an end, now and then one of several sectors.
fn append(dice: &mut Dice) -> Vec<Record> {
    let records = (0..=dice.below(3)).map(|_| {
        let subject = saga(dice.below(12));
        if dice.below(4) == 0 {
            return Record::end(subject);
        }
        let long = dice.below(5) == 0;
        let len = dice.below(if long { 900 } else { 60 });
        let byte = u8::try_from(dice.below(256)).unwrap();
        Record::new(subject, vec![byte; usize::try_from(len).unwrap()]).unwrap()
    });
    records.collect()
}

fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut start = HEADER;
    while start + HEAD < bytes.len() - SECTOR && bytes[start..start + HEAD] != [0; HEAD] {
        let body = u32::from_be_bytes(bytes[start + 8..start + 12].try_into().unwrap());
        let end = start + (HEAD + body as usize).next_multiple_of(8);
        frames.push(start..end);
        start = end;
    }
    frames
}
