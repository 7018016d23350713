//! A step that is taken again does not happen twice.

use crate::conformance::{Outcome, cases, ensure};
use crate::lock::backend::Held;
use crate::lock::fence::FencePass;
use crate::lock::name::LockName;

use super::Case;
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    a_holder_that_enqueues_again_is_answered_its_grant: AGAIN, ENQUEUE_AGAIN, NEVER_DISPLACED;
    a_holder_that_claims_again_is_answered_its_grant: AGAIN, CLAIM_HOLDER, NEVER_DISPLACED;
    a_waiter_that_enqueues_again_keeps_its_place: AGAIN, ENQUEUE_AGAIN;
    a_waiter_that_enqueues_again_is_granted_as_by_claim: ENQUEUE_AGAIN;
    a_repeated_release_spares_the_successor: AGAIN, RELEASE, NO_OTHER, FIRST_TRUE;
    a_repeated_leave_spares_the_successor: AGAIN, LEAVE;
    a_repeated_force_release_spares_the_successor: AGAIN, FORCE, FORCE_EXACT;
];

async fn holds_once(scene: &Scene<'_>, name: &LockName, pass: FencePass) -> Outcome {
    let seen = scene.inspect(name).await?;
    let passes: Vec<_> = seen.holders().iter().map(Held::pass).collect();
    ensure!(
        passes == [pass] && seen.waiters().is_empty(),
        "not only the holder of {pass:?} is there: {seen:?}"
    );
    Ok(())
}

async fn a_holder_that_enqueues_again_is_answered_its_grant(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let party = scene.party(&name)?;
    let pass = party.granted().await?.pass();
    for _ in 0..2 {
        let again = party.granted().await?.pass();
        ensure!(again == pass, "{pass:?} became {again:?}");
    }
    holds_once(scene, &name, pass).await
}

async fn a_holder_that_claims_again_is_answered_its_grant(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, party) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    party.waits().await?;
    holder.releases().await?;
    let pass = party.claims().await?.pass();
    for _ in 0..2 {
        let again = party.claims().await?.pass();
        ensure!(again == pass, "{pass:?} became {again:?}");
    }
    holds_once(scene, &name, pass).await
}

async fn a_waiter_that_enqueues_again_keeps_its_place(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let (first, second) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    first.waits().await?;
    second.waits().await?;
    first.waits().await?;
    let seen = scene.inspect(&name).await?;
    let queue: Vec<_> = seen.waiters().iter().map(|q| q.waiter().holder()).collect();
    ensure!(
        queue == [first.holder(), second.holder()],
        "the queue of two, the first of which enqueued again, is {seen:?}"
    );
    holder.releases().await?;
    second.still_waits().await?;
    first.claims().await?;
    Ok(())
}

async fn a_waiter_that_enqueues_again_is_granted_as_by_claim(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    holder.releases().await?;
    let pass = waiter.granted().await?.pass();
    holds_once(scene, &name, pass).await
}

async fn a_repeated_release_spares_the_successor(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (first, second) = (scene.party(&name)?, scene.party(&name)?);
    first.granted().await?;
    first.releases().await?;
    let pass = second.granted().await?.pass();
    first.cannot_release().await?;
    holds_once(scene, &name, pass).await
}

async fn a_repeated_leave_spares_the_successor(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (first, second) = (scene.party(&name)?, scene.party(&name)?);
    first.granted().await?;
    first.leave().await?;
    let pass = second.granted().await?.pass();
    first.leave().await?;
    holds_once(scene, &name, pass).await
}

async fn a_repeated_force_release_spares_the_successor(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (first, second) = (scene.party(&name)?, scene.party(&name)?);
    let token = first.granted().await?.pass().token();
    let force = || scene.client().force_release(&name, token);
    ensure!(force().await?, "force_release did not end the holder");
    let pass = second.granted().await?.pass();
    ensure!(!force().await?, "a late force_release hit somebody");
    holds_once(scene, &name, pass).await
}
