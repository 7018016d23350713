//! How long entries live.

use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{Held, Renewed};
use crate::lock::fence::FencingToken;
use crate::lock::lease::Lease;
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    a_lease_is_in_force_for_as_long_as_asked_and_proved_before_the_answer: PROVED, IN_FORCE;
    a_holder_lives_for_its_ttl_and_hardly_longer: LIFE, END, NOTHING_ELSE, PROVED;
    a_waiter_lives_for_its_ttl_and_hardly_longer: LIFE, END, NOTHING_ELSE, PROVED;
    what_nobody_renews_is_gone_though_nobody_looks: END;
    what_is_renewed_lives: LIFE, RENEW;
    a_renewal_begins_the_leases_anew: LIFE, RENEW, PROVED;
    a_claim_begins_the_leases_anew: LIFE, CLAIM_LEASE, PROVED;
    a_repeated_enqueue_begins_the_leases_anew: LIFE, ENQUEUE_AGAIN, PROVED;
    a_grant_by_claim_begins_the_lease_anew: LIFE, CLAIM_LEASE, PROVED;
    nothing_else_prolongs_a_lease: NOTHING_ELSE;
    what_is_gone_does_not_come_back: NOTHING_ELSE, NEVER_CREATES;
    a_renewal_answers_for_each_entry_in_order: STEP, RENEW, EACH_ALONE, NEVER_CREATES;
    an_expired_holder_blocks_nobody: END, CLAIM;
    an_expired_waiter_blocks_nobody: END, CLAIM;
];

async fn a_lease_is_in_force_for_as_long_as_asked_and_proved_before_the_answer(
    scene: &Scene<'_>,
) -> Outcome {
    let name = scene.name()?;
    let ttl = scene.ttl() * 3;
    let (holder, waiter) = (scene.party_for(&name, ttl)?, scene.party_for(&name, ttl)?);
    // The time may be read a little after the call: the best of some is near to it.
    let mut late = [Duration::MAX; 5];
    for _ in 0..8 {
        let now = Instant::now;
        let leases = [
            (now(), holder.granted().await?.lease(), now()),
            (now(), waiter.waits().await?.lease(), now()),
            (now(), holder.claims().await?.lease(), now()),
            (now(), waiter.still_waits().await?.lease(), now()),
            (now(), waiter.renewed().await?, now()),
        ];
        for ((before, lease, after), late) in leases.into_iter().zip(&mut late) {
            proved(lease, ttl, after)?;
            let end = before + lease.ttl();
            *late = (*late).min(lease.deadline().saturating_duration_since(end));
        }
    }
    let late = late.into_iter().max().unwrap_or_default();
    ensure!(
        late.is_zero(),
        "leases are believed in until {late:?} after a TTL from before the request"
    );
    let brief = scene.brief(&scene.name()?)?.granted().await?.lease();
    ensure!(
        brief.ttl() == scene.ttl(),
        "{brief:?} has not the fixture's shortest TTL, {:?}",
        scene.ttl()
    );
    Ok(())
}

fn proved(lease: Lease, asked: Duration, answered: Instant) -> Outcome {
    ensure!(lease.ttl() >= asked, "{lease:?}, where {asked:?} was asked");
    ensure!(
        lease.deadline() > answered,
        "{lease:?} was over when it was answered"
    );
    ensure!(
        lease.deadline() <= answered + lease.ttl(),
        "{lease:?} was proved after it was answered"
    );
    Ok(())
}

/// When a step was sent that began a lease, what was answered, and when.
#[derive(Clone, Copy)]
struct Begun {
    sent: Instant,
    lease: Lease,
    answered: Instant,
}

async fn begin(step: impl Future<Output = Result<Lease, Failure>>) -> Result<Begun, Failure> {
    let sent = Instant::now();
    let lease = step.await?;
    let answered = Instant::now();
    Ok(Begun {
        sent,
        lease,
        answered,
    })
}

async fn is_there(scene: &Scene<'_>, party: &Party) -> Result<bool, Failure> {
    let seen = scene.inspect(party.entry().name()).await?;
    let mut holders = seen.holders().iter().map(Held::holder);
    let mut waiters = seen.waiters().iter().map(|q| q.waiter().holder());
    let id = party.holder();
    Ok(holders.any(|other| other == id) || waiters.any(|other| other == id))
}

