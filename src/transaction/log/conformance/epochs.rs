//! Who may append, and since when.

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

async fn there_is_no_epoch_after_the_last(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(u64::MAX).await?;
    process.forced(vec![says("a", "a")?]).await?;
    let refused = process.log.open(0).await;
    let named = matches!(refused, Err(LogError::Exhausted));
    ensure!(named, "after the last epoch: {refused:?}");
    Ok(())
}
