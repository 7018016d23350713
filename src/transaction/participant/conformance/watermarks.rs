//! What may be forgotten, and what is known of it then.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::{Report, Vote};

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, branch, epoch, is, is_no};

pub(super) const CASES: &[Case] = cases![
    what_is_not_below_the_watermark_is_remembered: FORGETS, ROW;
    below_the_watermark_a_repeat_is_answered: FORGETS, COMMIT_MISSING, UNSAID, REPEATS;
    below_the_watermark_nothing_begins: REFUSED, TOMBSTONE;
    the_watermark_never_sinks: NEVER_LOWERS;
    the_watermark_is_remembered_by_the_store: NEVER_LOWERS, REFUSED;
    what_is_prepared_below_the_watermark_stands: PREPARED_STAND, WAITS;
    the_watermark_concerns_one_coordinator: FORGETS, OTHERS;
];

async fn what_is_not_below_the_watermark_is_remembered(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let coordinator = scene.coordinator();
    for sequence in 0..6 {
        let ours = scene.branch(1, sequence)?;
        process.prepares(ours, scene.mark()).await?;
        if sequence % 2 == 0 {
            is(process.commit(ours).await?, COMMITTED)?;
        } else {
            is(process.abort(ours).await?, ABORTED)?;
        }
    }
    process.opens(coordinator, 2, 2).await?;
    process.commits(scene.branch(2, 0)?, scene.mark()).await?;
    process.forget(coordinator, (epoch(1)?, 2)).await?;
    let process = scene.restart(process).await?;
    for sequence in 2..6 {
        let expected = if sequence % 2 == 0 {
            COMMITTED
        } else {
            ABORTED
        };
        let ours = scene.branch(1, sequence)?;
        is(process.settle(ours).await?, expected)?;
        is(process.abort(ours).await?, expected)?;
    }
    is(process.settle(scene.branch(2, 0)?).await?, COMMITTED)
}

async fn below_the_watermark_a_repeat_is_answered(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (ours, never) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let mark = scene.mark();
    process.commits(ours, mark).await?;
    process.forget(scene.coordinator(), (epoch(1)?, 2)).await?;
    for _ in 0..2 {
        is(process.commit(ours).await?, COMMITTED)?;
        is_no(&process.prepare(ours).await?)?;
        // The row may be there still.
        let report = process.settle(ours).await?;
        ensure!(matches!(report, Report::Unknown | COMMITTED), "{report:?}");
        let report = process.commit_one_phase(ours).await?;
        ensure!(matches!(report, Report::Missing | COMMITTED), "{report:?}");
    }
    is(process.settle(never).await?, Report::Unknown)?;
    is(process.commit(never).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "what happened is undone");
    Ok(())
}

async fn below_the_watermark_nothing_begins(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    process.commits(scene.branch(1, 0)?, scene.mark()).await?;
    process.forget(scene.coordinator(), (epoch(1)?, 3)).await?;
    for sequence in 0..3 {
        let ours = scene.branch(1, sequence)?;
        ensure!(process.work(ours).await.is_err(), "{ours} works");
        is_no(&process.prepare(ours).await?)?;
        if sequence > 0 {
            is(process.abort(ours).await?, ABORTED)?;
        }
        ensure!(process.work(ours).await.is_err(), "{ours} works");
    }
    process.commits(scene.branch(1, 3)?, scene.mark()).await
}

async fn the_watermark_never_sinks(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let coordinator = scene.coordinator();
    process.opens(coordinator, 2, 2).await?;
    // Sequences begin anew in each epoch.
    for (begun_in, sequence) in [(2, 5), (1, 900), (2, 4), (1, 0), (2, 0)] {
        process
            .forget(coordinator, (epoch(begun_in)?, sequence))
            .await?;
    }
    for (begun_in, sequence) in [(2, 4), (2, 0), (1, 899), (1, 901), (1, u64::MAX >> 1)] {
        let ours = scene.branch(begun_in, sequence)?;
        ensure!(process.work(ours).await.is_err(), "{ours} works");
        is(process.commit(ours).await?, COMMITTED)?;
    }
    let ours = scene.branch(2, 5)?;
    is(process.commit(ours).await?, Report::Missing)?;
    process.commits(ours, scene.mark()).await
}

async fn the_watermark_is_remembered_by_the_store(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let coordinator = scene.coordinator();
    process.forget(coordinator, (epoch(1)?, 10)).await?;
    let process = scene.restart(process).await?;
    let below = scene.branch(1, 9)?;
    ensure!(process.work(below).await.is_err(), "{below} works");
    process.opens(coordinator, 2, 2).await?;
    ensure!(process.work(below).await.is_err(), "{below} works");
    is(process.commit(below).await?, COMMITTED)?;
    is(process.commit(scene.branch(1, 10)?).await?, Report::Missing)
}

async fn what_is_prepared_below_the_watermark_stands(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let (kept, undone) = (scene.mark(), scene.mark());
    process.prepares(one, kept).await?;
    process.prepares(two, undone).await?;
    process.forget(scene.coordinator(), (epoch(1)?, 9)).await?;
    let process = scene.restart(process).await?;
    for ours in [one, two] {
        is(process.settle(ours).await?, Report::Prepared)?;
        is(process.prepare(ours).await?, Vote::Prepared)?;
    }
    let found = process.doubts(scene.coordinator(), 2).await?;
    if process.lists() {
        is(found, vec![one, two])?;
    }
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}

async fn the_watermark_concerns_one_coordinator(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let other = scene.foreigner();
    process.opens(other, 1, 1).await?;
    let (kept, undone) = (branch(other, 1, 0, 0)?, branch(other, 1, 1, 0)?);
    process.commits(kept, scene.mark()).await?;
    process.prepares(undone, scene.mark()).await?;
    is(process.abort(undone).await?, ABORTED)?;
    process.forget(scene.coordinator(), (epoch(9)?, 9)).await?;
    is(
        (process.settle(kept).await?, process.settle(undone).await?),
        (COMMITTED, ABORTED),
    )?;
    is(
        process.commit(branch(other, 1, 2, 0)?).await?,
        Report::Missing,
    )?;
    process.commits(branch(other, 1, 3, 0)?, scene.mark()).await
}