/// Looks until the entry is gone, and expects that this is neither too early nor too late.
async fn ends_in_time(scene: &Scene<'_>, party: &Party, begun: Begun) -> Outcome {
    let believed = begun.lease.deadline().max(begun.sent + scene.ttl());
    let gone_by = scene.gone_by(begun.answered);
    loop {
        let sent = Instant::now();
        if !is_there(scene, party).await? {
            let early = believed.saturating_duration_since(Instant::now());
            ensure!(early.is_zero(), "gone {early:?} too early");
            return Ok(());
        }
        let late = sent.saturating_duration_since(gone_by);
        ensure!(late.is_zero(), "still there {late:?} too late");
        // The last look is the first that must find it gone.
        let next = sent + scene.ttl() / 16;
        let soon = sent + Duration::from_millis(1);
        sleep_until(next.min(gone_by).max(soon)).await;
    }
}

/// A holder and a waiter, as brief as can be, on names of their own.
async fn holder_and_waiter(scene: &Scene<'_>) -> Result<[Party; 2], Failure> {
    let (name, other) = (scene.name()?, scene.name()?);
    let (holder, waiter) = (scene.brief(&name)?, scene.brief(&other)?);
    scene.party(&other)?.granted().await?;
    holder.granted().await?;
    waiter.waits().await?;
    Ok([holder, waiter])
}

async fn a_holder_lives_for_its_ttl_and_hardly_longer(scene: &Scene<'_>) -> Outcome {
    let party = scene.brief(&scene.name()?)?;
    let begun = begin(async { Ok(party.granted().await?.lease()) }).await?;
    ends_in_time(scene, &party, begun).await
}

async fn a_waiter_lives_for_its_ttl_and_hardly_longer(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, party) = (scene.party(&name)?, scene.brief(&name)?);
    holder.granted().await?;
    let begun = begin(async { Ok(party.waits().await?.lease()) }).await?;
    ends_in_time(scene, &party, begun).await
}

async fn what_nobody_renews_is_gone_though_nobody_looks(scene: &Scene<'_>) -> Outcome {
    let [holder, waiter] = holder_and_waiter(scene).await?;
    let unseen = scene.brief(&scene.name()?)?;
    unseen.granted().await?;
    scene.outlast().await;
    for party in [&holder, &waiter] {
        ensure!(
            !is_there(scene, party).await?,
            "an entry outlived its lease"
        );
    }
    // Here, the first who looks is one who wants to hold.
    let next = scene.party(unseen.entry().name())?.without_waiting();
    next.granted().await?;
    Ok(())
}

async fn what_is_renewed_lives(scene: &Scene<'_>) -> Outcome {
    let parties = holder_and_waiter(scene).await?;
    let [holder, waiter] = &parties;
    let pass = holder.claims().await?.pass();
    for _ in 0..12 {
        scene.pause(3).await;
        try_join(holder.renewed(), waiter.renewed()).await?;
    }
    for party in &parties {
        ensure!(is_there(scene, party).await?, "a renewed entry is gone");
    }
    let later = holder.claims().await?.pass();
    ensure!(later == pass, "{pass:?} became {later:?}");
    waiter.still_waits().await?;
    Ok(())
}

async fn a_renewal_begins_the_leases_anew(scene: &Scene<'_>) -> Outcome {
    let [holder, waiter] = holder_and_waiter(scene).await?;
    scene.pause(6).await;
    let (one, other) = try_join(begin(holder.renewed()), begin(waiter.renewed())).await?;
    both_end_in_time(scene, (&holder, one), (&waiter, other)).await
}

async fn a_claim_begins_the_leases_anew(scene: &Scene<'_>) -> Outcome {
    let [holder, waiter] = holder_and_waiter(scene).await?;
    scene.pause(6).await;
    let one = begin(async { Ok(holder.claims().await?.lease()) }).await?;
    let other = begin(async { Ok(waiter.still_waits().await?.lease()) }).await?;
    both_end_in_time(scene, (&holder, one), (&waiter, other)).await
}

async fn a_repeated_enqueue_begins_the_leases_anew(scene: &Scene<'_>) -> Outcome {
    let [holder, waiter] = holder_and_waiter(scene).await?;
    scene.pause(6).await;
    let one = begin(async { Ok(holder.granted().await?.lease()) }).await?;
    let other = begin(async { Ok(waiter.waits().await?.lease()) }).await?;
    both_end_in_time(scene, (&holder, one), (&waiter, other)).await
}

async fn both_end_in_time(
    scene: &Scene<'_>,
    one: (&Party, Begun),
    other: (&Party, Begun),
) -> Outcome {
    let ends = |(party, begun)| ends_in_time(scene, party, begun);
    try_join(ends(one), ends(other)).await.map(drop)
}

async fn a_grant_by_claim_begins_the_lease_anew(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, party) = (scene.party(&name)?, scene.brief(&name)?);
    holder.granted().await?;
    party.waits().await?;
    scene.pause(6).await;
    holder.releases().await?;
    let begun = begin(async { Ok(party.claims().await?.lease()) }).await?;
    ends_in_time(scene, &party, begun).await
}

