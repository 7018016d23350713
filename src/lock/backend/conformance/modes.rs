//! Exclusive, shared and permits, in one queue.

use std::num::NonZeroU32;

use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::lock::backend::{Enqueued, Held};
use crate::lock::queue::{Family, Mode};

use super::Case;
use super::party::{Party, permits};
use super::scene::Scene;

pub(super) const CASES: &[Case] = cases![
    an_exclusive_holder_holds_alone: JUDGED;
    shared_holders_hold_together: JUDGED;
    an_exclusive_waiter_waits_for_every_shared_holder: JUDGED, CLAIM;
    a_shared_newcomer_does_not_pass_an_exclusive_waiter: JUDGED;
    a_shared_newcomer_of_higher_priority_passes_an_exclusive_waiter: JUDGED;
    shared_waiters_hold_together_behind_an_exclusive_one: JUDGED, CLAIM;
    permits_are_counted: JUDGED;
    permits_are_counted_among_many_at_once: JUDGED, STEP;
    permits_are_counted_up_to_the_largest_number: JUDGED;
    a_large_request_for_permits_is_not_overtaken: JUDGED;
    a_holder_keeps_other_families_out: JUDGED, ENQUEUE;
    a_waiter_keeps_other_families_out: JUDGED, ENQUEUE;
    a_name_that_is_free_may_be_used_as_anything: JUDGED;
];

async fn an_exclusive_holder_holds_alone(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let (other, reader) = (scene.party(&name)?, scene.party(&name)?.shared());
    holder.granted().await?;
    other.waits().await?;
    reader.waits().await?;
    other.still_waits().await?;
    reader.still_waits().await?;
    Ok(())
}

async fn shared_holders_hold_together(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    for _ in 0..4 {
        scene.party(&name)?.shared().granted().await?;
    }
    let seen = scene.inspect(&name).await?;
    ensure!(seen.holders().len() == 4, "four hold, there is {seen:?}");
    Ok(())
}

async fn an_exclusive_waiter_waits_for_every_shared_holder(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let [one, other] = [scene.party(&name)?.shared(), scene.party(&name)?.shared()];
    let writer = scene.party(&name)?;
    one.granted().await?;
    other.granted().await?;
    writer.waits().await?;
    one.releases().await?;
    writer.still_waits().await?;
    other.releases().await?;
    writer.claims().await?;
    Ok(())
}

async fn a_shared_newcomer_does_not_pass_an_exclusive_waiter(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let (reader, late) = (scene.party(&name)?.shared(), scene.party(&name)?.shared());
    let writer = scene.party(&name)?;
    reader.granted().await?;
    writer.waits().await?;
    late.waits().await?;
    late.still_waits().await?;
    reader.releases().await?;
    late.still_waits().await?;
    writer.claims().await?;
    late.still_waits().await?;
    writer.releases().await?;
    late.claims().await?;
    Ok(())
}

async fn a_shared_newcomer_of_higher_priority_passes_an_exclusive_waiter(
    scene: &Scene<'_>,
) -> Outcome {
    let name = scene.name()?;
    let (reader, writer) = (scene.party(&name)?.shared(), scene.party(&name)?);
    reader.granted().await?;
    writer.waits().await?;
    let urgent = scene.party(&name)?.shared().priority(1);
    urgent.granted().await?;
    reader.releases().await?;
    writer.still_waits().await?;
    urgent.releases().await?;
    writer.claims().await?;
    Ok(())
}

async fn shared_waiters_hold_together_behind_an_exclusive_one(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let holder = scene.party(&name)?;
    let readers = [scene.party(&name)?.shared(), scene.party(&name)?.shared()];
    let writer = scene.party(&name)?;
    holder.granted().await?;
    for reader in &readers {
        reader.waits().await?;
    }
    writer.waits().await?;
    holder.releases().await?;
    let [one, other] = &readers;
    // The second may, before the first has.
    other.claims().await?;
    writer.still_waits().await?;
    one.claims().await?;
    writer.still_waits().await?;
    Ok(())
}

async fn permits_are_counted(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let ask = |n| Ok::<_, Failure>(scene.party(&name)?.mode(permits(n, 4)?));
    let (one, two, last) = (ask(1)?, ask(2)?, ask(1)?);
    let (pair, single) = (ask(2)?, ask(1)?);
    for party in [&one, &two, &last] {
        party.granted().await?;
    }
    pair.waits().await?;
    single.waits().await?;
    last.releases().await?;
    pair.still_waits().await?;
    one.releases().await?;
    pair.claims().await?;
    single.still_waits().await?;
    two.releases().await?;
    single.claims().await?;
    ask(1)?.granted().await?;
    ask(1)?.waits().await?;
    Ok(())
}

