//! The process that the power is cut under.
//!
//! A few lanes append at once. The append of a lane's record ends the one that came so many
//! before, so that the log holds a window of each lane. It writes to its output what it found
//! (`found LANE FIRST LAST`), that the log is `open`, and each append that was acknowledged
//! (`ack LANE NUMBER`).

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use futures_util::future::join_all;
use tripod::transaction::Epoch;
use tripod::transaction::log::{
    Durability, FileLog, FileLogOptions, LiveRecord, Record, Subject, SubjectKey, TransactionLog,
};

use super::syncs::{Forgetful, Syncs};

/// The argument that makes this program the child.
pub const ROLE: &str = "power-cut-child";
/// So many append at once.
pub const LANES: u64 = 4;
/// So many records of a lane live.
pub const WINDOW: u64 = 8;

#[tokio::main(flavor = "current_thread")]
pub async fn work(directory: &Path, syncs: Syncs) {
    let storage = Forgetful::new(directory);
    // Segments so short that many follow one another between two cuts.
    let options = FileLogOptions::default().segment_len(1 << 15);
    let (log, writer) = FileLog::on(storage.clone(), options);
    thread::spawn(move || writer.run());
    let opened = match log.open(0).await {
        Ok(opened) => opened,
        Err(error) => return println!("failed to open: {error:?}"),
    };
    let found = match found(opened.live()) {
        Ok(found) => found,
        Err(what) => return println!("failed: {what}"),
    };
    for (lane, (first, last)) in &found {
        println!("found {lane} {first} {last}");
    }
    if syncs == Syncs::NoAppends {
        storage.forget();
    }
    println!("open");
    let next = |lane| found.get(&lane).map_or(1, |(_, last)| last + 1);
    join_all((0..LANES).map(|lane| append(&log, opened.epoch(), lane, next(lane)))).await;
}

/// Appends for ever, or until an append fails.
async fn append(log: &FileLog, epoch: Epoch, lane: u64, first: u64) {
    for number in first.. {
        let record = Record::new(subject(lane, number), payload(lane, number)).unwrap();
        let mut records = vec![record];
        if let Some(past) = number.checked_sub(WINDOW) {
            records.push(Record::end(subject(lane, past)));
        }
        match log.append(epoch, records, Durability::Forced, None).await {
            Ok(()) => println!("ack {lane} {number}"),
            Err(error) => return println!("failed to append: {error:?}"),
        }
    }
}

/// The first and the last of each lane; those between must be there, in their order and whole.
fn found(live: &[LiveRecord]) -> Result<BTreeMap<u64, (u64, u64)>, String> {
    let mut found = BTreeMap::new();
    for live in live {
        let record = live.record();
        let (lane, number) = read(record.subject()).ok_or(format!("what is {record:?}?"))?;
        if record.payload() != payload(lane, number) {
            return Err(format!("record {number} of lane {lane} has changed"));
        }
        let (_, last) = found.entry(lane).or_insert((number, number - 1));
        if number != *last + 1 {
            return Err(format!("lane {lane}: {number} comes after {last}"));
        }
        *last = number;
    }
    Ok(found)
}

fn subject(lane: u64, number: u64) -> Subject {
    Subject::Saga(SubjectKey::new(format!("{lane} {number}")).unwrap())
}

fn read(subject: &Subject) -> Option<(u64, u64)> {
    let Subject::Saga(key) = subject else {
        return None;
    };
    let (lane, number) = std::str::from_utf8(key.as_bytes()).ok()?.split_once(' ')?;
    Some((lane.parse().ok()?, number.parse().ok()?))
}

/// From a few bytes to several sectors.
fn payload(lane: u64, number: u64) -> Vec<u8> {
    let mixed = (number * LANES + lane).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = usize::try_from(mixed >> 32).unwrap() % 1500;
    let bytes = mixed.to_be_bytes().into_iter().cycle();
    bytes.take(len).collect()
}
