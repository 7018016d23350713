//! Random scripts on a disk that fails at random: each schedule is its seed.
//!
//! `TRIPOD_SCHEDULES` says how many, `TRIPOD_SEED` with which to begin.

use std::env;
use std::io::ErrorKind;

use super::crash::goes_on;
use super::disk::{Dice, Disk, Fault, Loss};
use super::model::Model;
use super::script::{play, random};
use super::world::World;

/// What happened in some schedules. A simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default)]
struct Seen {
    crashes: u64,
    failures: u64,
    full: u64,
    acknowledged: u64,
    second_crashes: u64,
}

pub(super) fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn loss(dice: &mut Dice) -> Loss {
    match dice.below(5) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
        2 => Loss::Garbled(dice.next()),
        _ => Loss::Some(dice.next()),
    }
}

fn fault(dice: &mut Dice, met: &mut Seen) -> Fault {
    match dice.below(8) {
        0 => Fault::Once(ErrorKind::Other),
        1 => Fault::From(ErrorKind::Other),
        2 => {
            met.full += 1;
            Fault::From(ErrorKind::StorageFull)
        }
        _ => Fault::Crash,
    }
}

fn schedule(seed: u64, met: &mut Seen) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut world = World::new(Disk::new(seed), Model::default());
    let mut crashes = 0;
    for _ in 0..=dice.below(4) {
        let script = random(&mut dice);
        if dice.below(8) > 0 {
            let magnitude = dice.below(9);
            let call = dice.below(1 << magnitude);
            let fault = fault(&mut dice, met);
            world.disk.fail_at(call, fault);
        }
        play(&mut world, &script)?;
        if world.disk.is_crashed() {
            crashes += 1;
        } else if world.disk.faults_met() > 0 {
            met.failures += 1;
        }
        world.disk.heal();
        let loss = loss(&mut dice);
        world = world.restart(loss);
    }
    met.crashes += crashes;
    met.second_crashes += u64::from(crashes > 1);
    met.acknowledged += world.model.acknowledged;
    goes_on(world)
}

#[test]
fn no_schedule_loses_what_was_promised_or_brings_back_what_was_void() {
    let (first, schedules) = (number("TRIPOD_SEED", 1), number("TRIPOD_SCHEDULES", 3000));
    let mut met = Seen::default();
    for seed in first..first + schedules {
        if let Err(what) = schedule(seed, &mut met) {
            panic!("TRIPOD_SEED={seed} TRIPOD_SCHEDULES=1: {what}");
        }
    }
    println!("{schedules} schedules from seed {first}: {met:?}");
    if schedules >= 3000 {
        let enough = schedules / 30;
        assert!(
            met.crashes > enough && met.second_crashes > enough,
            "{met:?}"
        );
        assert!(met.failures > enough && met.full > enough, "{met:?}");
        assert!(met.acknowledged > schedules, "{met:?}");
    }
}
