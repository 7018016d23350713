//! What a coordinator finds that opens again, and what it must not find.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::Report;

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, branch, is};

pub(super) const CASES: &[Case] = cases![
    what_is_prepared_in_earlier_epochs_is_listed: IN_DOUBT, LISTS;
    what_is_not_prepared_is_not_listed: IN_DOUBT;
    a_late_prepare_is_listed_by_the_next_scan: IN_DOUBT, LISTS;
    others_are_neither_listed_nor_touched: IN_DOUBT, OTHERS;
];

async fn what_is_prepared_in_earlier_epochs_is_listed(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start().await?;
    let coordinator = scene.coordinator();
    // Epochs whose digits sort otherwise than they do.
    let epochs = [1, 2, 9, 10, 16, 255];
    for epoch in epochs {
        process.opens(coordinator, epoch, 1).await?;
        process
            .prepares(scene.branch(epoch, 7)?, scene.mark())
            .await?;
    }
    process = scene.restart(process).await?;
    for before in [1, 2, 9, 10, 11, 17, 256, 1 << 40] {
        let mut expected = Vec::new();
        for epoch in epochs.into_iter().filter(|epoch| *epoch < before) {
            expected.push(scene.branch(epoch, 7)?);
        }
        let found = process.doubts(coordinator, before).await?;
        if process.lists() {
            is(found, expected)?;
        } else {
            let few = found.iter().all(|branch| expected.contains(branch));
            ensure!(few, "{found:?} where there are {expected:?}");
        }
    }
    for epoch in epochs {
        is(process.abort(scene.branch(epoch, 7)?).await?, ABORTED)?;
    }
    let left = process.doubts(coordinator, 1 << 40).await?;
    ensure!(left.is_empty(), "{left:?} have aborted");
    Ok(())
}

async fn what_is_not_prepared_is_not_listed(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    process.commits(scene.branch(1, 0)?, scene.mark()).await?;
    process.prepares(scene.branch(1, 1)?, scene.mark()).await?;
    is(process.abort(scene.branch(1, 1)?).await?, ABORTED)?;
    is(process.settle(scene.branch(1, 2)?).await?, ABORTED)?;
    let working = process.works(scene.branch(1, 3)?, scene.mark()).await?;
    let found = process.doubts(scene.coordinator(), 9).await?;
    ensure!(found.is_empty(), "{found:?}, and none is prepared");
    drop(working);
    is(process.abort(scene.branch(1, 3)?).await?, ABORTED)
}

async fn a_late_prepare_is_listed_by_the_next_scan(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (coordinator, late) = (scene.coordinator(), scene.branch(1, 0)?);
    is(process.doubts(coordinator, 2).await?, vec![])?;
    process.prepares(late, scene.mark()).await?;
    let found = process.doubts(coordinator, 2).await?;
    if process.lists() {
        is(found, vec![late])?;
    }
    is(process.abort(late).await?, ABORTED)?;
    is(process.doubts(coordinator, 2).await?, vec![])
}

async fn others_are_neither_listed_nor_touched(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (own, other) = (scene.coordinator(), scene.foreigner());
    process.opens(other, 1, 1).await?;
    let (kept, undone) = (scene.mark(), scene.mark());
    let (one, two) = (branch(other, 1, 0, 0)?, branch(other, 1, 1, 0)?);
    process.prepares(one, kept).await?;
    process.prepares(two, undone).await?;
    // The same numbers, but ours.
    let ours = scene.branch(1, 0)?;
    process.prepares(ours, scene.mark()).await?;
    process.opens(own, 2, 2).await?;
    let found = process.doubts(own, 2).await?;
    let fits = found == [ours] || found.is_empty() && !process.lists();
    ensure!(fits, "{found:?} instead of {ours}");
    is(process.abort(ours).await?, ABORTED)?;
    is(process.settle(scene.branch(1, 1)?).await?, ABORTED)?;
    process.forget(own, (super::scene::epoch(2)?, 0)).await?;
    is(process.settle(one).await?, Report::Prepared)?;
    is(process.settle(two).await?, Report::Prepared)?;
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}
