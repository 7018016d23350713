//! Release, leave, and requests that come too late.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::conformance::{Outcome, cases, ensure};
use crate::lock::backend::Entry;
use crate::lock::name::LockName;
use crate::lock::queue::Mode;

use super::Case;
use super::party::permits;
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    release_ends_a_holder_and_says_so: RELEASE, FIRST_TRUE;
    release_ends_only_the_holder_of_this_id: RELEASE, NO_OTHER, NEVER_DISPLACED;
    release_ends_only_one_of_several_holders: RELEASE, NO_OTHER;
    release_of_a_waiter_leaves_it_waiting: RELEASE, NO_OTHER;
    release_is_of_one_name_only: RELEASE, NO_OTHER, NAMES;
    leave_ends_a_waiter: LEAVE;
    leave_ends_a_holder: LEAVE;
    leave_ends_nobody_else: LEAVE, NEVER_DISPLACED;
    leave_of_nothing_is_no_error: LEAVE, AGAIN;
    leave_outdoes_an_enqueue_that_was_dropped_under_way: LEAVE, DROPPED;
    leave_outdoes_an_enqueue_that_is_answered_later: LEAVE;
];

async fn release_ends_a_holder_and_says_so(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let party = scene.party(&name)?;
    party.granted().await?;
    party.releases().await?;
    party.cannot_release().await?;
    party.is_gone().await?;
    party.cannot_renew().await?;
    shows(scene, &name, 0, 0).await
}

/// Expects so many holders and waiters.
async fn shows(scene: &Scene<'_>, name: &LockName, holders: usize, waiters: usize) -> Outcome {
    let seen = scene.inspect(name).await?;
    ensure!(
        seen.holders().len() == holders && seen.waiters().len() == waiters,
        "expected {holders} holders and {waiters} waiters, there is {seen:?}"
    );
    Ok(())
}

async fn release_ends_only_the_holder_of_this_id(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, other) = (scene.party(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    other.cannot_release().await?;
    let after = holder.claims().await?.pass();
    ensure!(after == pass, "{pass:?} became {after:?}");
    shows(scene, &name, 1, 0).await
}

async fn release_ends_only_one_of_several_holders(scene: &Scene<'_>) -> Outcome {
    for mode in [Mode::Shared, permits(1, 3)?] {
        let name = scene.name()?;
        let [one, other] = [
            scene.party(&name)?.mode(mode),
            scene.party(&name)?.mode(mode),
        ];
        one.granted().await?;
        let pass = other.granted().await?.pass();
        one.releases().await?;
        one.cannot_release().await?;
        let after = other.claims().await?.pass();
        ensure!(after == pass, "{pass:?} became {after:?}");
        shows(scene, &name, 1, 0).await?;
    }
    Ok(())
}

async fn release_of_a_waiter_leaves_it_waiting(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    waiter.cannot_release().await?;
    shows(scene, &name, 1, 1).await?;
    waiter.still_waits().await?;
    holder.releases().await?;
    // Nor where it might hold, but has not claimed yet.
    waiter.cannot_release().await?;
    waiter.claims().await?;
    Ok(())
}

async fn release_is_of_one_name_only(scene: &Scene<'_>) -> Outcome {
    let (name, other) = (scene.name()?, scene.name()?);
    let party = scene.party(&name)?;
    party.granted().await?;
    let entry = Entry::new(other, party.holder());
    let released = party.client().release(&entry).await?;
    ensure!(!released, "one name's holder was released by another's");
    party.client().leave(&entry).await?;
    shows(scene, &name, 1, 0).await
}

async fn leave_ends_a_waiter(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let (waiter, next) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    next.waits().await?;
    waiter.leave().await?;
    waiter.is_gone().await?;
    waiter.cannot_renew().await?;
    shows(scene, &name, 1, 1).await?;
    holder.releases().await?;
    next.claims().await?;
    Ok(())
}

async fn leave_ends_a_holder(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, next) = (scene.party(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    holder.leave().await?;
    shows(scene, &name, 0, 0).await?;
    holder.is_gone().await?;
    holder.cannot_renew().await?;
    let later = next.granted().await?.pass();
    ensure!(later.token() > pass.token(), "{later:?} follows {pass:?}");
    Ok(())
}

async fn leave_ends_nobody_else(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holders = [scene.party(&name)?.shared(), scene.party(&name)?.shared()];
    let waiters = [scene.party(&name)?, scene.party(&name)?];
    for holder in &holders {
        holder.granted().await?;
    }
    for waiter in &waiters {
        waiter.waits().await?;
    }
    let [[ours, theirs], [first, second]] = [&holders, &waiters];
    ours.leave().await?;
    first.leave().await?;
    shows(scene, &name, 1, 1).await?;
    theirs.claims().await?;
    second.still_waits().await?;
    Ok(())
}

async fn leave_of_nothing_is_no_error(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, other) = (scene.party(&name)?, scene.party(&name)?);
    other.leave().await?;
    holder.granted().await?;
    other.leave().await?;
    other.leave().await?;
    shows(scene, &name, 1, 0).await
}

async fn leave_outdoes_an_enqueue_that_was_dropped_under_way(scene: &Scene<'_>) -> Outcome {
    let (free, held) = (scene.name()?, scene.name()?);
    scene.party(&held)?.granted().await?;
    for name in [&free, &held] {
        // Dropped when the time is over: at the first poll, or wherever it is a little later.
        for time in [Duration::ZERO, Duration::from_millis(1)] {
            let party = scene.brief(name)?;
            drop(timeout(time, party.enqueue()).await);
            party.leave().await?;
        }
    }
    scene.outlast().await;
    shows(scene, &free, 0, 0).await?;
    shows(scene, &held, 1, 0).await
}

async fn leave_outdoes_an_enqueue_that_is_answered_later(scene: &Scene<'_>) -> Outcome {
    let (free, held) = (scene.name()?, scene.name()?);
    scene.party(&held)?.granted().await?;
    for name in [&free, &held] {
        let party = scene.brief(name)?;
        let mut enqueue = pin!(party.enqueue());
        let answer = enqueue.as_mut().now_or_never();
        party.leave().await?;
        if answer.is_none() {
            // Whatever it answers: the caller has left.
            drop(enqueue.await);
        }
    }
    scene.outlast().await;
    shows(scene, &free, 0, 0).await?;
    shows(scene, &held, 1, 0).await
}
