//! What a coordinator's opening changes, and what refuses it.

use futures_util::future::join;

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::Report;

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, branch, is, is_no, is_stale, opening};

pub(super) const CASES: &[Case] = cases![
    a_stale_log_is_refused: STALE, NOTED;
    an_opening_is_remembered_by_the_store: NOTED, STALE;
    the_same_opening_may_be_told_again: AGAIN, REPEATS;
    an_opening_concerns_one_coordinator: NOTED, OTHERS;
    a_branch_of_an_earlier_epoch_cannot_commit_in_one_phase: FENCED, ONE_PHASE, REPORTS;
    a_prepared_branch_of_an_earlier_epoch_is_fenced_too: FENCED, ONE_PHASE, REPORTS;
    what_is_prepared_outlives_an_opening: WAITS, FENCED;
    a_refused_opening_changes_nothing: STALE;
    a_branch_of_an_earlier_epoch_never_begins: EARLIER, NOTED;
];

async fn a_stale_log_is_refused(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let coordinator = scene.coordinator();
    process.opens(coordinator, 5, 1).await?;
    for (epoch, nonce) in [(4, 1), (4, 2), (1, 1), (5, 2)] {
        is_stale(&process.open(opening(coordinator, epoch, nonce)?).await)?;
    }
    process.opens(coordinator, 6, 2).await?;
    is_stale(&process.open(opening(coordinator, 5, 1)?).await)
}

async fn an_opening_is_remembered_by_the_store(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let coordinator = scene.coordinator();
    process.opens(coordinator, 5, 1).await?;
    let process = scene.restart(process).await?;
    for (epoch, nonce) in [(4, 1), (5, 2)] {
        is_stale(&process.open(opening(coordinator, epoch, nonce)?).await)?;
    }
    process.opens(coordinator, 6, 2).await
}

async fn the_same_opening_may_be_told_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let coordinator = scene.coordinator();
    // The nonce of an opening is any number.
    for (epoch, nonce) in [(1, 0), (2, u128::MAX), (3, 1 << 127), (4, 1 << 63)] {
        let opening = || process.opens(coordinator, epoch, nonce);
        let (one, two) = join(opening(), opening()).await;
        one.and(two)?;
        opening().await?;
    }
    let process = scene.restart(process).await?;
    process.opens(coordinator, 4, 1 << 63).await
}

async fn an_opening_concerns_one_coordinator(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let mark = scene.mark();
    let ours = scene.branch(1, 0)?;
    let hand = process.works(ours, mark).await?;
    process.opens(scene.foreigner(), 7, 1).await?;
    is(process.commit_one_phase(ours).await?, COMMITTED)?;
    drop(hand);
    ensure!(process.holds(mark).await?, "what committed is not there");
    process.opens(scene.coordinator(), 2, 2).await
}

async fn a_branch_of_an_earlier_epoch_cannot_commit_in_one_phase(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, early) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(early, mark).await?;
    process.opens(scene.coordinator(), 2, 2).await?;
    // The opening may have ended it.
    let report = process.commit_one_phase(early).await?;
    let aborted = matches!(report, ABORTED | Report::Missing);
    ensure!(aborted, "{report:?} instead of aborted");
    drop(hand);
    is(process.settle(early).await?, ABORTED)?;
    is(process.commit_one_phase(early).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it committed all the same");
    let (mark, late) = (scene.mark(), scene.branch(2, 0)?);
    let _hand = process.works(late, mark).await?;
    is(process.commit_one_phase(late).await?, COMMITTED)
}

async fn a_prepared_branch_of_an_earlier_epoch_is_fenced_too(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, early) = (scene.mark(), scene.branch(1, 0)?);
    process.prepares(early, mark).await?;
    process.opens(scene.coordinator(), 2, 2).await?;
    is(process.commit_one_phase(early).await?, ABORTED)?;
    is(process.settle(early).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it committed all the same");
    Ok(())
}

async fn what_is_prepared_outlives_an_opening(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let (kept, undone) = (scene.mark(), scene.mark());
    process.prepares(one, kept).await?;
    process.prepares(two, undone).await?;
    process.opens(scene.coordinator(), 2, 2).await?;
    is(process.settle(one).await?, Report::Prepared)?;
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}

async fn a_refused_opening_changes_nothing(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let coordinator = scene.coordinator();
    process.opens(coordinator, 3, 1).await?;
    let (mark, ours) = (scene.mark(), branch(coordinator, 3, 0, 0)?);
    let _hand = process.works(ours, mark).await?;
    is_stale(&process.open(opening(coordinator, 3, 2)?).await)?;
    is_stale(&process.open(opening(coordinator, 2, 3)?).await)?;
    is_stale(&process.open(opening(coordinator, 3, 2)?).await)?;
    process.opens(coordinator, 3, 1).await?;
    is(process.commit_one_phase(ours).await?, COMMITTED)
}

async fn a_branch_of_an_earlier_epoch_never_begins(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (coordinator, other) = (scene.coordinator(), scene.foreigner());
    let begun = scene.branch(1, 0)?;
    process.commits(begun, scene.mark()).await?;
    process.opens(coordinator, 3, 2).await?;
    process.opens(other, 1, 3).await?;
    for early in [scene.branch(1, 1)?, scene.branch(2, 0)?] {
        ensure!(process.work(early).await.is_err(), "{early} works");
        is_no(&process.prepare(early).await?)?;
    }
    let process = scene.restart(process).await?;
    for early in [scene.branch(1, 2)?, scene.branch(2, 1)?] {
        ensure!(process.work(early).await.is_err(), "{early} works");
    }
    process.commits(scene.branch(3, 0)?, scene.mark()).await?;
    process.commits(branch(other, 1, 0, 0)?, scene.mark()).await
}
