//! The disk fails at every call of a story in turn, and again at every call of the recovery.

use std::sync::Arc;

use tokio::time::sleep;
use tripod::transaction::saga::SagaFilter;

use super::life::{Known, Life};
use super::schedule::end;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::{Count, Counts};
use crate::disk::{Disk, Fault, Loss};
use crate::enumerated::{ERRORS, FULL, LOSSES, Met, Trial, every_pair};
use crate::machine::Plan;
use crate::network::Weather;
use crate::random::Random;
use crate::stage::play;

/// One that goes both ways: some of its sagas are completed, some compensated.
const SEED: u64 = 3;

/// So many sagas, one after the other.
const SAGAS: u64 = 6;

fn run(trial: Trial) -> (Met, Counts) {
    let weather = Weather {
        refuses: 150,
        ..Weather::CALM
    };
    let mut met = [false; 2];
    let outcome = play(
        || World::new(&Random::new(SEED), weather, None, true),
        async |world| met = tell(&world, trial).await,
    );
    if !outcome.wrong.is_empty() {
        for line in &outcome.story {
            println!("{line}");
        }
        panic!("{trial:?}: {:?}", outcome.wrong);
    }
    (met, outcome.counts)
}

async fn tell(world: &Arc<World>, trial: Trial) -> Met {
    let disk = Disk::new(trial.first);
    let known = || Known::Well;
    let mut life = Life::start(world, 0, &disk, &trial.plan(trial.first), known);
    begin(&mut life).await;
    let first = disk.faults_met();
    life.end(trial.loss).await;

    let mut life = Life::start(world, 1, &disk, &trial.plan(trial.second), known);
    if life.open().await.is_some() {
        recover(&life).await;
    }
    let second = disk.faults_met() - first;
    life.end(trial.second_loss()).await;

    world.calm();
    let life = Life::start(world, 2, &disk, &Plan::default(), known);
    end(world, life, &disk).await;
    [first > 0, second > 0]
}

async fn begin(life: &mut Life) {
    let Some(sagas) = life.open().await else {
        return;
    };
    let client = life.client(Random::new(SEED), &sagas);
    tokio::select! {
        biased;
        () = life.process.end.cancelled() => {}
        () = client.live(SAGAS) => {}
    }
}

/// Until nothing is left to be done, or the process is dead.
async fn recover(life: &Life) {
    for _ in 0..100 {
        sleep(ms(10)).await;
        let open = life
            .sagas
            .iter()
            .any(|it| !it.list(SagaFilter::UnderWay).is_empty());
        if life.process.is_dead() || !open {
            return;
        }
    }
}

fn breaks_nothing(fault: Fault, losses: &[Loss]) {
    every_pair("sagas", fault, losses, |trial| run(trial).0);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn its_story_goes_both_ways() {
    let never = u64::MAX / 2;
    let (met, counts) = run(Trial {
        fault: Fault::Crash,
        first: never,
        loss: Loss::Nothing,
        second: never,
    });
    assert_eq!(met, [false; 2]);
    assert!(counts.of(Count::Completed) > 0, "{counts}");
    assert!(counts.of(Count::CompensatedFailed) > 0, "{counts}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_crash_at_every_call_of_sagas_and_of_the_recovery_breaks_nothing() {
    breaks_nothing(Fault::Crash, &LOSSES);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn an_error_at_every_call_and_of_the_recovery_breaks_nothing() {
    for fault in ERRORS {
        breaks_nothing(fault, &[Loss::Some(3)]);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_full_disk_at_every_call_and_of_the_recovery_breaks_nothing() {
    for fault in FULL {
        breaks_nothing(fault, &[Loss::Everything]);
    }
}
