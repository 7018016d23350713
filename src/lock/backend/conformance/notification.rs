//! Who waits is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::Claimed;
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    a_waiter_is_told_of_a_release: TOLD, HEIRS_TOLD;
    a_waiter_is_told_of_a_holder_that_leaves: TOLD, HEIRS_TOLD;
    a_waiter_is_told_of_a_forced_release: TOLD, HEIRS_TOLD;
    a_waiter_is_told_of_a_waiter_ahead_that_leaves: TOLD, HEIRS_TOLD;
    a_waiter_is_told_of_a_waiter_ahead_that_holds: TOLD;
    all_shared_waiters_are_told_of_a_release: TOLD, HEIRS_TOLD;
    a_waiter_is_told_that_it_has_left: TOLD;
    all_callers_for_one_waiter_return: TOLD, ALL_TOLD;
    what_happened_before_the_call_is_told_at_once: TOLD;
    a_holder_is_answered_at_once: TOLD;
    who_is_not_there_is_answered_at_once: TOLD;
    who_has_nothing_to_hear_is_left_in_peace: SPURIOUS;
    the_recheck_finds_a_holder_that_expired: RECHECK;
    the_recheck_finds_a_waiter_ahead_that_expired: RECHECK;
];

/// Listens until `claim` answers something else than waiting.
async fn listen(scene: &Scene<'_>, waiter: &Party) -> Result<Claimed, Failure> {
    let listening = async {
        loop {
            waiter.changed().await?;
            let claimed = waiter.claim().await?;
            if !matches!(claimed, Claimed::Waiting(_)) {
                return Ok(claimed);
            }
            // In case it returned without reason.
            sleep(Duration::from_millis(1)).await;
        }
    };
    let heard = timeout(scene.patience() + scene.ttl(), listening).await;
    heard.map_err(|_| Failure::new("a waiter was not told"))?
}

/// Lets these waiters listen while `action` is taken, and expects that each comes to hold.
async fn told(
    scene: &Scene<'_>,
    waiters: &[&Party],
    action: impl Future<Output = Outcome>,
) -> Outcome {
    let listening = try_join_all(waiters.iter().map(|waiter| listen(scene, waiter)));
    let acting = async {
        // So that they listen already.
        scene.pause(2).await;
        action.await
    };
    let (claimed, ()) = try_join(listening, acting).await?;
    let hold = claimed.iter().all(|c| matches!(c, Claimed::Granted(_)));
    ensure!(hold, "waiters that may hold were answered {claimed:?}");
    Ok(())
}

async fn a_waiter_is_told_of_a_release(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    told(scene, &[&waiter], holder.releases()).await
}

async fn a_waiter_is_told_of_a_holder_that_leaves(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    told(scene, &[&waiter], async { Ok(holder.leave().await?) }).await
}

async fn a_waiter_is_told_of_a_forced_release(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    let token = holder.granted().await?.pass().token();
    waiter.waits().await?;
    let force = async {
        let forced = scene.client().force_release(&name, token).await?;
        ensure!(forced, "force_release did not end the holder");
        Ok(())
    };
    told(scene, &[&waiter], force).await
}

async fn a_waiter_is_told_of_a_waiter_ahead_that_leaves(scene: &Scene<'_>) -> Outcome {
    for [holds, ahead, waits] in [
        [Mode::Shared, Mode::Exclusive, Mode::Shared],
        [permits(1, 3)?, permits(3, 3)?, permits(1, 3)?],
    ] {
        let name = scene.name()?;
        let first = scene.party(&name)?.mode(ahead);
        let waiter = scene.party(&name)?.mode(waits);
        scene.party(&name)?.mode(holds).granted().await?;
        first.waits().await?;
        waiter.waits().await?;
        told(scene, &[&waiter], async { Ok(first.leave().await?) }).await?;
    }
    Ok(())
}

async fn a_waiter_is_told_of_a_waiter_ahead_that_holds(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?.mode(permits(3, 3)?);
    let one = scene.party(&name)?.mode(permits(1, 3)?);
    let other = scene.party(&name)?.mode(permits(1, 3)?);
    holder.granted().await?;
    one.waits().await?;
    other.waits().await?;
    holder.releases().await?;
    other.still_waits().await?;
    told(scene, &[&other], async { one.claims().await.map(drop) }).await
}

async fn all_shared_waiters_are_told_of_a_release(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let reader = || Ok::<_, Failure>(scene.party(&name)?.shared());
    let readers = [reader()?, reader()?, reader()?, reader()?];
    holder.granted().await?;
    for reader in &readers {
        reader.waits().await?;
    }
    told(scene, &readers.each_ref(), holder.releases()).await
}

