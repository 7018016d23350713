//! The caller's side of a branch.

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::participant::Vote;

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, is};

pub(super) const CASES: &[Case] = cases![
    a_handle_works_for_its_branch: HANDLE, BEGINS, ONCE;
    a_dropped_handle_leaves_its_branch: HANDLE, BEGINS;
    a_handle_ends_when_its_branch_is_prepared: HANDLE_ENDS;
    a_handle_ends_when_its_branch_commits: HANDLE_ENDS;
    a_handle_ends_when_its_branch_aborts: HANDLE_ENDS;
    what_is_settled_never_works_again: REFUSED, ONCE;
];

async fn a_handle_works_for_its_branch(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let writes = 2 * scene.writes_max().min(2);
    let marks: Vec<_> = (0..writes).map(|_| scene.mark()).collect();
    let mut first = process.work(one).await?;
    let mut second = process.work(two).await?;
    for (count, mark) in marks.iter().enumerate() {
        let hand = if count % 2 == 0 {
            &mut first
        } else {
            &mut second
        };
        hand.write(*mark).await?;
    }
    is(process.prepare(one).await?, Vote::Prepared)?;
    is(process.prepare(two).await?, Vote::Prepared)?;
    drop((first, second));
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    for (count, mark) in marks.into_iter().enumerate() {
        is(process.holds(mark).await?, count % 2 == 0)?;
    }
    Ok(())
}

async fn a_dropped_handle_leaves_its_branch(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let marks = (scene.mark(), scene.mark());
    drop(process.works(one, marks.0).await?);
    drop(process.works(two, marks.1).await?);
    is(process.prepare(one).await?, Vote::Prepared)?;
    is(process.commit(one).await?, COMMITTED)?;
    is(process.commit_one_phase(two).await?, COMMITTED)?;
    let held = (process.holds(marks.0).await?, process.holds(marks.1).await?);
    is(held, (true, true))
}

async fn a_handle_ends_when_its_branch_is_prepared(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, late, later) = (scene.mark(), scene.mark(), scene.mark());
    let ours = scene.branch(1, 0)?;
    let mut hand = process.works(ours, mark).await?;
    is(process.prepare(ours).await?, Vote::Prepared)?;
    ensure!(hand.write(late).await.is_err(), "it writes once prepared");
    is(process.commit(ours).await?, COMMITTED)?;
    ensure!(hand.write(later).await.is_err(), "it writes once committed");
    drop(hand);
    ensure!(process.holds(mark).await?, "what it wrote in time is gone");
    is(
        (process.holds(late).await?, process.holds(later).await?),
        (false, false),
    )
}

async fn a_handle_ends_when_its_branch_commits(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, late) = (scene.mark(), scene.mark());
    let ours = scene.branch(1, 0)?;
    let mut hand = process.works(ours, mark).await?;
    is(process.commit_one_phase(ours).await?, COMMITTED)?;
    ensure!(hand.write(late).await.is_err(), "it writes once committed");
    drop(hand);
    is(
        (process.holds(mark).await?, process.holds(late).await?),
        (true, false),
    )
}

async fn a_handle_ends_when_its_branch_aborts(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for (sequence, settles) in [(0, false), (1, true)] {
        let (mark, late) = (scene.mark(), scene.mark());
        let ours = scene.branch(1, sequence)?;
        let mut hand = process.works(ours, mark).await?;
        let report = if settles {
            process.settle(ours).await?
        } else {
            process.abort(ours).await?
        };
        is(report, ABORTED)?;
        ensure!(hand.write(late).await.is_err(), "it writes once aborted");
        drop(hand);
        is(
            (process.holds(mark).await?, process.holds(late).await?),
            (false, false),
        )?;
    }
    Ok(())
}

async fn what_is_settled_never_works_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let branches = [
        scene.branch(1, 0)?,
        scene.branch(1, 1)?,
        scene.branch(1, 2)?,
    ];
    let [one, two, three] = branches;
    process.commits(one, scene.mark()).await?;
    process.prepares(two, scene.mark()).await?;
    is(process.abort(two).await?, ABORTED)?;
    drop(process.works(three, scene.mark()).await?);
    is(process.commit_one_phase(three).await?, COMMITTED)?;
    for ours in branches {
        ensure!(process.work(ours).await.is_err(), "{ours} works again");
    }
    let process = scene.restart(process).await?;
    for ours in branches {
        ensure!(process.work(ours).await.is_err(), "{ours} works again");
    }
    is(process.settle(one).await?, COMMITTED)?;
    is(process.settle(two).await?, ABORTED)?;
    is(process.settle(three).await?, COMMITTED)
}
