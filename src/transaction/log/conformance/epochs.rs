//! Who may append, and since when.

use futures_util::FutureExt;
use futures_util::future::join;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::transaction::log::{AppendError, Durability, LogError};

use super::Case;
use super::scene::{Scene, says};

pub(super) const CASES: &[Case] = cases![
    an_epoch_is_one_more_than_the_last_or_the_hint: NEXT, RISES;
    an_epoch_that_nobody_used_is_not_used_again: RISES;
    a_coordinator_keeps_its_id_and_no_two_logs_share_one: CREATES, ANSWERS;
    an_earlier_epoch_is_refused_and_a_later_one_too: ONE, DEFINITE;
    what_an_earlier_epoch_has_under_way_is_there_or_never_is: BEFORE, ONE;
    an_open_log_is_opened_again: REOPENS, ONE;
    a_closed_log_holds_all_and_takes_nothing: CLEAN, CLOSED, REOPENS;
    an_epoch_closes_only_itself: NOT_OURS;
    there_is_no_epoch_after_the_last: RISES;
    whoever_had_the_log_open_opens_it_again: AGAIN_IF_OURS, ONE;
    whoever_is_followed_does_not_take_the_log_back: AGAIN_IF_OURS, REFUSES;
    a_reopening_whose_answer_is_lost_is_ones_own: OUR_OWN;
    a_log_that_is_not_there_is_not_opened_again: CREATES_NONE;
];

async fn an_epoch_is_one_more_than_the_last_or_the_hint(scene: &Scene<'_>) -> Outcome {
    for (hint, expected) in [(0, 1), (0, 2), (3, 3), (3, 4), (90, 90), (17, 91), (92, 92)] {
        let found = scene.start(hint).await?.epoch().as_u64();
        ensure!(
            found == expected,
            "hint {hint}: {found} instead of {expected}"
        );
    }
    Ok(())
}

async fn an_epoch_that_nobody_used_is_not_used_again(scene: &Scene<'_>) -> Outcome {
    let mut last = 0;
    for _ in 0..5 {
        let process = scene.start(0).await?;
        let first = process.epoch().as_u64();
        let second = process.log.open(0).await?.epoch().as_u64();
        ensure!(last < first && first < second, "{last}, {first}, {second}");
        last = second;
    }
    Ok(())
}

async fn a_coordinator_keeps_its_id_and_no_two_logs_share_one(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let id = process.opened.coordinator();
    let process = scene.restart(process).await?;
    ensure!(process.opened.coordinator() == id, "{id} has changed");
    ensure!(id.as_u128() != 0, "an id of zeros was not drawn at random");
    let other = scene.other().await?;
    ensure!(other.opened.coordinator() != id, "two logs are {id}");
    ensure!(other.opened.live().is_empty(), "a new log is not empty");
    Ok(())
}

async fn an_earlier_epoch_is_refused_and_a_later_one_too(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(10).await?;
    let opened = process.log.open(20).await?;
    for epoch in [process.epoch().as_u64(), 15, 21, u64::MAX] {
        let epoch = crate::transaction::Epoch::new(epoch).ok_or(Failure::new("no epoch"))?;
        for durability in [Durability::Forced, Durability::Unforced] {
            let record = vec![says("a", "a")?];
            let refused = process.log.append(epoch, record, durability, None).await;
            let named = matches!(refused, Err(AppendError::Superseded { epoch: e }) if e == epoch);
            ensure!(named, "epoch {epoch} beside 20: {refused:?}");
        }
        let refused = process.log.reserve(epoch, 100).await;
        let named = matches!(refused, Err(AppendError::Superseded { .. }));
        ensure!(named, "epoch {epoch} beside 20: {refused:?}");
    }
    let record = vec![says("b", "b")?];
    process
        .log
        .append(opened.epoch(), record, Durability::Forced, None)
        .await?;
    scene.restart(process).await?.holds(&["b"])
}

async fn what_an_earlier_epoch_has_under_way_is_there_or_never_is(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(0).await?;
    let mut expected = Vec::new();
    for number in 0..20 {
        let text = number.to_string();
        // Under way, while the next epoch is opened.
        let record = vec![says(&text, &text)?];
        let append = process.forced(record);
        let opening = process.log.open(0);
        let (appended, opened) = if number % 2 == 0 {
            join(append, opening).await
        } else {
            let (opened, appended) = join(opening, append).await;
            (appended, opened)
        };
        let opened = opened?;
        let found: Vec<_> = opened
            .live()
            .iter()
            .map(|live| live.record().payload())
            .collect();
        let there = found.contains(&text.as_bytes());
        ensure!(
            there || appended.is_err(),
            "{text} was confirmed to the earlier epoch, and the later did not find it"
        );
        if there {
            expected.push(text);
        }
        process.opened = opened;
    }
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    scene.restart(process).await?.holds(&expected)
}

async fn an_open_log_is_opened_again(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process.forced(vec![says("a", "a")?]).await?;
    let opened = process.log.open(0).await?;
    ensure!(opened.epoch() > process.epoch(), "{:?}", opened.epoch());
    ensure!(opened.live().len() == 1, "{:?}", opened.live());
    let refused = process.forced(vec![says("b", "b")?]).await;
    ensure!(refused.is_err(), "the earlier epoch appends");
    Ok(())
}

