//! Who is next: priority, then arrival.

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::queue::Mode;

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    waiters_hold_in_the_order_of_arrival: JUDGED, CLAIM;
    waiters_of_higher_priority_hold_first: JUDGED, CLAIM;
    the_highest_and_the_lowest_priority_differ: JUDGED;
    a_holder_is_not_displaced_by_priority: NEVER_DISPLACED, JUDGED;
    a_claim_before_its_turn_waits: JUDGED, CLAIM;
    a_newcomer_does_not_pass_a_waiter_that_has_not_claimed_yet: JUDGED, ENQUEUE;
    who_does_not_wait_is_granted_what_is_free: ENQUEUE;
    who_does_not_wait_leaves_nothing: ENQUEUE;
    who_does_not_wait_passes_no_waiter: NO_WAIT, JUDGED;
    the_largest_priority_without_waiting_passes_no_waiter: NO_WAIT, JUDGED;
];

/// Lets each claim in this order, and expects that it alone may.
async fn hold_in_turn(holder: &Party, order: &[&Party]) -> Outcome {
    let mut holds = holder;
    let mut last = holder.claims().await?.pass().token();
    for (turn, next) in order.iter().enumerate() {
        for waiter in order.iter().skip(turn) {
            waiter.still_waits().await?;
        }
        holds.releases().await?;
        // The last comes first, so that one who is let in out of turn is.
        for waiter in order.iter().skip(turn + 1).rev() {
            waiter.still_waits().await?;
        }
        let token = next.claims().await?.pass().token();
        ensure!(token > last, "fencing token {token} follows {last}");
        (holds, last) = (next, token);
    }
    Ok(())
}

async fn waiters_hold_in_the_order_of_arrival(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    holder.granted().await?;
    let mut waiters = Vec::new();
    for _ in 0..12 {
        let waiter = scene.party(&name)?;
        waiter.waits().await?;
        waiters.push(waiter);
    }
    hold_in_turn(&holder, &waiters.iter().collect::<Vec<_>>()).await
}

async fn waiters_of_higher_priority_hold_first(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let waiter = |priority| Ok::<_, Failure>(scene.party(&name)?.priority(priority));
    // 9 and 10, 99 and 100, 127 and 128: where text and signed bytes are ordered otherwise.
    let arrivals = [
        waiter(9)?,
        waiter(100)?,
        waiter(10)?,
        waiter(128)?,
        waiter(9)?,
        waiter(127)?,
        waiter(99)?,
        waiter(128)?,
    ];
    holder.granted().await?;
    for waiter in &arrivals {
        waiter.waits().await?;
    }
    let [
        nine,
        hundred,
        ten,
        large,
        other_nine,
        medium,
        ninety_nine,
        other_large,
    ] = &arrivals;
    let order = [
        large,
        other_large,
        medium,
        hundred,
        ninety_nine,
        ten,
        nine,
        other_nine,
    ];
    hold_in_turn(&holder, &order).await
}

async fn the_highest_and_the_lowest_priority_differ(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let least = scene.party(&name)?.priority(u8::MIN);
    let middle = scene.party(&name)?.priority(1);
    let most = scene.party(&name)?.priority(u8::MAX);
    holder.granted().await?;
    for waiter in [&least, &middle, &most] {
        waiter.waits().await?;
    }
    hold_in_turn(&holder, &[&most, &middle, &least]).await
}

async fn a_holder_is_not_displaced_by_priority(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let pass = holder.granted().await?.pass();
    for mode in [Mode::Exclusive, Mode::Shared] {
        let rival = scene.party(&name)?.mode(mode).priority(u8::MAX);
        rival.waits().await?;
        rival.still_waits().await?;
        let after = holder.claims().await?.pass();
        ensure!(after == pass, "{pass:?} became {after:?}");
    }
    holder.renewed().await?;
    Ok(())
}

async fn a_claim_before_its_turn_waits(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let (first, second) = (scene.party(&name)?, scene.party(&name)?);
    holder.granted().await?;
    first.waits().await?;
    second.waits().await?;
    for _ in 0..3 {
        second.still_waits().await?;
        first.still_waits().await?;
    }
    holder.releases().await?;
    second.still_waits().await?;
    let seen = scene.inspect(&name).await?;
    ensure!(
        seen.holders().is_empty() && seen.waiters().len() == 2,
        "nobody has claimed yet, and there is {seen:?}"
    );
    first.claims().await?;
    second.still_waits().await?;
    Ok(())
}

async fn a_newcomer_does_not_pass_a_waiter_that_has_not_claimed_yet(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (holder, waiter) = (scene.party(&name)?, scene.party(&name)?);
    let equal = scene.party(&name)?;
    let higher = scene.party(&name)?.priority(1);
    holder.granted().await?;
    waiter.waits().await?;
    holder.releases().await?;
    equal.waits().await?;
    // It stands before the waiter, and nobody holds.
    higher.granted().await?;
    waiter.still_waits().await?;
    higher.releases().await?;
    equal.still_waits().await?;
    waiter.claims().await?;
    Ok(())
}

async fn who_does_not_wait_is_granted_what_is_free(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    for mode in [Mode::Exclusive, Mode::Shared, permits(2, 3)?] {
        let party = scene.party(&name)?.mode(mode).without_waiting();
        party.granted().await?;
        party.releases().await?;
    }
    let shared = scene.party(&name)?.shared();
    shared.granted().await?;
    let other = scene.party(&name)?.shared().without_waiting();
    other.granted().await?;
    Ok(())
}

async fn who_does_not_wait_leaves_nothing(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let hasty = scene.party(&name)?.without_waiting();
    holder.granted().await?;
    hasty.finds_it_held().await?;
    let seen = scene.inspect(&name).await?;
    ensure!(seen.waiters().is_empty(), "it waits: {seen:?}");
    hasty.is_gone().await?;
    hasty.cannot_renew().await?;
    holder.releases().await?;
    hasty.is_gone().await?;
    scene.party(&name)?.granted().await?;
    Ok(())
}

/// Lets one of this priority, who does not wait, try to pass waiters of all kinds.
async fn passes_nobody(scene: &Scene<'_>, priority: u8) -> Outcome {
    let reading = [Mode::Shared, Mode::Exclusive, Mode::Shared];
    let read = [Mode::Exclusive, Mode::Shared, Mode::Shared];
    let written = [Mode::Exclusive; 3];
    let permitted = [permits(2, 3)?, permits(3, 3)?, permits(1, 3)?];
    for (modes, released) in [
        (reading, false),
        (reading, true),
        (read, true),
        (written, true),
        (permitted, false),
        (permitted, true),
    ] {
        let name = scene.name()?;
        let [holds, waits, tries] = modes;
        let holder = scene.party(&name)?.mode(holds);
        holder.granted().await?;
        scene.party(&name)?.mode(waits).waits().await?;
        if released {
            holder.releases().await?;
        }
        let hasty = scene.party(&name)?.mode(tries).priority(priority);
        hasty.without_waiting().finds_it_held().await?;
    }
    Ok(())
}

async fn who_does_not_wait_passes_no_waiter(scene: &Scene<'_>) -> Outcome {
    passes_nobody(scene, 0).await
}

async fn the_largest_priority_without_waiting_passes_no_waiter(scene: &Scene<'_>) -> Outcome {
    passes_nobody(scene, u8::MAX).await
}
