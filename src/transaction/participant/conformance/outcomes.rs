//! What a branch did: committed, aborted, or nothing yet.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::Report;

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, is, is_no};

pub(super) const CASES: &[Case] = cases![
    a_prepared_branch_commits: COMMITS, ONCE, DURABLE, ROW;
    a_prepared_branch_aborts: ABORTS, ONCE, DURABLE;
    a_branch_that_works_aborts: ABORTS, TOMBSTONE, VOTES_NO;
    what_works_is_not_committed_as_if_prepared: COMMITS, COMMIT_MISSING;
    what_is_not_found_is_not_called_done: COMMIT_MISSING, MISSING;
    a_branch_commits_in_one_phase: ONE_PHASE, REPORTS, DURABLE, ROW;
    a_prepared_branch_commits_in_one_phase: ONE_PHASE, REPORTS;
    what_committed_cannot_abort: ABORTS, ONCE, ROW;
    what_aborted_cannot_commit: ONCE, TOMBSTONE, ONE_PHASE, COMMITS;
];

async fn a_prepared_branch_commits(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    process.prepares(ours, mark).await?;
    ensure!(!process.holds(mark).await?, "it shows before it committed");
    is(process.commit(ours).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "nothing of it happened");
    let process = scene.restart(process).await?;
    is(process.settle(ours).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "it happened, and is lost");
    Ok(())
}

async fn a_prepared_branch_aborts(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    process.prepares(ours, mark).await?;
    is(process.abort(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it happened");
    let process = scene.restart(process).await?;
    is(process.settle(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it happened later");
    Ok(())
}

async fn a_branch_that_works_aborts(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(ours, mark).await?;
    is(process.abort(ours).await?, ABORTED)?;
    drop(hand);
    is_no(&process.prepare(ours).await?)?;
    is(process.commit_one_phase(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it happened");
    Ok(())
}

async fn what_works_is_not_committed_as_if_prepared(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(ours, mark).await?;
    is(process.commit(ours).await?, Report::Missing)?;
    ensure!(!process.holds(mark).await?, "it committed unprepared");
    drop(hand);
    is(process.abort(ours).await?, ABORTED)?;
    ensure!(!process.holds(mark).await?, "it committed unprepared");
    Ok(())
}

async fn what_is_not_found_is_not_called_done(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    for _ in 0..2 {
        is(process.commit(ours).await?, Report::Missing)?;
        is(process.commit_one_phase(ours).await?, Report::Missing)?;
    }
    // Nothing was left behind.
    process.commits(ours, mark).await
}

async fn a_branch_commits_in_one_phase(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(ours, mark).await?;
    is(process.commit_one_phase(ours).await?, COMMITTED)?;
    drop(hand);
    ensure!(process.holds(mark).await?, "nothing of it happened");
    let process = scene.restart(process).await?;
    is(process.settle(ours).await?, COMMITTED)?;
    is(process.commit_one_phase(ours).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "it happened, and is lost");
    Ok(())
}

async fn a_prepared_branch_commits_in_one_phase(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    process.prepares(ours, mark).await?;
    is(process.commit_one_phase(ours).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "nothing of it happened");
    let process = scene.restart(process).await?;
    is(process.settle(ours).await?, COMMITTED)
}

async fn what_committed_cannot_abort(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let marks = (scene.mark(), scene.mark());
    process.commits(one, marks.0).await?;
    let hand = process.works(two, marks.1).await?;
    is(process.commit_one_phase(two).await?, COMMITTED)?;
    drop(hand);
    for ours in [one, two] {
        is(process.abort(ours).await?, COMMITTED)?;
    }
    let process = scene.restart(process).await?;
    for ours in [one, two] {
        is(process.abort(ours).await?, COMMITTED)?;
        is(process.settle(ours).await?, COMMITTED)?;
    }
    let held = (process.holds(marks.0).await?, process.holds(marks.1).await?);
    is(held, (true, true))
}

async fn what_aborted_cannot_commit(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    process.prepares(ours, mark).await?;
    is(process.abort(ours).await?, ABORTED)?;
    for _ in 0..2 {
        is(process.commit(ours).await?, ABORTED)?;
        is(process.commit_one_phase(ours).await?, ABORTED)?;
        is_no(&process.prepare(ours).await?)?;
    }
    ensure!(!process.holds(mark).await?, "it happened");
    Ok(())
}