async fn a_closed_log_holds_all_and_takes_nothing(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process
        .append(vec![says("a", "a")?], Durability::Unforced)
        .await?;
    process.log.close(process.epoch()).await?;
    let refused = process.forced(vec![says("b", "b")?]).await;
    let closed = matches!(refused, Err(AppendError::Closed));
    ensure!(closed, "a closed log: {refused:?}");
    let refused = process.reserve(10).await;
    let closed = matches!(refused, Err(AppendError::Closed));
    ensure!(closed, "a closed log: {refused:?}");
    let process = scene.restart(process).await?;
    process.holds(&["a"])?;
    process.log.close(process.epoch()).await?;
    let opened = process.log.open(0).await?;
    let record = vec![says("c", "c")?];
    process
        .log
        .append(opened.epoch(), record, Durability::Forced, None)
        .await?;
    scene.restart(process).await?.holds(&["a", "c"])
}

async fn an_epoch_closes_only_itself(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let opened = process.log.open(0).await?;
    let refused = process.log.close(process.epoch()).await;
    let named = matches!(refused, Err(LogError::Superseded { .. }));
    ensure!(named, "the earlier epoch closes: {refused:?}");
    let record = vec![says("a", "a")?];
    process
        .log
        .append(opened.epoch(), record, Durability::Forced, None)
        .await?;
    process.log.close(opened.epoch()).await?;
    let again = process.log.close(opened.epoch()).await;
    ensure!(again.is_err(), "closed twice");
    Ok(())
}

async fn whoever_had_the_log_open_opens_it_again(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(7).await?;
    for expected in 8..12 {
        let text = expected.to_string();
        process.forced(vec![says(&text, &text)?]).await?;
        let before = process.epoch();
        process.opened = process.log.reopen(before).await?;
        let found = process.epoch().as_u64();
        ensure!(found == expected, "{found} after {before}");
        let live = process.opened.live().len() as u64;
        ensure!(live == expected - 7, "{live} live in {found}");
        let record = vec![says("x", "x")?];
        let refused = process.log.append(before, record, Durability::Forced, None);
        ensure!(refused.await.is_err(), "epoch {before} appends");
    }
    process.log.close(process.epoch()).await?;
    process.opened = process.log.reopen(process.epoch()).await?;
    process.forced(vec![says("12", "12")?]).await?;
    let process = scene.restart(process).await?;
    process.holds(&["8", "9", "10", "11", "12"])
}

async fn whoever_is_followed_does_not_take_the_log_back(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let before = process.epoch();
    let opened = process.log.open(0).await?;
    let later = crate::transaction::Epoch::new(99).ok_or(Failure::new("no epoch"))?;
    for epoch in [before, later, before] {
        let refused = process.log.reopen(epoch).await;
        let named = matches!(refused, Err(LogError::Superseded { epoch: e }) if e == epoch);
        ensure!(
            named,
            "epoch {epoch} beside {}: {refused:?}",
            opened.epoch()
        );
    }
    let record = vec![says("a", "a")?];
    let epoch = opened.epoch();
    let append = process.log.append(epoch, record, Durability::Forced, None);
    append.await?;
    let next = process.log.open(0).await?.epoch().as_u64();
    let last = epoch.as_u64();
    ensure!(next == last + 1, "{next} follows {last}");
    let process = scene.restart(process).await?;
    process.holds(&["a"])?;
    // Nor does another process, which does not have it open.
    let restarted = scene.restart(process).await?;
    let refused = restarted.log.reopen(epoch).await;
    let named = matches!(refused, Err(LogError::Superseded { .. }));
    ensure!(named, "epoch {epoch} after a restart: {refused:?}");
    restarted.forced(vec![says("b", "b")?]).await?;
    let last = restarted.epoch().as_u64();
    drop(restarted);
    // Nor one that has opened nothing.
    let refused = scene.closed().await?.reopen(epoch).await;
    let named = matches!(refused, Err(LogError::Superseded { .. }));
    ensure!(named, "epoch {epoch} after another restart: {refused:?}");
    let process = scene.start(0).await?;
    let next = process.epoch().as_u64();
    ensure!(next == last + 1, "{next} follows {last}");
    process.holds(&["a", "b"])
}

async fn a_reopening_whose_answer_is_lost_is_ones_own(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(0).await?;
    process.forced(vec![says("a", "a")?]).await?;
    let before = process.epoch();
    for _ in 0..3 {
        let _ = process.log.reopen(before).now_or_never();
        // Answered, and nobody listens.
        drop(process.log.reopen(before).await?);
    }
    process.opened = process.log.reopen(before).await?;
    let between = before.as_u64() + 4;
    let found = process.epoch().as_u64();
    ensure!(found >= between, "{found}, with 3 openings since {before}");
    process.forced(vec![says("b", "b")?]).await?;
    scene.restart(process).await?.holds(&["a", "b"])
}

async fn a_log_that_is_not_there_is_not_opened_again(scene: &Scene<'_>) -> Outcome {
    let first = crate::transaction::Epoch::new(1).ok_or(Failure::new("no epoch"))?;
    let log = scene.closed().await?;
    let refused = log.reopen(first).await;
    ensure!(refused.is_err(), "there is a log: {refused:?}");
    drop(log);
    let epoch = scene.start(0).await?.epoch();
    ensure!(epoch == first, "{epoch} is the first");
    Ok(())
}

async fn there_is_no_epoch_after_the_last(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(u64::MAX).await?;
    process.forced(vec![says("a", "a")?]).await?;
    let refused = process.log.open(0).await;
    let named = matches!(refused, Err(LogError::Exhausted));
    ensure!(named, "after the last epoch: {refused:?}");
    Ok(())
}
