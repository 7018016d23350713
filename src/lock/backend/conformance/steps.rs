//! Steps are whole, end by themselves, and may be abandoned.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{
    BackendErrorKind, Claimed, Enqueued, Entry, LockBackend, Queued, Request, Verb,
};
use crate::lock::fence::FencingToken;
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    one_of_many_at_once_holds_and_all_others_wait: STEP, JUDGED, ENQUEUE;
    every_call_ends_on_a_name_that_nobody_uses: ENDS, NEVER_CREATES, INSPECT;
    an_abandoned_step_leaves_the_store_in_order: DROPPED, STEP, TOKEN;
    an_abandoned_enqueue_is_whole_or_nothing: DROPPED, STEP, ENQUEUE;
    an_abandoned_claim_is_whole_or_nothing: DROPPED, STEP, CLAIM;
    another_mode_of_a_holder_is_refused: OTHER_MODE;
    another_mode_of_a_waiter_is_refused: OTHER_MODE;
    another_number_of_permits_is_another_mode: OTHER_MODE;
    pointers_forward_every_verb: POINTERS;
];

/// More at once than a race needs.
const CROWD: usize = 16;

async fn one_of_many_at_once_holds_and_all_others_wait(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| scene.party(&name))
        .collect::<Result<_, _>>()?;
    let answers = try_join_all(crowd.iter().map(Party::enqueue)).await?;
    let granted = answers.iter().filter(|a| matches!(a, Enqueued::Granted(_)));
    let waiting = answers.iter().filter(|a| matches!(a, Enqueued::Waiting(_)));
    let counts = (granted.count(), waiting.count());
    ensure!(
        counts == (1, CROWD - 1),
        "(granted, waiting) of {CROWD} is {counts:?}"
    );
    let seen = scene.inspect(&name).await?;
    let counts = (seen.holders().len(), seen.waiters().len());
    ensure!(
        counts == (1, CROWD - 1),
        "(holders, waiters) of {CROWD} is {counts:?}"
    );
    Ok(())
}

async fn every_call_ends_on_a_name_that_nobody_uses(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let party = scene.party(&name)?;
    party.is_gone().await?;
    party.cannot_renew().await?;
    party.cannot_release().await?;
    party.leave().await?;
    party.changed().await?;
    let forced = scene
        .client()
        .force_release(&name, FencingToken::new(1))
        .await?;
    ensure!(!forced, "force_release ended a holder that never was");
    let seen = scene.inspect(&name).await?;
    ensure!(
        seen.holders().is_empty() && seen.waiters().is_empty(),
        "a name that nobody uses shows {seen:?}"
    );
    Ok(())
}

/// Drops a future of this verb at its first poll.
fn abandon(verb: Verb, party: &Party, token: FencingToken) {
    let (client, entry) = (party.client(), party.entry());
    match verb {
        // There is a client already.
        Verb::Connect => {}
        Verb::Enqueue => drop(client.enqueue(party.request()).now_or_never()),
        Verb::Changed => drop(client.changed(entry).now_or_never()),
        Verb::Claim => drop(client.claim(entry).now_or_never()),
        Verb::Renew => drop(client.renew(std::slice::from_ref(entry)).now_or_never()),
        Verb::Release => drop(client.release(entry).now_or_never()),
        Verb::Leave => drop(client.leave(entry).now_or_never()),
        Verb::Inspect => drop(client.inspect(entry.name()).now_or_never()),
        Verb::ForceRelease => drop(client.force_release(entry.name(), token).now_or_never()),
    }
}

async fn an_abandoned_step_leaves_the_store_in_order(scene: &Scene<'_>) -> Outcome {
    let verbs = [
        Verb::Enqueue,
        Verb::Changed,
        Verb::Claim,
        Verb::Renew,
        Verb::Release,
        Verb::Leave,
        Verb::Inspect,
        Verb::ForceRelease,
    ];
    let abandoned = verbs.map(|verb| abandoned_by_a_holder(scene, verb));
    try_join_all(abandoned).await.map(drop)
}

