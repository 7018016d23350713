//! What becomes of entries whose process dies, or forgets them.

use crate::conformance::{Outcome, cases, ensure};
use crate::lock::backend::Held;

use super::Case;
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    what_a_severed_session_held_is_free: SESSION, END;
    what_a_severed_session_waited_for_is_free: SESSION, END;
    a_severed_session_ends_nobody_elses_entries: SESSION, NEVER_DISPLACED;
    tokens_rise_across_severed_sessions: TOKEN, SESSION;
    what_is_no_longer_renewed_goes_though_its_client_lives: SESSION, END;
];

async fn what_a_severed_session_held_is_free(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let client = scene.connect().await?;
    let (holder, next) = (scene.brief_by(&client, &name)?, scene.party(&name)?);
    holder.granted().await?;
    next.waits().await?;
    scene.sever(client).await;
    scene.outlast().await;
    next.claims().await?;
    let seen = scene.inspect(&name).await?;
    ensure!(seen.holders().len() == 1, "the dead still hold: {seen:?}");
    Ok(())
}

async fn what_a_severed_session_waited_for_is_free(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let client = scene.connect().await?;
    let (holder, waiter) = (scene.party(&name)?, scene.brief_by(&client, &name)?);
    holder.granted().await?;
    waiter.waits().await?;
    scene.sever(client).await;
    scene.outlast().await;
    let seen = scene.inspect(&name).await?;
    ensure!(seen.waiters().is_empty(), "the dead still wait: {seen:?}");
    holder.releases().await?;
    scene.party(&name)?.without_waiting().granted().await?;
    Ok(())
}

async fn a_severed_session_ends_nobody_elses_entries(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let client = scene.connect().await?;
    let ours = scene.party(&name)?.shared();
    let theirs = scene.brief_by(&client, &name)?.shared();
    let waiter = scene.party(&name)?;
    let pass = ours.granted().await?.pass();
    theirs.granted().await?;
    waiter.waits().await?;
    scene.sever(client).await;
    scene.outlast().await;
    let seen = scene.inspect(&name).await?;
    let passes: Vec<_> = seen.holders().iter().map(Held::pass).collect();
    ensure!(
        passes == [pass] && seen.waiters().len() == 1,
        "one holder and one waiter live, and there is {seen:?}"
    );
    waiter.still_waits().await?;
    Ok(())
}

async fn tokens_rise_across_severed_sessions(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let mut last = None;
    for _ in 0..2 {
        let client = scene.connect().await?;
        let token = scene.brief_by(&client, &name)?.granted().await?.pass();
        let token = Some(token.token());
        ensure!(token > last, "{token:?} follows {last:?}");
        last = token;
        scene.sever(client).await;
        scene.outlast().await;
    }
    let token = Some(scene.party(&name)?.granted().await?.pass().token());
    ensure!(token > last, "{token:?} follows {last:?}");
    Ok(())
}

async fn what_is_no_longer_renewed_goes_though_its_client_lives(scene: &Scene<'_>) -> Outcome {
    let client = scene.connect().await?;
    let [kept, dropped, waited] = [scene.name()?, scene.name()?, scene.name()?];
    let holder = scene.brief_by(&client, &kept)?;
    holder.granted().await?;
    scene.brief_by(&client, &dropped)?.granted().await?;
    let other = scene.party(&waited)?;
    other.granted().await?;
    scene.brief_by(&client, &waited)?.waits().await?;
    let time = scene.life_max();
    let renewals = time.as_nanos() / (scene.ttl() / 4).as_nanos().max(1);
    for _ in 0..=renewals {
        tokio::time::sleep(scene.ttl() / 4).await;
        holder.renewed().await?;
    }
    let seen = scene.inspect(&dropped).await?;
    ensure!(seen.holders().is_empty(), "nobody renewed {seen:?}");
    let seen = scene.inspect(&waited).await?;
    ensure!(seen.waiters().is_empty(), "nobody renewed {seen:?}");
    let seen = scene.inspect(&kept).await?;
    ensure!(seen.holders().len() == 1, "it was renewed, and is gone");
    Ok(())
}