async fn permits_are_counted_among_many_at_once(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let mode = permits(1, 3)?;
    let crowd: Vec<_> = (0..10)
        .map(|_| Ok::<_, Failure>(scene.party(&name)?.mode(mode)))
        .collect::<Result<_, _>>()?;
    let answers = try_join_all(crowd.iter().map(Party::enqueue)).await?;
    let granted = answers.iter().filter(|a| matches!(a, Enqueued::Granted(_)));
    let granted = granted.count();
    ensure!(granted == 3, "{granted} hold 3 permits");
    let seen = scene.inspect(&name).await?;
    let counts = (seen.holders().len(), seen.waiters().len());
    ensure!(counts == (3, 7), "(holders, waiters) is {counts:?}");
    Ok(())
}

async fn permits_are_counted_up_to_the_largest_number(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let ask = |n| Ok::<_, Failure>(scene.party(&name)?.mode(permits(n, u32::MAX)?));
    let (most, one, all) = (ask(u32::MAX - 1)?, ask(1)?, ask(u32::MAX)?);
    most.granted().await?;
    ask(2)?.without_waiting().finds_it_held().await?;
    one.granted().await?;
    all.waits().await?;
    most.releases().await?;
    all.still_waits().await?;
    one.releases().await?;
    all.claims().await?;
    let seen = scene.inspect(&name).await?;
    let modes: Vec<_> = seen.holders().iter().map(Held::mode).collect();
    ensure!(modes == [all.request().mode()], "all are held: {seen:?}");
    Ok(())
}

async fn a_large_request_for_permits_is_not_overtaken(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let ask = |n| Ok::<_, Failure>(scene.party(&name)?.mode(permits(n, 3)?));
    let (holder, large, small) = (ask(1)?, ask(3)?, ask(1)?);
    holder.granted().await?;
    large.waits().await?;
    small.waits().await?;
    small.still_waits().await?;
    ask(1)?.without_waiting().finds_it_held().await?;
    holder.releases().await?;
    small.still_waits().await?;
    large.claims().await?;
    small.still_waits().await?;
    large.releases().await?;
    small.claims().await?;
    Ok(())
}

fn family(of: u32) -> Result<Family, Failure> {
    let of = NonZeroU32::new(of).ok_or_else(|| Failure::new("no permits"))?;
    Ok(Family::Permits { of })
}

/// What a name is used as, and in what modes others may not use it then.
fn families() -> Result<[(Mode, Family, [Mode; 2]); 3], Failure> {
    let four = [permits(1, 4)?, Mode::Exclusive];
    Ok([
        (Mode::Exclusive, Family::ReaderWriter, [permits(1, 3)?; 2]),
        (Mode::Shared, Family::ReaderWriter, [permits(3, 3)?; 2]),
        (permits(2, 3)?, family(3)?, four),
    ])
}

async fn a_holder_keeps_other_families_out(scene: &Scene<'_>) -> Outcome {
    for (mode, family, others) in families()? {
        let name = scene.name()?;
        let holder = scene.party(&name)?.mode(mode);
        holder.granted().await?;
        for other in others {
            let party = || Ok::<_, Failure>(scene.party(&name)?.mode(other).priority(u8::MAX));
            party()?.finds_family(family).await?;
            let hasty = party()?.without_waiting();
            hasty.finds_family(family).await?;
            hasty.is_gone().await?;
        }
        let seen = scene.inspect(&name).await?;
        ensure!(
            seen.holders().len() == 1 && seen.waiters().is_empty(),
            "another family left something: {seen:?}"
        );
    }
    Ok(())
}

async fn a_waiter_keeps_other_families_out(scene: &Scene<'_>) -> Outcome {
    for (mode, family, others) in families()? {
        let name = scene.name()?;
        let whole = match mode {
            Mode::Exclusive | Mode::Shared => Mode::Exclusive,
            Mode::Permits(_) => permits(3, 3)?,
        };
        let holder = scene.party(&name)?.mode(whole);
        let waiter = scene.party(&name)?.mode(mode);
        holder.granted().await?;
        waiter.waits().await?;
        holder.releases().await?;
        for other in others {
            let party = scene.party(&name)?.mode(other);
            party.finds_family(family).await?;
        }
        waiter.claims().await?;
    }
    Ok(())
}

async fn a_name_that_is_free_may_be_used_as_anything(scene: &Scene<'_>) -> Outcome {
    let name = scene.name()?;
    let modes = [
        Mode::Exclusive,
        permits(1, 3)?,
        permits(1, 4)?,
        Mode::Shared,
        permits(4, 4)?,
        Mode::Exclusive,
    ];
    for (mode, leaves) in modes.into_iter().zip([false, true].into_iter().cycle()) {
        let party = scene.party(&name)?.mode(mode);
        party.granted().await?;
        if leaves {
            party.leave().await?;
        } else {
            party.releases().await?;
        }
    }
    // So it is where leases ended by themselves.
    scene.brief(&name)?.granted().await?;
    scene.outlast().await;
    scene.party(&name)?.mode(permits(2, 2)?).granted().await?;
    Ok(())
}
