//! What an operator sees and does.

use futures_util::future::{try_join, try_join_all};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{Claimed, Enqueued, Held, Inspection, Metadata, Queued};
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    inspect_shows_holders_in_the_order_of_their_grants: INSPECT;
    inspect_shows_waiters_in_the_order_of_the_queue: INSPECT, JUDGED;
    inspect_shows_modes_and_passes_as_granted: INSPECT, NEVER_DISPLACED;
    inspect_shows_how_long_leases_live_at_most: INSPECT, LIFE;
    inspect_shows_metadata_from_the_queue_to_the_grant: INSPECT;
    inspect_is_of_one_instant: INSPECT, STEP;
    force_release_ends_the_holder_of_this_token_only: FORCE, NO_OTHER;
    force_release_of_a_token_that_nobody_has_does_nothing: FORCE, FORCE_EXACT;
    force_release_is_of_one_name_only: FORCE, NAMES;
    a_late_force_release_spares_the_later_holder: FORCE_EXACT;
];

async fn inspect_shows_holders_in_the_order_of_their_grants(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let mut expected = Vec::new();
    // The waiter of least priority holds last, though it came first.
    let writer = scene.party(&name)?;
    let late = scene.party(&name)?.shared();
    writer.granted().await?;
    late.waits().await?;
    for priority in [1, 3, 2] {
        let party = scene.party(&name)?.shared().priority(priority);
        party.waits().await?;
        expected.push(party);
    }
    writer.releases().await?;
    expected.push(late);
    for party in &expected {
        party.claims().await?;
    }
    let seen = scene.inspect(&name).await?;
    let holders = seen.holders().iter().map(Held::holder);
    ensure!(
        holders.eq(expected.iter().map(Party::holder)),
        "the holders are out of order: {seen:?}"
    );
    Ok(())
}

async fn inspect_shows_waiters_in_the_order_of_the_queue(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    scene.party(&name)?.granted().await?;
    let mut expected = Vec::new();
    for priority in [0, 7, 0, 255, 7, 100, 9, 0] {
        let party = scene.party(&name)?.priority(priority);
        party.waits().await?;
        expected.push((priority, party));
    }
    // Stable, so arrival stays the second key.
    expected.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    let seen = scene.inspect(&name).await?;
    let waiters = seen.waiters().iter().map(Queued::waiter);
    let waiters = waiters.map(|waiter| (waiter.order().0.0, waiter.holder()));
    let expected = expected
        .iter()
        .map(|(priority, party)| (*priority, party.holder()));
    ensure!(
        waiters.eq(expected),
        "the waiters are out of order: {seen:?}"
    );
    Ok(())
}

async fn inspect_shows_modes_and_passes_as_granted(scene: &Scene<'_>) -> Outcome {
    for mode in [Mode::Exclusive, Mode::Shared, permits(2, 5)?] {
        let name = scene.name()?;
        let holder = scene.party(&name)?.mode(mode);
        let pass = holder.granted().await?.pass();
        let waiting = match mode {
            Mode::Exclusive | Mode::Shared => Mode::Exclusive,
            Mode::Permits(_) => permits(4, 5)?,
        };
        scene.party(&name)?.mode(waiting).waits().await?;
        let seen = scene.inspect(&name).await?;
        let held: Vec<_> = seen
            .holders()
            .iter()
            .map(|h| (h.mode(), h.pass()))
            .collect();
        ensure!(
            held == [(mode, pass)],
            "{mode:?}, {pass:?} is seen as {held:?}"
        );
        let queued: Vec<_> = seen.waiters().iter().map(|q| q.waiter().mode()).collect();
        ensure!(queued == [waiting], "{waiting:?} is seen as {queued:?}");
    }
    Ok(())
}

async fn inspect_shows_how_long_leases_live_at_most(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    for round in 0..3 {
        // Repeated, each begins the leases anew.
        let held = holder.granted().await?.lease();
        let queued = waiter.waits().await?.lease();
        scene.pause(round).await;
        let seen = scene.inspect(&name).await?;
        let now = Instant::now();
        let held_for = seen.holders().iter().map(Held::remaining);
        let queued_for = seen.waiters().iter().map(Queued::remaining);
        ensure!(
            seen.holders().len() == 1 && seen.waiters().len() == 1,
            "{seen:?}"
        );
        for (remaining, lease) in held_for.zip([held]).chain(queued_for.zip([queued])) {
            ensure!(
                !remaining.is_zero() && remaining <= lease.ttl(),
                "{remaining:?} remain of {lease:?}"
            );
            ensure!(
                remaining >= lease.remaining(now),
                "{remaining:?} is no upper bound for {lease:?}"
            );
        }
    }
    Ok(())
}

/// All that there is room for, with what quoting and encoding garble.
fn longest_metadata() -> Result<Metadata, Failure> {
    let mut text = String::from("\u{1f512}\"'\\%{}<>&;\n\t\u{0}\r\u{e9}e\u{301}\u{fe0f} ");
    while text.len() < Metadata::LEN_MAX {
        text.push('x');
    }
    Ok(Metadata::new(text)?)
}

