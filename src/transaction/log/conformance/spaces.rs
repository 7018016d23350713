//! Space that is kept for records to come.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::log::{AppendError, Durability, RESERVATION_MAX};

use super::Case;
use super::scene::{Scene, ends, says};

pub(super) const CASES: &[Case] = cases![
    a_reservation_covers_a_decision_and_an_end: RESERVES, COVERS;
    a_reservation_that_is_too_small_is_made_up_for: COVERS;
    a_reservation_of_another_opening_covers_nothing: FOREIGN, LASTS;
    a_reservation_of_another_log_covers_nothing: FOREIGN;
    more_than_one_call_may_reserve_is_refused: RESERVES;
];

async fn a_reservation_covers_a_decision_and_an_end(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let (decision, end) = (says("a", "commit")?, ends("a")?);
    let mut begun = process.reserve(decision.space() + end.space()).await?;
    let part = begun.split(decision.space());
    ensure!(begun.bytes() == end.space(), "{begun:?} is left");
    let epoch = process.epoch();
    let decided = process
        .log
        .append(epoch, vec![decision], Durability::Forced, Some(part));
    decided.await?;
    let ended = process
        .log
        .append(epoch, vec![end], Durability::Forced, Some(begun));
    ended.await?;
    scene.restart(process).await?.holds(&[])
}

async fn a_reservation_that_is_too_small_is_made_up_for(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let small = process.reserve(1).await?;
    let epoch = process.epoch();
    let record = vec![says("a", "a")?];
    process
        .log
        .append(epoch, record, Durability::Forced, Some(small))
        .await?;
    let large = process.reserve(100_000).await?;
    let record = vec![says("b", "b")?];
    process
        .log
        .append(epoch, record, Durability::Forced, Some(large))
        .await?;
    scene.restart(process).await?.holds(&["a", "b"])
}

async fn a_reservation_of_another_opening_covers_nothing(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let stale = process.reserve(1000).await?;
    let mut other = process.reserve(1000).await?;
    let opened = process.log.open(0).await?;
    let epoch = opened.epoch();
    let mut fresh = process.log.reserve(epoch, 10).await?;
    fresh.absorb(other.split(500));
    ensure!(fresh.bytes() == 10, "{fresh:?} has grown by a stale one");
    let record = vec![says("a", "a")?];
    process
        .log
        .append(epoch, record, Durability::Forced, Some(stale))
        .await?;
    drop((other, fresh));
    scene.restart(process).await?.holds(&["a"])
}

async fn a_reservation_of_another_log_covers_nothing(scene: &Scene<'_>) -> Outcome {
    let (process, other) = (scene.start(0).await?, scene.other().await?);
    let mut foreign = other.reserve(1000).await?;
    let mut own = process.reserve(10).await?;
    own.absorb(foreign.split(500));
    ensure!(own.bytes() == 10, "{own:?} has grown by another log's");
    let record = vec![says("a", "a")?];
    let epoch = process.epoch();
    process
        .log
        .append(epoch, record, Durability::Forced, Some(foreign))
        .await?;
    drop((own, other));
    scene.restart(process).await?.holds(&["a"])
}

async fn more_than_one_call_may_reserve_is_refused(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    for bytes in [RESERVATION_MAX + 1, u64::MAX] {
        let refused = process.reserve(bytes).await;
        let named = matches!(refused, Err(AppendError::TooLarge { .. }));
        ensure!(named, "{bytes} bytes: {refused:?}");
    }
    drop(process.reserve(0).await?);
    process.forced(vec![says("a", "a")?]).await?;
    scene.restart(process).await?.holds(&["a"])
}
