//! Histories at random, each step of which the model foresees.

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{Claimed, Enqueued};
use crate::lock::fence::FencePass;
use crate::lock::name::LockName;
use crate::lock::queue::{Mode, Waiter};

use super::Case;
use super::model::Model;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    histories_of_readers_and_writers_are_as_judged: JUDGED, ENQUEUE, CLAIM, RELEASE, TOKEN, INSPECT;
    histories_of_permits_are_as_judged: JUDGED, ENQUEUE, CLAIM, RELEASE, TOKEN, INSPECT;
];

/// Steps of a history: enough to meet most combinations in a few runs.
const STEPS: usize = 80;
/// Parties at a time: enough for a queue.
const PARTIES: u64 = 6;

async fn histories_of_readers_and_writers_are_as_judged(scene: &Scene<'_>) -> Outcome {
    let modes = [Mode::Exclusive, Mode::Shared, Mode::Shared];
    history(scene, modes, scene.seed()).await
}

async fn histories_of_permits_are_as_judged(scene: &Scene<'_>) -> Outcome {
    let modes = [permits(1, 4)?, permits(2, 4)?, permits(4, 4)?];
    history(scene, modes, !scene.seed()).await
}

/// Numbers that look random: S. Vigna, `SplitMix64`, 2015.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn choose<T: Copy>(&mut self, [one, two, three]: [T; 3]) -> T {
        match self.below(3) {
            0 => one,
            1 => two,
            _ => three,
        }
    }
}

async fn history(scene: &Scene<'_>, modes: [Mode; 3], seed: u64) -> Outcome {
    let name = scene.name()?;
    let mut random = Random(seed);
    let mut lock = Model::default();
    let mut parties = Vec::new();
    for _ in 0..PARTIES {
        parties.push(newcomer(scene, &name, modes, &mut random)?);
    }
    for count in 0..STEPS {
        let after = |failure: Failure| {
            let what = failure.into_text();
            Failure::new(format_args!("step {count} of history {seed:#x}: {what}"))
        };
        let at = usize::try_from(random.below(PARTIES))?;
        let Some(party) = parties.get_mut(at) else {
            continue;
        };
        let ended = step(scene, party, &mut lock, &mut random).await;
        if ended.map_err(after)? {
            *party = newcomer(scene, &name, modes, &mut random)?;
        }
        lock.seen(&scene.inspect(&name).await?).map_err(after)?;
    }
    Ok(())
}

fn newcomer(
    scene: &Scene<'_>,
    name: &LockName,
    modes: [Mode; 3],
    random: &mut Random,
) -> Result<Party, Failure> {
    let party = scene.party(name)?.mode(random.choose(modes));
    let party = party.priority(random.choose([0, 0, 1]));
    Ok(match random.below(4) {
        0 => party.without_waiting(),
        _ => party,
    })
}

/// Takes a step of one party, and answers whether nothing is left of it then.
async fn step(
    scene: &Scene<'_>,
    party: &Party,
    lock: &mut Model,
    random: &mut Random,
) -> Result<bool, Failure> {
    let ended = if let Some(pass) = lock.holds(party) {
        of_a_holder(scene, party, pass, random).await?
    } else if let Some(waiter) = lock.waits(party) {
        of_a_waiter(party, waiter, lock, random).await?
    } else {
        let answer = party.enqueue().await?;
        lock.enqueued(party, answer)?;
        answer == Enqueued::Held
    };
    if ended {
        lock.ended(party.holder());
    }
    Ok(ended)
}

async fn of_a_holder(
    scene: &Scene<'_>,
    party: &Party,
    pass: FencePass,
    random: &mut Random,
) -> Result<bool, Failure> {
    match random.below(6) {
        0 => party.leave().await?,
        1 => {
            let (name, token) = (party.entry().name(), pass.token());
            let found = scene.client().force_release(name, token).await?;
            ensure!(found, "force_release did not find {pass:?}");
        }
        2 => {
            let again = party.claims().await?.pass();
            ensure!(again == pass, "{pass:?} became {again:?}");
            return Ok(false);
        }
        _ => party.releases().await?,
    }
    Ok(true)
}

async fn of_a_waiter(
    party: &Party,
    waiter: Waiter,
    lock: &mut Model,
    random: &mut Random,
) -> Result<bool, Failure> {
    match random.below(8) {
        0 => {
            party.leave().await?;
            return Ok(true);
        }
        1 => party.cannot_release().await?,
        2 => drop(party.renewed().await?),
        3 => {
            lock.claimed(&waiter, again(party.enqueue().await?))?;
        }
        _ => lock.claimed(&waiter, party.claim().await?)?,
    }
    Ok(false)
}

/// What an enqueue of one that waits already answers, as `claim` would.
fn again(answer: Enqueued) -> Claimed {
    match answer {
        Enqueued::Granted(grant) => Claimed::Granted(grant),
        Enqueued::Waiting(standing) => Claimed::Waiting(standing),
        Enqueued::Foreign(family) => Claimed::Foreign(family),
        Enqueued::Held => Claimed::Gone,
    }
}