fn metadata(seen: &Inspection) -> (Vec<&Metadata>, Vec<&Metadata>) {
    let held = seen.holders().iter().map(Held::metadata);
    let queued = seen.waiters().iter().map(Queued::metadata);
    (held.collect(), queued.collect())
}

async fn inspect_shows_metadata_from_the_queue_to_the_grant(scene: &Scene<'_>) -> Outcome {
    let (name, long) = (scene.name()?, longest_metadata()?);
    let short = Metadata::new("host 7")?;
    let first = scene.party(&name)?.metadata(short.clone());
    let second = scene.party(&name)?.metadata(long.clone());
    let third = scene.party(&name)?;
    first.granted().await?;
    second.waits().await?;
    third.waits().await?;
    let none = Metadata::default();
    let seen = scene.inspect(&name).await?;
    ensure!(
        metadata(&seen) == (vec![&short], vec![&long, &none]),
        "metadata is not as given: {seen:?}"
    );
    first.releases().await?;
    second.claims().await?;
    second.renewed().await?;
    let seen = scene.inspect(&name).await?;
    ensure!(
        metadata(&seen) == (vec![&long], vec![&none]),
        "metadata did not outlast the queue: {seen:?}"
    );
    Ok(())
}

/// Holds for a moment, again and again.
async fn come_and_go(scene: &Scene<'_>, name: &LockName) -> Outcome {
    for _ in 0..6 {
        let party = scene.party(name)?;
        let mut holds = matches!(party.enqueue().await?, Enqueued::Granted(_));
        for _ in 0..8 {
            if holds {
                break;
            }
            yield_now().await;
            holds = matches!(party.claim().await?, Claimed::Granted(_));
        }
        yield_now().await;
        if holds {
            yield_now().await;
            party.releases().await?;
        } else {
            party.leave().await?;
        }
    }
    Ok(())
}

async fn inspect_is_of_one_instant(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let looking = async {
        for _ in 0..24 {
            let seen = scene.inspect(&name).await?;
            let holders = seen.holders().iter().map(Held::holder);
            let waiters = seen.waiters().iter().map(|q| q.waiter().holder());
            let mut ids: Vec<_> = holders.chain(waiters).collect();
            let entries = ids.len();
            ids.sort_unstable();
            ids.dedup();
            ensure!(ids.len() == entries, "one is there twice: {seen:?}");
            ensure!(seen.holders().len() <= 1, "two hold at once: {seen:?}");
            yield_now().await;
        }
        Outcome::Ok(())
    };
    let crowd = try_join_all((0..4).map(|_| come_and_go(scene, &name)));
    try_join(looking, crowd).await.map(drop)
}

async fn force_release_ends_the_holder_of_this_token_only(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let reader = || Ok::<_, Failure>(scene.party(&name)?.shared());
    let (first, second, third) = (reader()?, reader()?, reader()?);
    first.granted().await?;
    let token = second.granted().await?.pass().token();
    third.granted().await?;
    let forced = scene.client().force_release(&name, token).await?;
    ensure!(forced, "force_release did not find {token}");
    second.is_gone().await?;
    second.cannot_renew().await?;
    second.cannot_release().await?;
    let seen = scene.inspect(&name).await?;
    let holders = seen.holders().iter().map(Held::holder);
    ensure!(
        holders.eq([first.holder(), third.holder()]),
        "the first and the third should hold: {seen:?}"
    );
    Ok(())
}

async fn force_release_of_a_token_that_nobody_has_does_nothing(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    let pass = holder.granted().await?.pass();
    waiter.waits().await?;
    let token = pass.token().as_u64();
    for other in [
        0,
        token.saturating_sub(1),
        token.saturating_add(1),
        u64::MAX,
    ] {
        let other = FencingToken::new(other);
        let forced = scene.client().force_release(&name, other).await?;
        ensure!(!forced, "{other} ended somebody, where {token} holds");
    }
    let after = holder.claims().await?.pass();
    ensure!(after == pass, "{pass:?} became {after:?}");
    waiter.still_waits().await?;
    Ok(())
}

async fn force_release_is_of_one_name_only(scene: &Scene<'_>) -> Outcome {
    let (name, other) = (scene.name()?, scene.name()?);
    let holder = scene.party(&name)?;
    let token = holder.granted().await?.pass().token();
    // Where names are counted apart, the two have different tokens after this.
    for _ in 0..3 {
        let party = scene.party(&other)?;
        party.granted().await?;
        party.releases().await?;
    }
    let neighbour = scene.party(&other)?.granted().await?.pass().token();
    if token != neighbour {
        let forced = scene.client().force_release(&other, token).await?;
        ensure!(!forced, "a token of one name ended a holder of another");
    }
    holder.claims().await?;
    Ok(())
}

async fn a_late_force_release_spares_the_later_holder(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    let seen = holder.granted().await?.pass().token();
    waiter.waits().await?;
    holder.releases().await?;
    let force = || scene.client().force_release(&name, seen);
    ensure!(!force().await?, "it hit a waiter");
    let pass = waiter.claims().await?.pass();
    ensure!(!force().await?, "it hit a later holder");
    let after = waiter.claims().await?.pass();
    ensure!(after == pass, "{pass:?} became {after:?}");
    Ok(())
}
