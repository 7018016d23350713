//! Where a schedule is played: a runtime of its own, on paused time.

use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::chronicle::{Chronicle, ms};
use crate::counts::{Count, Counts, Of};
use crate::seeds::{Tally, Told, play_again, play_all};

/// How many schedules.
const SCHEDULES: u64 = if cfg!(debug_assertions) { 300 } else { 100_000 };

/// So many show everything that is counted; fewer need not.
const TELLING: u64 = 20_000;

/// How often a seed is run to see what it broke: `select!` draws whom to ask first from the
/// system's randomness, so a story may take another turn.
const RUNS: usize = 200;

/// What came of a schedule.
pub struct Outcome {
    pub counts: Counts,
    pub wrong: Vec<String>,
    pub story: Vec<String>,
}

impl Tally for Counts {
    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }
}

impl Told for Outcome {
    type Tally = Counts;
    type Wrong = String;

    fn tally(&self) -> &Counts {
        &self.counts
    }

    fn wrong(&self) -> &[Self::Wrong] {
        &self.wrong
    }
}

/// Runs a story in a world of its own, on paused time.
pub fn play<W: Deref<Target = Arc<Chronicle>>>(
    world: impl FnOnce() -> Arc<W>,
    story: impl AsyncFnOnce(Arc<W>),
) -> Outcome {
    notice();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    PANICKED.set(false);
    TORN.set(0);
    let world = runtime.block_on(async { world() });
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

/// Within how many schedules a flaw has to show.
const CAUGHT_WITHIN: u64 = 10_000;

/// Plays schedules until one shows what is wrong.
pub fn is_caught(flaw: &str, run: impl Fn(u64) -> Outcome) {
    for seed in 1..=CAUGHT_WITHIN {
        let outcome = run(seed);
        if let Some(wrong) = outcome.wrong.first() {
            println!("{flaw}: seed {seed}: {wrong:.120}");
            return;
        }
    }
    panic!("{flaw} goes unnoticed");
}

/// Declares a test for each of these flaws.
macro_rules! caught {
    ($run:path, $flaw:ident: $($name:ident = $which:ident $(($lie:expr))?,)*) => {
        $(#[test]
        fn $name() {
            let flaw = $flaw::$which $(($lie))?;
            let run = |seed| $run(seed, Some(flaw), false);
            crate::stage::is_caught(&format!("{flaw:?}"), run);
        })*
    };
}
pub(crate) use caught;

/// Plays many schedules: none fails, and what is counted is not too rare.
pub fn play_many(simulation: Of, run: impl Fn(u64, bool) -> Outcome + Sync, see: &str) {
    let (count, counts) = play_all(SCHEDULES, |seed| run(seed, false), see);
    let missing = counts.missing(simulation, count);
    assert!(
        count < TELLING || missing.is_empty(),
        "too rare: {missing:?}"
    );
}

/// Tells the story of one seed.
pub fn replayed(run: impl Fn(u64, bool) -> Outcome, see: &str) {
    let show = |outcome: &Outcome| {
        for line in &outcome.story {
            println!("{line}");
        }
    };
    play_again(RUNS, |seed| run(seed, true), show, see);
}

/// Plays each of some seeds twice: nearly all tell the same story.
pub fn told_alike(run: impl Fn(u64, bool) -> Outcome) {
    let (mut same, seeds) = (0, 200);
    for seed in 1..=seeds {
        let (one, other) = (run(seed, true).story, run(seed, true).story);
        match one.iter().zip(&other).find(|(one, other)| one != other) {
            Some((one, other)) => println!("seed {seed}: {one:.200}\n      and: {other:.200}"),
            None => same += 1,
        }
    }
    println!("{same} of {seeds} seeds told the same story twice");
    assert!(same >= 190);
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
    static TORN: Cell<u64> = const { Cell::new(0) };
}

/// Writes down, for the thread, that something panics, or that recovery cuts a torn tail.
fn notice() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            hook(panic);
        }));
        let _ = tracing::subscriber::set_global_default(Ear);
    });
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