async fn nothing_else_prolongs_a_lease(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?.shared(), scene.brief(&name)?);
    holder.granted().await?;
    waiter.waits().await?;
    let noise = try_join(
        commotion(scene, &holder, &waiter),
        listening(scene, &waiter),
    );
    if let Ok(noise) = timeout(scene.life_max(), noise).await {
        noise?;
    }
    ensure!(
        !is_there(scene, &waiter).await?,
        "an entry outlived its lease"
    );
    Ok(())
}

/// All that can happen around a waiter that is not to touch its lease.
async fn commotion(scene: &Scene<'_>, holder: &Party, waiter: &Party) -> Outcome {
    let name = holder.entry().name();
    let token = holder.claims().await?.pass().token();
    let none = FencingToken::new(token.as_u64() + 1);
    loop {
        scene.pause(1).await;
        waiter.cannot_release().await?;
        scene.inspect(name).await?;
        scene.client().force_release(name, none).await?;
        let other = scene.party(name)?;
        drop(other.enqueue().await);
        other.leave().await?;
        holder.renewed().await?;
    }
}

/// A waiter that calls `changed` again and again, and claims nothing.
async fn listening(scene: &Scene<'_>, waiter: &Party) -> Outcome {
    let pause = scene.ttl() / 10;
    loop {
        if let Ok(heard) = timeout(pause, waiter.changed()).await {
            heard?;
            sleep(pause).await;
        }
    }
}

async fn what_is_gone_does_not_come_back(scene: &Scene<'_>) -> Outcome {
    let parties = holder_and_waiter(scene).await?;
    scene.outlast().await;
    for party in &parties {
        party.cannot_renew().await?;
        party.is_gone().await?;
        party.cannot_release().await?;
        ensure!(!is_there(scene, party).await?, "it came back");
    }
    Ok(())
}

async fn a_renewal_answers_for_each_entry_in_order(scene: &Scene<'_>) -> Outcome {
    let client = scene.client();
    let names = [scene.name()?, scene.name()?];
    let [one, other] = &names;
    let by = |name| scene.brief_by(client, name);
    let (holder, waiter, neighbour) = (by(one)?, by(one)?, by(other)?);
    let (released, never) = (by(other)?, by(other)?);
    released.granted().await?;
    released.releases().await?;
    holder.granted().await?;
    waiter.waits().await?;
    neighbour.granted().await?;
    scene.pause(6).await;
    let parties = [&never, &holder, &released, &waiter, &never, &neighbour];
    let lives = [false, true, false, true, false, true];
    let sent = Instant::now();
    let entries = parties.map(|party| party.entry().clone());
    let answers = client.renew(&entries).await;
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let alive = answers.iter().map(|a| matches!(a, Renewed::Alive(_)));
    ensure!(
        alive.eq(lives),
        "who lives is {lives:?}, the answers are {answers:?}"
    );
    ensure!(
        client.renew(&[]).await.is_empty(),
        "a renewal of nothing has an answer"
    );
    // Within the renewed leases, though not within the first ones.
    sleep_until(sent + scene.ttl() * 6 / 10).await;
    for (party, lives) in parties.into_iter().zip(lives) {
        let there = is_there(scene, party).await?;
        ensure!(
            there == lives,
            "answered that alive is {lives}; there is {there}"
        );
    }
    Ok(())
}

async fn an_expired_holder_blocks_nobody(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.brief(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    waiter.waits().await?;
    scene.outlast().await;
    let later = waiter.claims().await?.pass();
    ensure!(later.token() > pass.token(), "{later:?} follows {pass:?}");
    holder.is_gone().await?;
    Ok(())
}

async fn an_expired_waiter_blocks_nobody(scene: &Scene<'_>) -> Outcome {
    let modes = [
        [Mode::Exclusive; 3],
        [Mode::Shared, Mode::Exclusive, Mode::Shared],
        [permits(1, 3)?, permits(3, 3)?, permits(1, 3)?],
    ];
    let claims = modes.map(|[held, expired, next]| async move {
        let name = scene.name()?;
        let holder = scene.party(&name)?.mode(held);
        let first = scene.brief(&name)?.mode(expired).priority(1);
        let second = scene.party(&name)?.mode(next);
        holder.granted().await?;
        first.waits().await?;
        second.waits().await?;
        scene.outlast().await;
        holder.releases().await?;
        second.claims().await?;
        // Nor does it block those who do not wait.
        second.releases().await?;
        scene.party(&name)?.without_waiting().granted().await?;
        Ok(())
    });
    try_join_all(claims).await.map(drop)
}
