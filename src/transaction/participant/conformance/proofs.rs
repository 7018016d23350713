//! What `settle` proves, and what a tombstone keeps out.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::{Report, Vote};

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, is, is_no};

pub(super) const CASES: &[Case] = cases![
    what_never_was_can_never_be: NO_ROW, SETTLES, TOMBSTONE, REFUSED;
    what_works_is_ended: SETTLES, VOTES_NO;
    what_is_prepared_is_only_reported: ONLY_REPORTED, PREPARES;
    what_is_settled_is_told: SETTLES, ROW;
    a_late_writer_is_kept_out: NO_ROW, TOMBSTONE;
    a_lost_branch_is_kept_out: NO_ROW, LOST, TOMBSTONE;
];

async fn what_never_was_can_never_be(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    is(process.settle(one).await?, ABORTED)?;
    is(process.abort(two).await?, ABORTED)?;
    let process = scene.restart(process).await?;
    for ours in [one, two] {
        ensure!(process.work(ours).await.is_err(), "it works after its end");
        is_no(&process.prepare(ours).await?)?;
        is(process.commit(ours).await?, ABORTED)?;
        is(process.commit_one_phase(ours).await?, ABORTED)?;
        is(process.abort(ours).await?, ABORTED)?;
        is(process.settle(ours).await?, ABORTED)?;
    }
    Ok(())
}

async fn what_works_is_ended(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(ours, mark).await?;
    is(process.settle(ours).await?, ABORTED)?;
    drop(hand);
    is_no(&process.prepare(ours).await?)?;
    is(process.commit_one_phase(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it happened");
    Ok(())
}

async fn what_is_prepared_is_only_reported(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (kept, undone) = (scene.mark(), scene.mark());
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    process.prepares(one, kept).await?;
    process.prepares(two, undone).await?;
    for ours in [one, two, one, two] {
        is(process.settle(ours).await?, Report::Prepared)?;
        is(process.prepare(ours).await?, Vote::Prepared)?;
    }
    let process = scene.restart(process).await?;
    is(process.settle(one).await?, Report::Prepared)?;
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}

async fn what_is_settled_is_told(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    process.commits(one, scene.mark()).await?;
    process.prepares(two, scene.mark()).await?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.settle(one).await?, process.settle(two).await?),
        (COMMITTED, ABORTED),
    )?;
    let process = scene.restart(process).await?;
    is(
        (process.settle(one).await?, process.settle(two).await?),
        (COMMITTED, ABORTED),
    )
}

async fn a_late_writer_is_kept_out(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..4 {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        let mut hand = process.work(ours).await?;
        if sequence % 2 == 0 {
            is(process.settle(ours).await?, ABORTED)?;
        } else {
            is(process.abort(ours).await?, ABORTED)?;
        }
        // Whether it is told or not, nothing comes of it.
        let _ = hand.write(mark).await;
        drop(hand);
        if sequence < 2 {
            is_no(&process.prepare(ours).await?)?;
        }
        is(process.commit_one_phase(ours).await?, ABORTED)?;
        ensure!(!process.holds(mark).await?, "it happened");
    }
    Ok(())
}

async fn a_lost_branch_is_kept_out(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    process.works(ours, mark).await?;
    let process = scene.restart(process).await?;
    is(process.settle(ours).await?, ABORTED)?;
    ensure!(process.work(ours).await.is_err(), "it works after its end");
    is_no(&process.prepare(ours).await?)?;
    is(process.commit(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it happened");
    Ok(())
}
