//! One schedule: what a seed says, from an empty disk to the last check.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::two_phase::{OpenError, Outcome as Did};

use super::distant::Distant;
use super::flaw::Flaw;
use super::judge::{self, Foreign};
use super::life::{Life, Place, open};
use super::node::Node;
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
    in_a_world(&random, weather, flaw, told, async |world| {
        tell(&world, random.fork(3)).await;
    })
}

/// Runs a story in a world of its own, on paused time.
pub fn in_a_world(
    random: &Random,
    weather: Weather,
    flaw: Option<Flaw>,
    told: bool,
    story: impl AsyncFnOnce(Arc<World>),
) -> Outcome {
    play(|| World::new(random, weather, flaw, told), story)
}

async fn tell(world: &Arc<World>, mut random: Random) {
    let place = if random.chance(750) {
        let disk = Disk::new(random.next());
        Place::File(disk.lying(world.flaw.and_then(Flaw::lie)))
    } else {
        Place::Shared(MemoryLog::new())
    };
    let foreign = Foreign::settle_in(world).await;
    if random.chance(300) {
        let past = Node::new(world.nodes.len(), "past", true);
        world.past.set(Arc::new(past)).unwrap();
    }
    let mut weather = JoinSet::new();
    for number in 0..random.below(6) {
        weather.spawn(storm(Arc::clone(world), random.fork(20 + number)));
    }
    let past = lives(world, &mut random, &place).await;
    weather.shutdown().await;
    world.calm();
    for node in &world.nodes {
        node.reach();
        node.allow();
    }
    come_to_an_end(world, &place, past, &foreign).await;
}

/// What the lives of a story have left.
struct Past {
    lives: u64,
    latest: Arc<AtomicU64>,
    zombies: Vec<Life>,
    /// Of the log, of an earlier life.
    copy: Option<Disk>,
    /// The last one, if it goes on.
    last: Option<Life>,
}

async fn lives(world: &Arc<World>, random: &mut Random, place: &Place) -> Past {
    let latest = Arc::<AtomicU64>::default();
    let mut zombies = Vec::new();
    let mut copy = None;
    let mut last = None;
    let lives = random.within(1, 3);
    for number in 0..lives {
        let plan = Plan::draw(random, &Moment::TWO_PHASE);
        let mut life = Life::start(world, number, place, &latest, &plan);
        life.serve(random, plan.full).await;
        let dead = life.process.is_dead();
        let shared = matches!(place, Place::Shared(_));
        if !dead && number + 1 == lives && random.chance(400) {
            life.heal();
            last = Some(life);
            break;
        }
        match random.below(10) {
            0..2 if !dead => {
                let patience = ms(random.below(200));
                life.shut_down(patience).await;
            }
            2..7 if !dead && shared => {
                world.count(Count::ZombieServes);
                zombies.push(life);
                continue;
            }
            _ if !dead => {
                world.count(Count::Killed);
                life.process.die(world, "by chance");
            }
            _ => {}
        }
        let loss = loss(random);
        life.end(loss).await;
        match place {
            // A copy of what may yet be lost is not of the past.
            Place::File(disk) if copy.is_none() && loss != Loss::Nothing && random.chance(300) => {
                copy = Some(disk.fork());
            }
            Place::Shared(log) if random.chance(200) => log.crash(),
            Place::File(_) | Place::Shared(_) => {}
        }
    }
    Past {
        lives,
        latest,
        zombies,
        copy,
        last,
    }
}

async fn come_to_an_end(world: &Arc<World>, place: &Place, past: Past, foreign: &Foreign) {
    for zombie in past.zombies {
        zombie.process.die(world, "as a zombie");
        zombie.end(Loss::Nothing).await;
    }
    let mut life = match past.last {
        Some(life) => {
            life.keeps_its_log().await;
            life
        }
        None => Life::start(world, past.lives, place, &past.latest, &Plan::default()),
    };
    life.heal();
    if life.coordinators.is_empty() {
        life.open().await;
    }
    judge::comes_to_an_end(&life).await;
    // A participant that takes every epoch takes this one too.
    if let Some(copy) = past.copy.filter(|_| !world.has(Flaw::EpochsComeAgain)) {
        copy.heal();
        is_refused(world, copy).await;
    }
    life.end(Loss::Nothing).await;
    sleep(ms(1)).await;
    judge::all_is_well(world, foreign).await;
    if let Place::File(disk) = place {
        is_small(world, disk);
    }
}

/// Something happens to a participant.
async fn storm(world: Arc<World>, mut random: Random) {
    sleep(ms(random.below(400))).await;
    let node = Arc::clone(&world.nodes[usize::try_from(random.below(3)).unwrap()]);
    match random.below(6) {
        0 => node.crash(&world),
        1 => node.cut(&world, ms(random.within(20, 300))),
        2 => node.forbid(&world, ms(random.within(20, 300))),
        3 | 4 => {
            let did = random.of(&[Did::Committed, Did::Aborted]);
            while !node.force(&world, did).await {
                sleep(ms(1)).await;
            }
        }
        _ => {
            node.crash(&world);
            node.cut(&world, ms(random.within(20, 300)));
        }
    }
}

/// A copy of the log from earlier days is of no use.
async fn is_refused(world: &Arc<World>, copy: Disk) {
    copy.reboot(Loss::Nothing);
    let latest = Arc::<AtomicU64>::default();
    let place = Place::File(copy);
    let life = Life::start(world, 100, &place, &latest, &Plan::default());
    let participants = Distant::all(world, &life.process);
    match open(life.log().clone(), &participants).await {
        Err(OpenError::Participant { source, .. }) if source.is_stale() => {
            world.count(Count::StaleCopy);
        }
        opened => world.wrong(format!("a stale copy was opened: {opened:?}")),
    }
    life.end(Loss::Nothing).await;
}
