//! A random schedule: scripts, failures and losses of power.

use std::io::ErrorKind;

use super::disk::{Dice, Disk, Fault, Loss};
use super::model::Model;
use super::script::{play, random};
use super::sweep::goes_on;
use super::world::World;

/// What happened in some schedules. A simulation in which nothing goes wrong proves nothing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) crashes: u64,
    pub(super) failures: u64,
    pub(super) full: u64,
    pub(super) acknowledged: u64,
    pub(super) second_crashes: u64,
}

fn loss(dice: &mut Dice) -> Loss {
    match dice.below(4) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
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

/// Plays random scripts on a disk that fails at random, all of them from this seed.
pub(super) fn schedule(seed: u64, met: &mut Seen) -> Result<(), String> {
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
