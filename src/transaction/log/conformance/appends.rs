//! What an append promises, and what a dropped one does.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::try_join_all;

use crate::conformance::{Failure, Outcome, cases, ensure};
use crate::transaction::log::{AppendError, Durability, Record, TransactionLog};

use super::Case;
use super::scene::{Scene, ends, says};

pub(super) const CASES: &[Case] = cases![
    a_forced_append_outlives_the_process: FORCED;
    an_unforced_append_is_durable_with_the_next_forced_one: UNFORCED, ORDER, DEFINITE;
    an_empty_forced_append_makes_all_before_it_durable: FLUSH;
    unforced_appends_are_lost_from_the_end_only: ORDER, UNFORCED;
    several_records_are_appended_in_their_order: WHOLE;
    confirmed_appends_come_in_their_order: WHOLE;
    appends_at_the_same_time_are_all_there: FORCED, WHOLE;
    a_dropped_append_is_there_whole_or_not_at_all: DROPPED, WHOLE;
    a_dropped_open_holds_nothing_up: DROPPED;
    too_much_at_a_time_is_refused_and_not_appended: DEFINITE;
    every_pointer_is_a_log: FORWARD;
];

async fn a_forced_append_outlives_the_process(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start(0).await?;
    let mut expected = Vec::new();
    for text in ["a", "b", "c", "d"] {
        process.forced(vec![says(text, text)?]).await?;
        expected.push(text);
        process = scene.restart(process).await?;
        process.holds(&expected)?;
    }
    Ok(())
}

async fn an_unforced_append_is_durable_with_the_next_forced_one(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    for text in ["a", "b", "c"] {
        process
            .append(vec![says(text, text)?], Durability::Unforced)
            .await?;
    }
    process.forced(vec![says("d", "d")?]).await?;
    scene.restart(process).await?.holds(&["a", "b", "c", "d"])
}

async fn an_empty_forced_append_makes_all_before_it_durable(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process.forced(Vec::new()).await?;
    for text in ["a", "b"] {
        process
            .append(vec![says(text, text)?], Durability::Unforced)
            .await?;
    }
    process.append(Vec::new(), Durability::Unforced).await?;
    process.forced(Vec::new()).await?;
    scene.restart(process).await?.holds(&["a", "b"])
}

async fn unforced_appends_are_lost_from_the_end_only(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process.forced(vec![says("0", "0")?]).await?;
    for number in 1..30 {
        let text = number.to_string();
        process
            .append(vec![says(&text, &text)?], Durability::Unforced)
            .await?;
    }
    let process = scene.restart(process).await?;
    let found = process.payloads();
    let prefix = (0..found.len()).map(|number| number.to_string());
    ensure!(
        !found.is_empty() && prefix.eq(found.iter().cloned()),
        "{found:?} has gaps"
    );
    Ok(())
}

async fn several_records_are_appended_in_their_order(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let all = [
        says("a", "1")?,
        ends("a")?,
        says("b", "2")?,
        says("a", "3")?,
        says("b", "4")?,
    ];
    process.forced(all.to_vec()).await?;
    scene.restart(process).await?.holds(&["2", "3", "4"])
}

async fn confirmed_appends_come_in_their_order(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let texts: Vec<_> = (0..100).map(|number| number.to_string()).collect();
    for (number, text) in texts.iter().enumerate() {
        let unforced = number % 3 > 0;
        let durability = if unforced {
            Durability::Unforced
        } else {
            Durability::Forced
        };
        process.append(vec![says("a", text)?], durability).await?;
    }
    process.forced(Vec::new()).await?;
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    scene.restart(process).await?.holds(&texts)
}

async fn appends_at_the_same_time_are_all_there(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let texts: Vec<_> = (100..300).map(|number| number.to_string()).collect();
    let appends = texts.iter().map(|text| async {
        process.forced(vec![says(text, text)?]).await?;
        Ok::<_, Failure>(())
    });
    try_join_all(appends).await?;
    let mut found = scene.restart(process).await?.payloads();
    found.sort();
    ensure!(found == texts, "{} of 200 are there", found.len());
    Ok(())
}

async fn a_dropped_append_is_there_whole_or_not_at_all(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    for number in 0..50 {
        let key = number.to_string();
        let both = vec![says(&key, "one")?, says(&key, "two")?];
        let _ = process.forced(both).now_or_never();
        let _ = process.reserve(4096).now_or_never();
    }
    process.forced(vec![says("last", "last")?]).await?;
    let found = scene.restart(process).await?.payloads();
    let (last, pairs) = found.split_last().ok_or(Failure::new("all is gone"))?;
    let whole = pairs.chunks(2).all(|pair| pair == ["one", "two"]);
    ensure!(last == "last" && whole, "{found:?} has halves");
    Ok(())
}

async fn a_dropped_open_holds_nothing_up(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    process.forced(vec![says("a", "a")?]).await?;
    for _ in 0..3 {
        let _ = process.log.open(0).now_or_never();
    }
    let opened = process.log.open(0).await?;
    ensure!(opened.epoch() > process.epoch(), "{:?}", opened.epoch());
    ensure!(opened.live().len() == 1, "{:?}", opened.live());
    let again = vec![says("b", "b")?];
    process
        .log
        .append(opened.epoch(), again, Durability::Forced, None)
        .await?;
    scene.restart(process).await?.holds(&["a", "b"])
}

async fn too_much_at_a_time_is_refused_and_not_appended(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let large = vec![0; Record::PAYLOAD_LEN_MAX];
    let record = Record::new(says("a", "")?.subject().clone(), large)?;
    let refused = process.forced(vec![record; 5]).await;
    let definite = refused.as_ref().is_err_and(AppendError::is_definite);
    ensure!(definite, "5 MiB at a time: {refused:?}");
    process.forced(vec![says("b", "b")?]).await?;
    scene.restart(process).await?.holds(&["b"])
}

async fn every_pointer_is_a_log(scene: &Scene<'_>) -> Outcome {
    let process = scene.start(0).await?;
    let boxed: Box<dyn TransactionLog> = Box::new(Arc::clone(&process.log));
    let opened = boxed.open(0).await?;
    let epoch = opened.epoch();
    let reservation = boxed.reserve(epoch, 1000).await?;
    let record = vec![says("a", "a")?];
    boxed
        .append(epoch, record, Durability::Forced, Some(reservation))
        .await?;
    boxed.close(epoch).await?;
    drop(boxed);
    scene.restart(process).await?.holds(&["a"])
}
