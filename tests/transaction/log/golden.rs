//! Segments that were written once and must open for ever.
//!
//! `TRIPOD_BLESS=1` writes those that are missing; it changes none.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tripod::transaction::log::{Durability, FORMAT_VERSION, LogError, Record, Subject, SubjectKey};
use tripod::transaction::{CoordinatorId, Epoch, TransactionId};

use super::disk::{Disk, Loss};
use super::model::Model;
use super::world::World;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transaction/log/golden")
}

fn records() -> Vec<Record> {
    let id = TransactionId::new(
        CoordinatorId::from_u128(7 << 100),
        Epoch::new(3).unwrap(),
        9,
    );
    let key = |text: &str| SubjectKey::new(text).unwrap();
    vec![
        Record::new(Subject::Transaction(id), "commit: orders, stock").unwrap(),
        Record::new(Subject::Saga(key("order/17")), vec![0xff; 70]).unwrap(),
        Record::new(Subject::Fact(key("")), "").unwrap(),
    ]
}

/// A log with what lives carried and appended, shut down cleanly or not.
fn written(clean: bool) -> World {
    let mut world = World::new(Disk::new(1), Model::default());
    world.open(0).unwrap().unwrap();
    let mut all = records();
    let last = all.pop().unwrap();
    world.append(vec![(all, Durability::Forced)]);
    world.open(41).unwrap().unwrap();
    world.append(vec![(vec![last], Durability::Forced)]);
    if clean {
        world.close().unwrap().unwrap();
    }
    world.restart(Loss::Everything)
}

fn bless() {
    for (kind, clean) in [("sealed", true), ("open", false)] {
        let directory = directory().join(format!("v{FORMAT_VERSION}-{kind}"));
        if directory.exists() {
            continue;
        }
        fs::create_dir_all(&directory).unwrap();
        let world = written(clean);
        for name in world.disk.names() {
            if name.ends_with(".segment") {
                fs::write(directory.join(&name), world.disk.read(&name)).unwrap();
            }
        }
    }
}

/// A disk with the files of a directory.
fn load(directory: &Path) -> Disk {
    let disk = Disk::new(1);
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        disk.put(&name, fs::read(entry.path()).unwrap());
    }
    disk
}

#[test]
fn golden_segments_of_every_version_open() {
    if env::var_os("TRIPOD_BLESS").is_some() {
        bless();
    }
    for version in 1..=FORMAT_VERSION {
        for kind in ["sealed", "open"] {
            let disk = load(&directory().join(format!("v{version}-{kind}")));
            let opened = World::new(disk, Model::default()).open_unwatched().unwrap();
            assert_eq!(opened.epoch().as_u64(), 42);
            let live = opened.live().iter().map(|live| live.record().clone());
            assert_eq!(live.collect::<Vec<_>>(), records());
            let epochs = opened.live().iter().map(|live| live.epoch().as_u64());
            assert_eq!(epochs.collect::<Vec<_>>(), [1, 1, 41]);
        }
    }
}

#[test]
fn a_later_format_is_told_apart_from_damage() {
    let disk = load(&directory().join("v1-sealed"));
    let name = disk.names().remove(0);
    let mut bytes = disk.read(&name);
    bytes[11] = FORMAT_VERSION + 1;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&checksum.to_be_bytes());
    disk.put(&name, bytes);
    let opened = World::new(disk, Model::default()).open_unwatched();
    let Err(LogError::Newer { segment, version }) = opened else {
        panic!("{opened:?}");
    };
    assert_eq!((segment, version), (name, u32::from(FORMAT_VERSION) + 1));
}
