//! Requests that come again, at the same time as others, or whose answers nobody awaits.

use futures_util::FutureExt;
use futures_util::future::{join, join3};

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::transaction::participant::{Report, Vote};

use super::Case;
use super::scene::{ABORTED, COMMITTED, Scene, is, is_no};

pub(super) const CASES: &[Case] = cases![
    a_prepared_branch_votes_yes_again: VOTES_AGAIN, REPEATS, PRESENT;
    a_decision_may_come_again: REPEATS, PRESENT, DURABLE;
    a_decision_may_come_twice_at_once: REPEATS, PRESENT, ENDS;
    a_late_prepare_changes_nothing: REPEATS, PRESENT, VOTES_NO;
    commit_in_one_phase_and_settle_agree: ONCE, NO_ROW, ENDS;
    prepare_and_abort_agree: ONCE, TOMBSTONE, ENDS;
    what_is_dropped_happens_whole_or_not_at_all: DROPPED, ENDS, ONCE;
    a_dropped_vote_may_be_asked_for_again: DROPPED, REPEATS;
];

/// Rounds of requests that race: as many as a store of disks has time for.
const ROUNDS: u64 = 12;

async fn a_prepared_branch_votes_yes_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (mark, ours) = (scene.mark(), scene.branch(1, 0)?);
    let hand = process.works(ours, mark).await?;
    let (one, two) = join(process.prepare(ours), process.prepare(ours)).await;
    is((one?, two?), (Vote::Prepared, Vote::Prepared))?;
    drop(hand);
    is(process.prepare(ours).await?, Vote::Prepared)?;
    let process = scene.restart(process).await?;
    is(process.prepare(ours).await?, Vote::Prepared)?;
    is(process.commit(ours).await?, COMMITTED)?;
    ensure!(process.holds(mark).await?, "nothing of it happened");
    Ok(())
}

async fn a_decision_may_come_again(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let (kept, undone) = (scene.mark(), scene.mark());
    process.commits(one, kept).await?;
    process.prepares(two, undone).await?;
    is(process.abort(two).await?, ABORTED)?;
    for _ in 0..2 {
        is(process.commit(one).await?, COMMITTED)?;
        is(process.commit_one_phase(one).await?, COMMITTED)?;
        is(process.abort(two).await?, ABORTED)?;
        is(
            (process.holds(kept).await?, process.holds(undone).await?),
            (true, false),
        )?;
        process = scene.restart(process).await?;
    }
    Ok(())
}

async fn a_decision_may_come_twice_at_once(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..ROUNDS {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        process.prepares(ours, mark).await?;
        let committed = sequence % 2 == 0;
        let (one, two, three) = if committed {
            let commit = || process.commit(ours);
            join3(commit(), commit(), commit()).await
        } else {
            let abort = || process.abort(ours);
            join3(abort(), abort(), abort()).await
        };
        // One may find no more than that another is at it.
        let expected = if committed { COMMITTED } else { ABORTED };
        for report in [one?, two?, three?] {
            let fits = report == expected || committed && report == Report::Missing;
            ensure!(fits, "{report:?} instead of {expected:?}");
        }
        is(process.settle(ours).await?, expected)?;
        is(process.holds(mark).await?, committed)?;
    }
    Ok(())
}

async fn a_late_prepare_changes_nothing(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    let (one, two) = (scene.branch(1, 0)?, scene.branch(1, 1)?);
    let (kept, undone) = (scene.mark(), scene.mark());
    process.commits(one, kept).await?;
    process.prepares(two, undone).await?;
    is(process.abort(two).await?, ABORTED)?;
    for ours in [one, two] {
        is_no(&process.prepare(ours).await?)?;
    }
    is(
        (process.settle(one).await?, process.settle(two).await?),
        (COMMITTED, ABORTED),
    )?;
    let doubts = process.doubts(scene.coordinator(), 2).await?;
    ensure!(doubts.is_empty(), "{doubts:?} are prepared again");
    is(
        (process.holds(kept).await?, process.holds(undone).await?),
        (true, false),
    )
}

