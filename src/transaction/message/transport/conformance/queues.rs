//! What queues keep, and how much of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::conformance::{Outcome, cases, ensure};
use crate::transaction::message::envelope::Message;
use crate::transaction::message::error::TransportError;
use crate::transaction::message::transport::Transport;

use super::Case;
use super::scene::{LEASE, Scene, keys, message, terms};

pub(super) const CASES: &[Case] = cases![
    what_is_sent_is_received_as_it_was: PUTS, KEEPS;
    a_message_that_is_sent_twice_is_two: TWICE;
    queues_need_not_be_created_and_never_meet: CREATED;
    messages_outlive_those_who_sent_and_received_them: NOTHING_ELSE, PUTS;
    a_queue_that_is_full_refuses: FULL;
    dead_letters_count_for_the_length: FULL;
    a_dropped_send_sends_whole_or_not_at_all: DROPPED;
    terms_stay: SAME;
    every_pointer_is_a_transport: FORWARD;
];

async fn what_is_sent_is_received_as_it_was(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let large: Vec<u8> = (0..=255).cycle().take(Message::PAYLOAD_LEN_MAX).collect();
    let full = Message::new("clé 1", large)?
        .with_correlation("conversation")?
        .with_reply_to(scene.queue("replies")?)
        .with_header("trace", "00-ü-01")?
        .with_header("empty", "")?;
    for sent in [full, Message::new("k", "")?] {
        process.transport.send(&process.queue, &sent).await?;
        let delivery = process.next().await?;
        ensure!(*delivery.message() == sent, "{delivery:?} is not {sent:?}");
        process.acknowledge(&[delivery]).await?;
    }
    Ok(())
}

async fn a_message_that_is_sent_twice_is_two(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    process.send("a").await?;
    let one = process.next().await?;
    let two = process.next().await?;
    ensure!(one.receipt() != two.receipt(), "{one:?} twice");
    process.acknowledge(&[one]).await?;
    ensure!(process.postpone(&two, LEASE).await?, "both are gone");
    Ok(())
}

async fn queues_need_not_be_created_and_never_meet(scene: &Scene<'_>) -> Outcome {
    let mut process = scene.start().await?;
    // Names that differ by what a store might use for itself.
    let names = ["x", "X", "x.dead", "x-dead", "x_", "x."];
    for name in names {
        process.queue = scene.queue(name)?;
        process.has_nothing().await?;
        let letters = process.letters(9).await?;
        ensure!(letters.is_empty(), "{letters:?}");
        process.send(name).await?;
    }
    for name in names {
        process.queue = scene.queue(name)?;
        let all = process.receive(9, LEASE / 2).await?;
        ensure!(keys(&all) == [name], "{all:?} in {name}");
    }
    Ok(())
}

async fn messages_outlive_those_who_sent_and_received_them(scene: &Scene<'_>) -> Outcome {
    let keeps = scene.start().await?;
    let sends = scene.start().await?;
    sends.send("a").await?;
    drop(sends);
    let receives = scene.start().await?;
    receives.next().await?;
    drop(receives);
    let again = keeps.next().await?;
    ensure!(again.message().key() == "a", "{again:?}");
    Ok(())
}

async fn a_queue_that_is_full_refuses(scene: &Scene<'_>) -> Outcome {
    let process = scene.start_with(terms().with_length_max(3)).await?;
    for key in ["a", "b", "c"] {
        process.send(key).await?;
    }
    let taken = process.next().await?;
    let refused = process.transport.send(&process.queue, &message("d")?).await;
    ensure!(matches!(refused, Err(TransportError::Full)), "{refused:?}");
    process.acknowledge(&[taken]).await?;
    process.send("e").await?;
    let all = process.receive(9, LEASE / 2).await?;
    ensure!(all.len() == 3, "{all:?}");
    ensure!(!keys(&all).contains(&"d".to_owned()), "{all:?}");
    Ok(())
}

async fn dead_letters_count_for_the_length(scene: &Scene<'_>) -> Outcome {
    let terms = terms().with_length_max(1).with_deliveries_max(1);
    let process = scene.start_with(terms).await?;
    process.send("a").await?;
    let only = process.next().await?;
    process.postpone(&only, Duration::ZERO).await?;
    process.has_nothing().await?;
    let refused = process.transport.send(&process.queue, &message("b")?).await;
    ensure!(matches!(refused, Err(TransportError::Full)), "{refused:?}");
    for letter in process.letters(9).await? {
        process
            .transport
            .discard(&process.queue, letter.id())
            .await?;
    }
    process.send("c").await
}

async fn a_dropped_send_sends_whole_or_not_at_all(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    for _ in 0..20 {
        let _ = process.send("dropped").now_or_never();
    }
    process.send("last").await?;
    let all = process.receive(99, LEASE / 2).await?;
    ensure!(all.len() <= 21, "{} of 21", all.len());
    for one in &all {
        let expected = message(one.message().key())?;
        ensure!(*one.message() == expected, "{one:?}");
    }
    ensure!(keys(&all).contains(&"last".to_owned()), "{all:?}");
    Ok(())
}

async fn terms_stay(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    process.next().await?;
    let now = process.transport.terms();
    ensure!(now == terms(), "{now:?}");
    Ok(())
}

async fn every_pointer_is_a_transport(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let boxed: Box<dyn Transport> = Box::new(Arc::clone(&process.transport));
    let queue = &process.queue;
    ensure!(boxed.terms() == terms(), "{:?}", boxed.terms());
    boxed.send(queue, &message("a")?).await?;
    let all = boxed.receive(queue, 9, LEASE).await?;
    for one in &all {
        let postponed = boxed.postpone(queue, one.receipt(), LEASE).await?;
        ensure!(postponed, "{one:?} is not there");
        boxed.acknowledge(queue, &[one.receipt().clone()]).await?;
    }
    ensure!(all.len() == 1, "{all:?}");
    for letter in boxed.dead_letters(queue, 9).await? {
        boxed.redrive(queue, letter.id()).await?;
        boxed.discard(queue, letter.id()).await?;
    }
    process.stays_empty().await
}