async fn abandoned_by_a_holder(scene: &Scene<'_>, verb: Verb) -> Outcome {
    let ends = matches!(verb, Verb::Release | Verb::Leave | Verb::ForceRelease);
    let name = scene.name()?;
    let (holder, next) = (scene.brief(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    next.waits().await?;
    abandon(verb, &holder, pass.token());
    match holder.claim().await? {
        Claimed::Granted(grant) => ensure!(
            grant.pass() == pass,
            "an abandoned {verb} made {:?} of {pass:?}",
            grant.pass()
        ),
        answer @ (Claimed::Gone | Claimed::Waiting(_) | Claimed::Foreign(_)) => {
            let gone = ends && answer == Claimed::Gone;
            ensure!(gone, "after an abandoned {verb}, a holder is {answer:?}");
        }
    }
    // What was abandoned may begin a lease yet.
    scene.pause(2).await;
    scene.outlast().await;
    let later = next.claims().await?.pass();
    ensure!(
        later.token() > pass.token(),
        "after an abandoned {verb}, {later:?} follows {pass:?}"
    );
    Ok(())
}

async fn an_abandoned_enqueue_is_whole_or_nothing(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let parties = [scene.brief(&name)?, scene.brief(&name)?];
    holder.granted().await?;
    for party in &parties {
        drop(party.enqueue().now_or_never());
        let answer = party.claim().await?;
        let whole = matches!(answer, Claimed::Waiting(_) | Claimed::Gone);
        ensure!(whole, "an abandoned enqueue became {answer:?}");
        party.leave().await?;
    }
    scene.pause(2).await;
    scene.outlast().await;
    let seen = scene.inspect(&name).await?;
    ensure!(
        seen.waiters().is_empty() && seen.holders().len() == 1,
        "an abandoned enqueue, followed by leave, left {seen:?}"
    );
    Ok(())
}

async fn an_abandoned_claim_is_whole_or_nothing(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    waiter.waits().await?;
    holder.releases().await?;
    drop(waiter.claim().now_or_never());
    // It holds by then or not yet; it is not lost.
    let later = waiter.claims().await?.pass();
    ensure!(later.token() > pass.token(), "{later:?} follows {pass:?}");
    let again = waiter.claims().await?.pass();
    ensure!(again == later, "{later:?} became {again:?}");
    Ok(())
}

/// Asks in another mode by the id of `party`, and expects that this changes nothing.
async fn refused(scene: &Scene<'_>, party: &Party, other: Mode) -> Outcome {
    let before = party.request().mode();
    let request = Request::new(party.entry().clone(), party.request().ttl())?.with_mode(other);
    let Err(error) = party.client().enqueue(&request).await else {
        return Err(Failure::new(format_args!(
            "an id in {before:?} was let in as {other:?} too"
        )));
    };
    let (kind, verb) = (error.kind(), error.verb());
    ensure!(
        kind == BackendErrorKind::Rejected && verb == Verb::Enqueue,
        "another mode is {kind:?} of {verb:?}, not Rejected of Enqueue"
    );
    let seen = scene.inspect(party.entry().name()).await?;
    let held = seen.holders().iter().map(|h| (h.holder(), h.mode()));
    let queued = seen.waiters().iter().map(Queued::waiter);
    let queued = queued.map(|waiter| (waiter.holder(), waiter.mode()));
    let mut modes = held.chain(queued).filter(|(id, _)| *id == party.holder());
    let (first, second) = (modes.next(), modes.next());
    ensure!(
        first == Some((party.holder(), before)) && second.is_none(),
        "the entry did not stay as it was: {seen:?}"
    );
    Ok(())
}

async fn another_mode_of_a_holder_is_refused(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let party = scene.party(&name)?;
    let pass = party.granted().await?.pass();
    refused(scene, &party, Mode::Shared).await?;
    let after = party.claims().await?.pass();
    ensure!(after == pass, "{pass:?} became {after:?}");
    Ok(())
}

async fn another_mode_of_a_waiter_is_refused(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?.shared(), scene.party(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    refused(scene, &waiter, Mode::Shared).await?;
    waiter.still_waits().await?;
    Ok(())
}

async fn another_number_of_permits_is_another_mode(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let party = scene.party(&name)?.mode(permits(1, 3)?);
    party.granted().await?;
    refused(scene, &party, permits(2, 3)?).await
}

async fn pointers_forward_every_verb(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let inner = Arc::new(Arc::clone(scene.client()));
    let client: Box<dyn LockBackend> = Box::new(Box::new(inner));
    let [holder, waiter] = [scene.party(&name)?, scene.party(&name)?];
    let entries: [&Entry; 2] = [holder.entry(), waiter.entry()];
    let Enqueued::Granted(grant) = client.enqueue(holder.request()).await? else {
        return Err(Failure::new("enqueue did not reach the store"));
    };
    let waiting = client.enqueue(waiter.request()).await?;
    ensure!(matches!(waiting, Enqueued::Waiting(_)), "{waiting:?}");
    let renewed = client.renew(&entries.map(Entry::clone)).await;
    ensure!(renewed.len() == 2, "{renewed:?}");
    let seen = client.inspect(&name).await?;
    ensure!(seen.holders().len() == 1, "{seen:?}");
    ensure!(
        client.force_release(&name, grant.pass().token()).await?,
        "force_release did not reach the store"
    );
    client.changed(waiter.entry()).await?;
    let claimed = client.claim(waiter.entry()).await?;
    ensure!(matches!(claimed, Claimed::Granted(_)), "{claimed:?}");
    ensure!(
        client.release(waiter.entry()).await?,
        "release did not reach the store"
    );
    client.leave(holder.entry()).await?;
    Ok(())
}
