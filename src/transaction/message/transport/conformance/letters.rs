//! Dead letters.

use std::time::Duration;

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::message::transport::LetterId;

use super::Case;
use super::scene::{Process, Scene, message, terms};

pub(super) const CASES: &[Case] = cases![
    what_was_delivered_too_often_is_a_dead_letter: DEAD, COUNTS;
    dead_letters_are_told_from_the_longest_dead_on: OLDEST;
    a_redriven_letter_is_as_if_it_had_never_been: REDRIVES, REDRIVEN;
    a_discarded_letter_is_gone_for_good: DISCARDS, DISCARDED, KEEPS;
    an_acknowledged_message_is_never_dead: DEAD, ACKNOWLEDGES;
];

/// Has the only message of the queue delivered so often, to nobody's use.
async fn waste(process: &Process, times: u32) -> Outcome {
    for number in 1..=times {
        let delivery = process.next().await?;
        let deliveries = delivery.receipt().deliveries();
        ensure!(deliveries == number, "{delivery:?} is not number {number}");
        process.postpone(&delivery, Duration::ZERO).await?;
    }
    Ok(())
}

async fn dies(process: &Process, key: &str, times: u32) -> Outcome {
    process.send(key).await?;
    waste(process, times).await?;
    process.has_nothing().await
}

async fn what_was_delivered_too_often_is_a_dead_letter(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_deliveries_max(3)).await?;
    dies(&process, "a", 3).await?;
    let letters = process.letters(9).await?;
    let told: Vec<_> = letters
        .iter()
        .map(|one| (one.deliveries(), one.message()))
        .collect();
    let expected = message("a")?;
    ensure!(told == [(3, Some(&expected))], "{letters:?}");
    process.stays_empty().await
}

async fn dead_letters_are_told_from_the_longest_dead_on(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_deliveries_max(1)).await?;
    for key in ["b", "c", "a"] {
        dies(&process, key, 1).await?;
    }
    for count in 0..5 {
        let letters = process.letters(count).await?;
        let keys = letters.iter().filter_map(|one| Some(one.message()?.key()));
        let keys: Vec<_> = keys.collect();
        let expected: Vec<_> = ["b", "c", "a"].into_iter().take(count).collect();
        ensure!(keys == expected, "{keys:?} where {count} were asked for");
    }
    Ok(())
}

async fn a_redriven_letter_is_as_if_it_had_never_been(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_deliveries_max(2)).await?;
    dies(&process, "a", 2).await?;
    let letters = process.letters(9).await?;
    for (number, letter) in letters.iter().enumerate() {
        ensure!(number == 0, "{letters:?}");
        let redriven = process
            .transport
            .redrive(&process.queue, letter.id())
            .await?;
        ensure!(redriven, "{letter:?} stays");
        let again = process
            .transport
            .redrive(&process.queue, letter.id())
            .await?;
        ensure!(!again, "{letter:?} came twice");
    }
    ensure!(letters.len() == 1, "{letters:?}");
    ensure!(process.letters(9).await?.is_empty(), "it is dead still");
    waste(&process, 2).await?;
    process.has_nothing().await?;
    ensure!(process.letters(9).await?.len() == 1, "it is not dead again");
    let unknown = LetterId::new("no such letter");
    let found = process.transport.redrive(&process.queue, &unknown).await?;
    ensure!(!found, "a letter that never was is back");
    Ok(())
}

async fn a_discarded_letter_is_gone_for_good(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_deliveries_max(1)).await?;
    dies(&process, "a", 1).await?;
    dies(&process, "b", 1).await?;
    let letters = process.letters(1).await?;
    for letter in &letters {
        let discarded = process
            .transport
            .discard(&process.queue, letter.id())
            .await?;
        ensure!(discarded, "{letter:?} stays");
        let again = process
            .transport
            .discard(&process.queue, letter.id())
            .await?;
        let redriven = process
            .transport
            .redrive(&process.queue, letter.id())
            .await?;
        ensure!(!again && !redriven, "{letter:?} is there still");
    }
    let unknown = LetterId::new("no such letter");
    let found = process.transport.discard(&process.queue, &unknown).await?;
    ensure!(!found, "a letter that never was is gone");
    let left = process.letters(9).await?;
    let left: Vec<_> = left
        .iter()
        .filter_map(|one| Some(one.message()?.key()))
        .collect();
    ensure!(left == ["b"], "{left:?}");
    process.stays_empty().await
}

async fn an_acknowledged_message_is_never_dead(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_deliveries_max(1)).await?;
    process.send("a").await?;
    let only = process.next().await?;
    process.acknowledge(&[only]).await?;
    process.stays_empty().await?;
    let letters = process.letters(9).await?;
    ensure!(letters.is_empty(), "{letters:?}");
    Ok(())
}