async fn commit_in_one_phase_and_settle_agree(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..ROUNDS {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        let hand = process.works(ours, mark).await?;
        let (committed, settled) = if sequence % 2 == 0 {
            join(process.commit_one_phase(ours), process.settle(ours)).await
        } else {
            let both = join(process.settle(ours), process.commit_one_phase(ours)).await;
            (both.1, both.0)
        };
        drop(hand);
        let (committed, settled) = (committed?, settled?);
        ensure!(
            matches!(settled, COMMITTED | ABORTED),
            "{settled:?} of a branch that was never prepared"
        );
        // Before the tombstone stands, a branch that was ended is missing.
        let fits = committed == settled || (committed, settled) == (Report::Missing, ABORTED);
        ensure!(fits, "{committed:?}, and at the same time {settled:?}");
        is(process.settle(ours).await?, settled)?;
        is(process.holds(mark).await?, settled == COMMITTED)?;
    }
    Ok(())
}

async fn prepare_and_abort_agree(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..ROUNDS {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        let hand = process.works(ours, mark).await?;
        let (vote, report) = if sequence % 2 == 0 {
            join(process.prepare(ours), process.abort(ours)).await
        } else {
            let both = join(process.abort(ours), process.prepare(ours)).await;
            (both.1, both.0)
        };
        drop(hand);
        is(report?, ABORTED)?;
        let vote = vote?;
        ensure!(vote != Vote::ReadOnly, "read-only, but it wrote");
        is(process.commit(ours).await?, ABORTED)?;
        is_no(&process.prepare(ours).await?)?;
        is(process.settle(ours).await?, ABORTED)?;
        ensure!(!process.holds(mark).await?, "it happened");
    }
    Ok(())
}

async fn what_is_dropped_happens_whole_or_not_at_all(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..ROUNDS {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        let _ = process.works(ours, mark).await?;
        let decided = match sequence % 4 {
            0 => {
                let _ = process.commit_one_phase(ours).now_or_never();
                process.settle(ours).await?
            }
            1 => {
                let _ = process.abort(ours).now_or_never();
                process.settle(ours).await?
            }
            2 => {
                is(process.prepare(ours).await?, Vote::Prepared)?;
                let _ = process.commit(ours).now_or_never();
                process.commit(ours).await?
            }
            _ => {
                is(process.prepare(ours).await?, Vote::Prepared)?;
                let _ = process.settle(ours).now_or_never();
                process.abort(ours).await?
            }
        };
        is(process.settle(ours).await?, decided)?;
        is(process.holds(mark).await?, decided == COMMITTED)?;
        let fits = match sequence % 4 {
            0 => matches!(decided, COMMITTED | ABORTED),
            2 => decided == COMMITTED,
            _ => decided == ABORTED,
        };
        ensure!(fits, "{decided:?} after request {}", sequence % 4);
    }
    Ok(())
}

async fn a_dropped_vote_may_be_asked_for_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.open().await?;
    for sequence in 0..ROUNDS {
        let (mark, ours) = (scene.mark(), scene.branch(1, sequence)?);
        let _ = process.works(ours, mark).await?;
        let _ = process.prepare(ours).now_or_never();
        // The branch may be in other hands still, or be lost with what was asked of it.
        let committed = match process.prepare(ours).await {
            Ok(Vote::Prepared) => process.commit(ours).await?,
            Ok(Vote::No(_) | Vote::Unknown) | Err(_) => process.abort(ours).await?,
            Ok(Vote::ReadOnly) => return Err(Failure::new("read-only, but it wrote")),
        };
        let settled = process.settle(ours).await?;
        is(committed, settled)?;
        is(process.holds(mark).await?, settled == COMMITTED)?;
    }
    Ok(())
}
