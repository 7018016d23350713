//! Votes, and what outlives a process.

use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::transaction::participant::{Report, Vote};

use super::scene::{ABORTED, COMMITTED, Scene, branch, is, is_no};
use super::{BRANCHES_MAX, Case};

pub(super) const CASES: &[Case] = cases![
    a_prepared_branch_outlives_its_process: PREPARES, WAITS, DURABLE, ONCE;
    a_branch_that_works_dies_with_its_process: LOST, VOTES_NO, MISSING, COMMIT_MISSING;
    what_never_worked_votes_no: VOTES_NO;
    what_changed_nothing_is_over_or_prepared: READ_ONLY, VOTES_NO;
    branches_of_one_transaction_are_apart: ONCE, COMMITS, ABORTS;
    many_branches_take_part_at_once: ONCE, PREPARES, COMMITS, ABORTS;
    it_is_called_the_same: NAME, SAME;
    every_pointer_is_a_participant: FORWARD;
];

async fn a_prepared_branch_outlives_its_process(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let (kept, undone) = (scene.mark(), scene.mark());
    process.prepares(one, kept).await?;
    process.prepares(two, undone).await?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (false, false),
    )?;
    let process = scene.restart(process).await?;
    is(process.prepare(one).await?, Vote::Prepared)?;
    is(process.commit(one).await?, COMMITTED)?;
    is(process.abort(two).await?, ABORTED)?;
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}

async fn a_branch_that_works_dies_with_its_process(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let marks = [scene.mark(), scene.mark(), scene.mark()];
    for (sequence, mark) in (0..).zip(marks) {
        process.works(scene.branch(1, sequence)?, mark).await?;
    }
    let process = scene.restart(process).await?;
    is_no(&process.prepare(scene.branch(1, 0)?).await?)?;
    is(process.commit(scene.branch(1, 1)?).await?, Report::Missing)?;
    let report = process.commit_one_phase(scene.branch(1, 2)?).await?;
    is(report, Report::Missing)?;
    for (sequence, mark) in (0..).zip(marks) {
        is(process.settle(scene.branch(1, sequence)?).await?, ABORTED)?;
        ensure!(!process.holds(mark).await?, "what was lost has happened");
    }
    Ok(())
}

async fn what_never_worked_votes_no(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    is_no(&process.prepare(scene.branch(1, 0)?).await?)?;
    is_no(&process.prepare(scene.branch(9, 9)?).await?)?;
    let stranger = branch(scene.foreigner(), 1, 0, 0)?;
    is_no(&process.prepare(stranger).await?)
}

async fn what_changed_nothing_is_over_or_prepared(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let ours = scene.branch(1, 0)?;
    let hand = process.work(ours).await?;
    match process.prepare(ours).await? {
        Vote::ReadOnly => is_no(&process.prepare(ours).await?)?,
        Vote::Prepared => is(process.commit(ours).await?, COMMITTED)?,
        vote @ (Vote::Unknown | Vote::No(_)) => return Err(Failure::new(format!("{vote:?}"))),
    }
    drop(hand);
    // What has changed something never is.
    let (mark, ours) = (scene.mark(), scene.branch(1, 1)?);
    process.prepares(ours, mark).await?;
    is(process.abort(ours).await?, ABORTED)
}

async fn branches_of_one_transaction_are_apart(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let mut marks = Vec::new();
    let numbers = [0, 1, 9, 10, 16, 255, 256, u16::MAX];
    for number in numbers {
        let mark = scene.mark();
        let ours = branch(scene.coordinator(), 1, 0, number)?;
        process.prepares(ours, mark).await?;
        marks.push((ours, mark));
    }
    for (count, (ours, _)) in marks.iter().enumerate() {
        if count % 2 == 0 {
            is(process.commit(*ours).await?, COMMITTED)?;
        } else {
            is(process.abort(*ours).await?, ABORTED)?;
        }
    }
    for (count, (ours, mark)) in marks.iter().enumerate() {
        let committed = count % 2 == 0;
        is(process.holds(*mark).await?, committed)?;
        let expected = if committed { COMMITTED } else { ABORTED };
        is(process.settle(*ours).await?, expected)?;
    }
    Ok(())
}

async fn many_branches_take_part_at_once(scene: &Scene<'_>) -> Outcome {
    let process = &scene.open().await?;
    let count = u64::try_from(BRANCHES_MAX)?;
    for round in 0..4 {
        let transactions = (0..count).map(|number| async move {
            let ours = scene.branch(1, round * count + number)?;
            let mark = scene.mark();
            process.prepares(ours, mark).await?;
            let committed = number % 3 > 0;
            if committed {
                is(process.commit(ours).await?, COMMITTED)?;
            } else {
                is(process.abort(ours).await?, ABORTED)?;
            }
            is(process.holds(mark).await?, committed)
        });
        try_join_all(transactions).await?;
    }
    Ok(())
}

async fn it_is_called_the_same(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let name = process.name().clone();
    let (lists, persistence) = (process.lists(), process.persistence());
    process.commits(scene.branch(1, 0)?, scene.mark()).await?;
    is((process.name(), process.lists()), (&name, lists))?;
    let process = scene.restart(process).await?;
    is((process.name(), process.lists()), (&name, lists))?;
    is(process.persistence(), persistence)
}

async fn every_pointer_is_a_participant(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let pointer = process.boxed();
    let same = (pointer.name(), pointer.lists(), pointer.persistence());
    is(
        same,
        (process.name(), process.lists(), process.persistence()),
    )?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let _hand = process.works(ours, mark).await?;
    is(pointer.prepare(ours).await?, Vote::Prepared)?;
    is(pointer.settle(ours).await?, Report::Prepared)?;
    is(pointer.commit(ours).await?, COMMITTED)?;
    is(pointer.commit_one_phase(ours).await?, COMMITTED)?;
    is(pointer.abort(ours).await?, COMMITTED)
}
