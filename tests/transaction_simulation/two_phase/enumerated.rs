//! The disk fails at every call of a story in turn, and again at every call of the recovery.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::sleep;
use tripod::transaction::two_phase::Filter;

use super::client::Client;
use super::deals::key;
use super::judge::{self, Foreign};
use super::life::{Life, Place};
use super::schedule::in_a_world;
use super::world::World;
use crate::chronicle::ms;
use crate::disk::{Disk, Fault, Loss};
use crate::enumerated::{ERRORS, FULL, LOSSES, Met, Trial, every_pair};
use crate::machine::{Plan, is_small};
use crate::network::Weather;
use crate::random::Random;

/// What is done.
#[derive(Clone, Copy, Debug)]
enum Story {
    /// Transactions of one, two and three participants.
    Commits,
    /// So many that segments follow one another.
    Rolls,
    /// One is left in doubt, and the log is closed.
    ShutsDown,
}

/// One whose last participant cannot list its branches.
const SEED: u64 = 4;

fn run(story: Story, trial: Trial) -> Met {
    let mut met = [false; 2];
    let outcome = in_a_world(
        &Random::new(SEED),
        Weather::CALM,
        None,
        true,
        async |world| {
            met = play(&world, story, trial).await;
        },
    );
    if !outcome.wrong.is_empty() {
        for line in &outcome.story {
            println!("{line}");
        }
        panic!("{story:?}, {trial:?}: {:?}", outcome.wrong);
    }
    met
}

async fn play(world: &Arc<World>, story: Story, trial: Trial) -> Met {
    let disk = Disk::new(trial.first);
    let place = Place::File(disk.clone());
    assert!(!world.nodes[2].lists, "another seed is needed");
    let foreign = Foreign::settle_in(world).await;
    let latest = Arc::<AtomicU64>::default();
    let mut life = Life::start(world, 0, &place, &latest, &trial.plan(trial.first));
    tell(&mut life, story).await;
    let first = disk.faults_met();
    if first == 0 && matches!(story, Story::Rolls) {
        let names = disk.names();
        let rolled = !names
            .iter()
            .any(|name| name.ends_with("-0000000000000001.segment"));
        assert!(rolled, "no segment has followed: {names:?}");
    }
    life.end(trial.loss).await;

    let mut life = Life::start(world, 1, &place, &latest, &trial.plan(trial.second));
    if life.open().await.is_some() {
        recover(&life).await;
    }
    let second = disk.faults_met() - first;
    life.end(trial.second_loss()).await;

    let mut life = Life::start(world, 2, &place, &latest, &Plan::default());
    life.open().await;
    judge::comes_to_an_end(&life).await;
    life.end(Loss::Nothing).await;
    judge::all_is_well(world, &foreign).await;
    is_small(world, &disk);
    [first > 0, second > 0]
}

async fn tell(life: &mut Life, story: Story) {
    let Some(participants) = life.open().await else {
        return;
    };
    let mut client = life.client(Random::new(SEED), &participants);
    let died = client.process.end.clone();
    let told = async {
        let transactions = match story {
            Story::Commits => 4,
            Story::Rolls => 40,
            Story::ShutsDown => 2,
        };
        for number in 0..transactions {
            let branches: &[usize] = [&[0, 1][..], &[2], &[2, 0, 1], &[1]][number % 4];
            transact(&mut client, branches).await;
        }
    };
    tokio::select! {
        biased;
        () = died.cancelled() => return,
        () = told => {}
    }
    if let Story::ShutsDown = story {
        life.shut_down(ms(50)).await;
    }
}

/// Writes at all of these, and commits; gives up where something fails.
async fn transact(client: &mut Client, branches: &[usize]) {
    let Some((mut active, number)) = client.begin().await else {
        sleep(ms(30)).await;
        return;
    };
    for index in branches {
        let Ok(branch) = active.enlist(&client.participants[*index]).await else {
            return;
        };
        client.world.deals.lock().all[number].branches += 1;
        client.world.deals.lock().all[number].writes.insert(*index);
        if branch.set(&key(number), 1).await.is_err() {
            return;
        }
    }
    client.commit(active, number).await;
}

/// Until nothing is left to be done, or the process is dead.
async fn recover(life: &Life) {
    for _ in 0..100 {
        sleep(ms(10)).await;
        let open =
            |it: &tripod::transaction::two_phase::Coordinator| !it.list(Filter::All).is_empty();
        if life.process.is_dead() || !life.coordinators.iter().any(open) {
            return;
        }
    }
}

fn breaks_nothing(story: Story, fault: Fault, losses: &[Loss]) {
    every_pair(&format!("{story:?}"), fault, losses, |trial| {
        run(story, trial)
    });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_crash_at_every_call_of_commits_and_of_the_recovery_breaks_nothing() {
    breaks_nothing(Story::Commits, Fault::Crash, &LOSSES);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_crash_at_every_call_while_segments_follow_one_another_breaks_nothing() {
    breaks_nothing(Story::Rolls, Fault::Crash, &[Loss::Some(3)]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_crash_at_every_call_of_a_shutdown_breaks_nothing() {
    breaks_nothing(Story::ShutsDown, Fault::Crash, &LOSSES);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn an_error_at_every_call_and_of_the_recovery_breaks_nothing() {
    for fault in ERRORS {
        breaks_nothing(Story::Commits, fault, &[Loss::Some(3)]);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes long unless optimised")]
fn a_full_disk_at_every_call_and_of_the_recovery_breaks_nothing() {
    for fault in FULL {
        breaks_nothing(Story::Commits, fault, &[Loss::Everything]);
    }
}