async fn a_waiter_is_told_that_it_has_left(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    let leaving = async {
        scene.pause(2).await;
        Ok(waiter.leave().await?)
    };
    let (claimed, ()) = try_join(listen(scene, &waiter), leaving).await?;
    ensure!(claimed == Claimed::Gone, "one that left is {claimed:?}");
    Ok(())
}

async fn all_callers_for_one_waiter_return(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    let released = AtomicBool::new(false);
    let call = || async {
        while !released.load(Ordering::Relaxed) {
            waiter.changed().await?;
            // In case it returned without reason.
            sleep(Duration::from_millis(1)).await;
        }
        Outcome::Ok(())
    };
    let release = async {
        scene.pause(2).await;
        holder.releases().await?;
        released.store(true, Ordering::Relaxed);
        Ok(())
    };
    let all = try_join(try_join_all([call(), call(), call(), call()]), release);
    let heard = timeout(scene.patience() + scene.ttl(), all).await;
    let missed = |_| Failure::new("one of several callers was not told");
    heard.map_err(missed)?.map(drop)
}

/// Calls `changed`, and expects that it returns.
async fn returns(scene: &Scene<'_>, party: &Party, why: &str) -> Outcome {
    // At once, by the measure of a server: well before any lease is over.
    let called = timeout(scene.ttl() / 2, party.changed()).await;
    let pends = |_| Failure::new(format_args!("changed pends, though {why}"));
    Ok(called.map_err(pends)??)
}

async fn what_happened_before_the_call_is_told_at_once(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    holder.releases().await?;
    for _ in 0..2 {
        returns(scene, &waiter, "the holder released before").await?;
        scene.pause(1).await;
    }
    waiter.claims().await?;
    Ok(())
}

async fn a_holder_is_answered_at_once(scene: &Scene<'_>) -> Outcome {
    let holder = scene.party(&scene.name()?)?;
    holder.granted().await?;
    returns(scene, &holder, "it holds").await
}

async fn who_is_not_there_is_answered_at_once(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let (never, left) = (scene.party(&name)?, scene.party(&name)?);
    returns(scene, &never, "nobody is there").await?;
    holder.granted().await?;
    returns(scene, &never, "it is not there").await?;
    left.waits().await?;
    left.leave().await?;
    returns(scene, &left, "it left before").await?;
    let expired = scene.brief(&name)?;
    expired.waits().await?;
    scene.outlast().await;
    returns(scene, &expired, "its lease is over").await
}

async fn who_has_nothing_to_hear_is_left_in_peace(scene: &Scene<'_>) -> Outcome {
    // A store that returns more often than this is polled without pause by those who wait.
    const RETURNS_MAX: usize = 100;
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    let mut returned = 0;
    let counting = async {
        while returned <= RETURNS_MAX {
            waiter.changed().await?;
            returned += 1;
        }
        Outcome::Ok(())
    };
    if let Ok(counted) = timeout(scene.ttl() / 2, counting).await {
        counted?;
    }
    ensure!(
        returned <= RETURNS_MAX,
        "changed returned {returned} times, and nothing did change"
    );
    Ok(())
}

fn in_bounds(scene: &Scene<'_>, recheck: Duration) -> Outcome {
    ensure!(
        recheck <= scene.life_max(),
        "to look again after {recheck:?} is too late for a TTL of {:?}",
        scene.ttl()
    );
    Ok(())
}

/// Looks again as the store says, without listening, and expects to hold in time.
async fn finds(scene: &Scene<'_>, waiter: &Party, gone_by: Instant) -> Outcome {
    // More looks than this are no pauses.
    const LOOKS_MAX: usize = 100;
    for _ in 0..LOOKS_MAX {
        let sent = Instant::now();
        let answer = waiter.claim().await?;
        let Claimed::Waiting(standing) = answer else {
            ensure!(
                matches!(answer, Claimed::Granted(_)),
                "what stands in the way is gone, and {answer:?}"
            );
            return Ok(());
        };
        ensure!(sent < gone_by, "what stands in the way is not gone");
        in_bounds(scene, standing.recheck())?;
        sleep(standing.recheck()).await;
    }
    Err(Failure::new(format_args!(
        "waits still, after looking {LOOKS_MAX} times as was told"
    )))
}

async fn the_recheck_finds_a_holder_that_expired(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.brief(&name)?, scene.party(&name)?);
    holder.granted().await?;
    let gone_by = scene.gone_by(Instant::now());
    let standing = waiter.waits().await?;
    in_bounds(scene, standing.recheck())?;
    finds(scene, &waiter, gone_by).await
}

async fn the_recheck_finds_a_waiter_ahead_that_expired(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, ahead) = (scene.party(&name)?.shared(), scene.brief(&name)?);
    let waiter = scene.party(&name)?.shared();
    holder.granted().await?;
    ahead.waits().await?;
    let gone_by = scene.gone_by(Instant::now());
    waiter.waits().await?;
    finds(scene, &waiter, gone_by).await
}
