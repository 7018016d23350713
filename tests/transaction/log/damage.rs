//! What does not read back as it was written: told where it was durable, cut where nobody was
//! told of it, and never a panic.

use proptest::prelude::*;
use tripod::transaction::log::{Flaw, LogError, Opened};

use super::disk::{Dice, Disk, Fault, Lie, Loss, SECTOR};
use super::model::Model;
use super::script::{self, play};
use super::world::World;

/// A log that was used, and shut down cleanly or not.
fn used(clean: bool) -> World {
    let mut world = World::new(Disk::new(1), Model::default());
    let script = script::appends();
    let steps = script.len() - usize::from(!clean);
    play(&mut world, &script[..steps]).unwrap();
    world.restart(Loss::Nothing)
}

fn segment(disk: &Disk) -> String {
    let names = disk.names();
    let mut segments = names.into_iter().filter(|name| name.ends_with(".segment"));
    let segment = segments.next().unwrap();
    assert_eq!(segments.next(), None, "there is one segment");
    segment
}

/// Opens a log whose segment holds these bytes.
fn open_with(world: &World, name: &str, bytes: Vec<u8>) -> Result<Opened, LogError> {
    let mut other = World::fork(&world.disk, &Model::default());
    other.disk.put(name, bytes);
    other.open_unwatched()
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_damage() {
    let world = used(true);
    let name = segment(&world.disk);
    let bytes = world.disk.read(&name);
    assert!(open_with(&world, &name, bytes.clone()).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match open_with(&world, &name, bad) {
            Err(LogError::Damaged { segment, .. }) => assert_eq!(segment, name),
            other => panic!("bit {bit}: {other:?}"),
        }
    }
}

/// Whether words of the seal are missing, and nothing else is other than it was.
fn tears_the_seal(bytes: &[u8], bad: &[u8]) -> bool {
    let words = bytes.chunks(8).zip(bad.chunks(8)).enumerate();
    let mut differ = words.filter(|(_, (word, bad))| word != bad);
    let seal = (bytes.len() - SECTOR) / 8;
    bytes.len() == bad.len() && differ.all(|(at, (_, bad))| at >= seal && bad == [0; 8])
}

#[test]
fn a_seal_that_the_power_tore_is_cut_wherever_it_is_torn() {
    let world = used(true);
    let name = segment(&world.disk);
    let bytes = world.disk.read(&name);
    let whole = open_with(&world, &name, bytes.clone()).unwrap();
    let start = bytes.len() - SECTOR;
    for cut in (start..=bytes.len()).step_by(8) {
        let (mut first, mut last) = (bytes.clone(), bytes.clone());
        first[cut..].fill(0);
        last[start..cut].fill(0);
        for torn in [first, last] {
            let opened = open_with(&world, &name, torn.clone()).unwrap();
            assert_eq!(opened.live(), whole.live());
            // All before the seal was durable, so a torn seal excuses nothing.
            if torn[start..].iter().any(|byte| *byte != 0) {
                let mut bad = torn;
                bad[start - 8..start].fill(1);
                let opened = open_with(&world, &name, bad);
                assert!(
                    matches!(opened, Err(LogError::Damaged { .. })),
                    "{opened:?}"
                );
            }
        }
    }
}

#[test]
fn a_shutdown_that_the_power_interrupts_loses_nothing() {
    let mut torn = 0;
    for seed in 0..400 {
        let mut world = World::new(Disk::new(seed), Model::default());
        let script = script::create();
        play(&mut world, &script).unwrap();
        // Some of these calls write and sync the seal.
        world.disk.fail_at(seed % 4, Fault::Crash);
        let _ = world.close();
        let mut world = world.restart(Loss::Garbled(seed));
        let name = segment(&world.disk);
        let bytes = world.disk.read(&name);
        let seal = &bytes[bytes.len() - SECTOR..];
        let whole = seal[..SECTOR / 2] == seal[SECTOR / 2..];
        torn += u64::from(!whole);
        world.open(0).unwrap().unwrap();
    }
    println!("{torn} seals were torn");
    assert!(torn > 20, "{torn}");
}

#[test]
fn every_flipped_bit_below_what_a_later_frame_calls_durable_is_damage() {
    let mut world = World::new(Disk::new(1), Model::default());
    play(&mut world, &script::create()).unwrap();
    let last = segment(&world.disk);
    let before = world.disk.read(&last);
    play(&mut world, &script::create()[1..]).unwrap();
    let world = world.restart(Loss::Everything);
    let after = world.disk.read(&last);
    let end = before.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for bit in 0..end * 8 {
        let mut bad = after.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let opened = open_with(&world, &last, bad);
        assert!(
            matches!(opened, Err(LogError::Damaged { .. })),
            "bit {bit}: {opened:?}"
        );
    }
}

#[test]
fn damage_is_told_with_its_place() {
    let world = used(false);
    let name = segment(&world.disk);
    let mut bytes = world.disk.read(&name);
    bytes[64 + 20] ^= 1;
    let opened = open_with(&world, &name, bytes);
    let Err(LogError::Damaged {
        segment,
        offset,
        flaw,
    }) = opened
    else {
        panic!("{opened:?}");
    };
    assert_eq!((segment, offset, flaw), (name, 64, Flaw::Durable));
}

#[test]
fn a_disk_that_reads_wrongly_is_told() {
    let world = used(false);
    let lying = world.disk.fork().lying(Some(Lie::ReadsWrongly));
    let opened = World::new(lying, Model::default()).open_unwatched();
    assert!(
        matches!(opened, Err(LogError::Damaged { .. })),
        "{opened:?}"
    );
}

#[test]
fn a_damaged_log_is_left_as_it_was() {
    let mut world = used(true);
    let name = segment(&world.disk);
    let mut bytes = world.disk.read(&name);
    bytes[70] ^= 1;
    world.disk.put(&name, bytes.clone());
    for _ in 0..3 {
        assert!(world.open(0).unwrap().is_err());
    }
    assert_eq!(world.disk.read(&name), bytes);
    assert_eq!(segment(&world.disk), name);
}

#[test]
fn a_torn_last_batch_is_cut_wherever_it_is_torn() {
    let mut world = World::new(Disk::new(1), Model::default());
    play(&mut world, &script::create()).unwrap();
    let name = segment(&world.disk);
    let before = world.disk.read(&name);
    let big = script::appends()[2].clone();
    play(&mut world, &[big]).unwrap();
    let world = world.restart(Loss::Everything);
    let after = world.disk.read(&name);
    let dirty: Vec<_> = (0..after.len() / SECTOR)
        .filter(|sector| {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            before[range.clone()] != after[range]
        })
        .collect();
    assert!(dirty.len() > 2, "the batch is in several sectors");
    for lost in 1..1_u32 << dirty.len() {
        let mut torn = after.clone();
        for (number, sector) in dirty.iter().enumerate() {
            if lost >> number & 1 == 1 {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                torn[range.clone()].copy_from_slice(&before[range]);
            }
        }
        let opened = open_with(&world, &name, torn).unwrap();
        assert!(!opened.live().is_empty(), "what was durable before stays");
    }
}

#[test]
fn a_truncated_segment_is_damage_at_every_length() {
    let world = used(true);
    let name = segment(&world.disk);
    let bytes = world.disk.read(&name);
    for len in 0..bytes.len() {
        let opened = open_with(&world, &name, bytes[..len].to_vec());
        assert!(
            matches!(opened, Err(LogError::Damaged { .. })),
            "{len}: {opened:?}"
        );
    }
}

/// Writes over some bytes of the segment.
fn scribbled(bytes: &[u8], scribbles: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, scribble) in scribbles {
        let at = usize::from(*at) % bytes.len();
        for (to, from) in bytes[at..].iter_mut().zip(scribble) {
            *to = *from;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_an_error(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let world = used(true);
        let opened = open_with(&world, &segment(&world.disk), bytes);
        prop_assert!(matches!(opened, Err(LogError::Damaged { .. })), "{opened:?}");
    }

    #[test]
    fn a_sealed_segment_that_was_written_over_is_damage(
        scribbles in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 1..99)), 1..4)
    ) {
        let world = used(true);
        let name = segment(&world.disk);
        let bytes = world.disk.read(&name);
        let bad = scribbled(&bytes, &scribbles);
        prop_assume!(!tears_the_seal(&bytes, &bad));
        let opened = open_with(&world, &name, bad);
        prop_assert!(matches!(opened, Err(LogError::Damaged { .. })), "{opened:?}");
    }

    #[test]
    fn an_open_segment_that_was_written_over_gives_back_a_past_or_an_error(
        seed in any::<u64>(),
        scribbles in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 1..99)), 1..4)
    ) {
        let mut dice = Dice::new(seed);
        let mut world = World::new(Disk::new(seed), Model::default());
        play(&mut world, &script::random(&mut dice)).unwrap();
        world = world.restart(Loss::Nothing);
        let Some(name) = world.disk.names().into_iter().rfind(|name| name.ends_with(".segment")) else {
            return Ok(());
        };
        let bad = scribbled(&world.disk.read(&name), &scribbles);
        // It must not panic; what it gives back is checked where sectors are lost.
        let _ = open_with(&world, &name, bad);
    }
}
