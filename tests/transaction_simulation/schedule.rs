//! One schedule: what a seed says, from an empty disk to the last check.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tripod::transaction::log::MemoryLog;
use tripod::transaction::two_phase::OpenError;

use crate::counts::{Count, Counts};
use crate::disk::{Disk, Loss};
use crate::distant::Distant;
use crate::flaw::Flaw;
use crate::judge::{self, Foreign};
use crate::life::{Life, Place, Plan, open};
use crate::random::Random;
use crate::world::{Weather, World, ms};

/// What came of a schedule.
pub struct Outcome {
    pub counts: Counts,
    pub wrong: Vec<String>,
    pub story: Vec<String>,
}

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
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    PANICKED.set(false);
    TORN.set(0);
    let world = runtime.block_on(async { World::new(random, weather, flaw, told) });
    let ran = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let story = story(Arc::clone(&world));
            if timeout(ms(600_000), story).await.is_err() {
                world.wrong("it does not come to an end".into());
            }
        });
    }));
    drop(runtime);
    if ran.is_err() || PANICKED.get() {
        world.wrong("something panicked, see above".into());
    }
    world.count_many(Count::TornBatch, TORN.get());
    let (counts, wrong, story) = world.take();
    Outcome {
        counts,
        wrong,
        story,
    }
}

async fn tell(world: &Arc<World>, mut random: Random) {
    let place = if random.chance(750) {
        let disk = Disk::new(random.next());
        Place::File(disk.lying(world.flaw.and_then(Flaw::lie)))
    } else {
        Place::Shared(MemoryLog::new())
    };
    let foreign = Foreign::settle_in(world).await;
    let latest = Arc::<AtomicU64>::default();
    let mut weather = JoinSet::new();
    for number in 0..random.below(4) {
        weather.spawn(storm(Arc::clone(world), random.fork(20 + number)));
    }
    let mut zombies = Vec::new();
    let mut copy = None;
    let mut last = None;
    let lives = random.within(1, 3);
    for number in 0..lives {
        let plan = Plan::draw(&mut random);
        let mut life = Life::start(world, number, &place, &latest, &plan);
        life.serve(&mut random, plan.full).await;
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
        let loss = loss(&mut random);
        life.end(loss).await;
        match &place {
            // A copy of what may yet be lost is not of the past.
            Place::File(disk) if copy.is_none() && loss != Loss::Nothing && random.chance(300) => {
                copy = Some(disk.fork());
            }
            Place::Shared(log) if random.chance(200) => log.crash(),
            Place::File(_) | Place::Shared(_) => {}
        }
    }
    weather.shutdown().await;
    world.calm();
    for node in &world.nodes {
        node.reach();
    }
    for zombie in zombies {
        zombie.process.die(world, "as a zombie");
        zombie.end(Loss::Nothing).await;
    }
    let mut life = match last {
        Some(life) if !life.is_superseded().await => life,
        Some(life) => {
            life.end(Loss::Nothing).await;
            Life::start(world, lives, &place, &latest, &Plan::default())
        }
        None => Life::start(world, lives, &place, &latest, &Plan::default()),
    };
    life.heal();
    if life.coordinators.is_empty() {
        life.open().await;
    }
    judge::comes_to_an_end(&life).await;
    // A participant that takes every epoch takes this one too.
    if let Some(copy) = copy.filter(|_| !world.has(Flaw::EpochsComeAgain)) {
        copy.heal();
        is_refused(world, copy).await;
    }
    life.end(Loss::Nothing).await;
    sleep(ms(1)).await;
    judge::all_is_well(world, &foreign).await;
    if let Place::File(disk) = &place {
        judge::is_small(world, disk.used());
    }
}

/// Something happens to a participant.
async fn storm(world: Arc<World>, mut random: Random) {
    sleep(ms(random.below(400))).await;
    let node = Arc::clone(&world.nodes[usize::try_from(random.below(3)).unwrap()]);
    match random.below(3) {
        0 => node.crash(&world),
        1 => node.cut(&world, ms(random.within(20, 300))),
        _ => {
            node.crash(&world);
            node.cut(&world, ms(random.within(20, 300)));
        }
    }
}

pub fn loss(random: &mut Random) -> Loss {
    match random.below(6) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
        2 | 3 => Loss::Some(random.next()),
        _ => Loss::Garbled(random.next()),
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

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
    static TORN: Cell<u64> = const { Cell::new(0) };
}

/// Writes down, for the thread, that something panics, or that recovery cuts a torn tail.
pub fn notice() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICKED.set(true);
        hook(panic);
    }));
    let _ = tracing::subscriber::set_global_default(Ear);
}

/// Hears what the recovery of the log says of torn tails, and nothing else.
struct Ear;

impl tracing::Subscriber for Ear {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        let recovery = metadata.target().ends_with("log::file::recovery");
        let fields = metadata.fields();
        recovery && *metadata.level() == tracing::Level::WARN && fields.field("offset").is_some()
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        TORN.set(TORN.get() + 1);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
