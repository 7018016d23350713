//! One schedule: what a seed says, from an empty disk to the last check.

use std::sync::Arc;

use super::flaw::Flaw;
use super::judge;
use super::life::{Known, Life};
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::disk::{Disk, Loss};
use crate::machine::{Plan, is_small, loss};
use crate::network::Weather;
use crate::process::Moment;
use crate::random::Random;
use crate::stage::{Outcome, play};

/// Runs what the seed says, with that flaw, if any.
pub fn run(seed: u64, flaw: Option<Flaw>, told: bool) -> Outcome {
    let mut random = Random::new(seed);
    let weather = Weather::draw(&mut random);
    play(
        || World::new(&random, weather, flaw, told),
        async |world| tell(&world, random.fork(3)).await,
    )
}

async fn tell(world: &Arc<World>, mut random: Random) {
    let disk = Disk::new(random.next());
    let disk = disk.lying(world.flaw.and_then(Flaw::lie));
    for draft in &world.drafts {
        world.say(|| format!("{draft:?}"));
    }
    let mut last = None;
    let lives = random.within(1, 3);
    for number in 0..lives {
        let plan = Plan::draw(&mut random, &Moment::SAGA);
        let mut known = random.fork(30);
        let known = || match known.below(10) {
            0 if number > 0 => Known::Not,
            1 if number > 0 => Known::Changed,
            _ => Known::Well,
        };
        let mut life = Life::start(world, number, &disk, &plan, known);
        life.serve(&mut random, plan.full).await;
        let dead = life.process.is_dead();
        if !dead && number + 1 == lives && random.chance(400) && life.is_fit() {
            last = Some(life);
            break;
        }
        if !dead && random.chance(200) {
            let patience = ms(random.below(200));
            life.shut_down(patience).await;
        } else if !dead {
            world.count(Count::Killed);
            life.process.die(world, "by chance");
        }
        life.end(loss(&mut random)).await;
    }
    world.calm();
    let last =
        last.unwrap_or_else(|| Life::start(world, lives, &disk, &Plan::default(), || Known::Well));
    end(world, last, &disk).await;
}

/// Nothing fails any more.
pub async fn end(world: &Arc<World>, mut life: Life, disk: &Disk) {
    life.heal();
    if life.sagas.is_empty() {
        life.open().await;
    }
    if let Some(sagas) = life.sagas.last().cloned() {
        judge::comes_to_an_end(world, &sagas).await;
        judge::all_is_well(world, &sagas).await;
    }
    judge::is_forgotten(world, &life).await;
    life.end(Loss::Nothing).await;
    is_small(world, disk);
}
