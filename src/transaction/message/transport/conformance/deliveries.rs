//! How messages are delivered, again, and no more.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::{Failure, Outcome, cases, ensure};

use super::Case;
use super::scene::{LEASE, LONG, Scene, keys};

pub(super) const CASES: &[Case] = cases![
    each_message_goes_to_one_of_those_who_receive: ONE, TAKES;
    what_is_not_acknowledged_comes_again_to_whoever_receives: AGAIN, COUNTS, ONE;
    an_acknowledged_message_is_gone_for_good: KEEPS, ACKNOWLEDGES, PASSED_OVER;
    an_old_receipt_acknowledges_as_well: ACKNOWLEDGES;
    no_more_than_asked_for_are_taken: TAKES;
    a_wait_ends_by_itself: NONE, ENDS;
    what_comes_ends_a_wait: MEANWHILE;
    what_becomes_due_ends_a_wait: MEANWHILE, AGAIN;
    a_dropped_receive_takes_nothing_for_good: DROPPED_RECEIVE, DROPPED;
    a_delivery_that_is_given_back_comes_at_once: POSTPONES, POSTPONED;
    a_delivery_that_is_extended_stays: POSTPONES, POSTPONED;
    a_delivery_is_postponed_by_a_lease_at_most: POSTPONES;
    an_older_delivery_postpones_nothing: STALE;
];

async fn each_message_goes_to_one_of_those_who_receive(scene: &Scene<'_>) -> Outcome {
    let (one, two) = (scene.start().await?, scene.start().await?);
    let sent: Vec<_> = (100..140).map(|number| number.to_string()).collect();
    for key in &sent {
        one.send(key).await?;
    }
    let receives = (0..8).map(|number| {
        let process = if number % 2 == 0 { &one } else { &two };
        process.receive(5, LEASE / 2)
    });
    let mut taken = Vec::new();
    for all in join_all(receives).await {
        let all = all?;
        ensure!(
            all.iter().all(|one| one.receipt().deliveries() == 1),
            "{all:?}"
        );
        taken.extend(keys(&all));
    }
    taken.sort();
    ensure!(taken == sent, "{taken:?} of {sent:?}");
    one.has_nothing().await
}

async fn what_is_not_acknowledged_comes_again_to_whoever_receives(scene: &Scene<'_>) -> Outcome {
    let (one, two) = (scene.start().await?, scene.start().await?);
    one.send("a").await?;
    let began = Instant::now();
    let first = one.next().await?;
    drop(one);
    two.has_nothing().await?;
    for deliveries in 2..4 {
        let again = two.next().await?;
        ensure!(again.message() == first.message(), "{again:?}");
        ensure!(again.receipt().deliveries() == deliveries, "{again:?}");
        let held = began.elapsed();
        ensure!(held >= LEASE * (deliveries - 1) * 9 / 10, "after {held:?}");
    }
    Ok(())
}

async fn an_acknowledged_message_is_gone_for_good(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    for key in ["a", "b", "c"] {
        process.send(key).await?;
    }
    let all = process.receive(3, LONG).await?;
    ensure!(all.len() == 3, "{all:?}");
    let (kept, gone) = all.split_first().ok_or(Failure::new("nothing came"))?;
    process.acknowledge(gone).await?;
    // Again, and nothing at all.
    process.acknowledge(gone).await?;
    process.acknowledge(&[]).await?;
    sleep(LEASE * 3 / 2).await;
    let again = process.receive(3, LONG).await?;
    ensure!(keys(&again) == [kept.message().key()], "{again:?}");
    process.acknowledge(&all).await?;
    process.stays_empty().await
}

async fn an_old_receipt_acknowledges_as_well(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    let old = process.next().await?;
    let new = process.next().await?;
    ensure!(new.receipt() != old.receipt(), "{new:?}");
    process.acknowledge(&[old]).await?;
    process.stays_empty().await
}

async fn no_more_than_asked_for_are_taken(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    for key in ["a", "b", "c"] {
        process.send(key).await?;
    }
    let none = process.receive(0, Duration::ZERO).await?;
    let two = process.receive(2, LONG).await?;
    let rest = process.receive(9, LONG).await?;
    let counts = (none.len(), two.len(), rest.len());
    ensure!(counts == (0, 2, 1), "{counts:?}");
    Ok(())
}

async fn a_wait_ends_by_itself(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let began = Instant::now();
    let all = timeout(LONG, process.receive(1, LEASE)).await;
    let all = all.map_err(|_| Failure::new("it waits on"))??;
    let waited = began.elapsed();
    ensure!(all.is_empty(), "{all:?}");
    ensure!(waited >= LEASE * 9 / 10, "after {waited:?}");
    Ok(())
}

async fn what_comes_ends_a_wait(scene: &Scene<'_>) -> Outcome {
    let (one, two) = (scene.start().await?, scene.start().await?);
    let sends = async {
        sleep(LEASE / 4).await;
        two.send("a").await
    };
    let (came, sent) = join(timeout(LONG, one.receive(1, LONG * 2)), sends).await;
    sent?;
    let came = came.map_err(|_| Failure::new("it waits on"))??;
    ensure!(came.len() == 1, "{came:?}");
    Ok(())
}

async fn what_becomes_due_ends_a_wait(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    process.next().await?;
    let came = timeout(LONG, process.receive(1, LONG * 2)).await;
    let came = came.map_err(|_| Failure::new("it waits on"))??;
    ensure!(came.len() == 1, "{came:?}");
    Ok(())
}

async fn a_dropped_receive_takes_nothing_for_good(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    let _ = process.receive(9, LONG).now_or_never();
    let _ = timeout(LEASE / 8, process.receive(9, LONG)).await;
    for key in ["a", "b", "c"] {
        process.send(key).await?;
        let _ = process.receive(9, LONG).now_or_never();
    }
    let mut found = Vec::new();
    while found.len() < 3 {
        let came = process.receive(9, LONG).await?;
        ensure!(!came.is_empty(), "{found:?} only");
        process.acknowledge(&came).await?;
        found.extend(keys(&came));
    }
    found.sort();
    ensure!(found == ["a", "b", "c"], "{found:?}");
    process.stays_empty().await
}

async fn a_delivery_that_is_given_back_comes_at_once(scene: &Scene<'_>) -> Outcome {
    let process = scene
        .start_with(super::scene::terms().with_lease(LONG * 2))
        .await?;
    process.send("a").await?;
    let first = process.next().await?;
    process.has_nothing().await?;
    let postponed = process.postpone(&first, Duration::ZERO).await?;
    ensure!(postponed, "it was not given back");
    let again = process.next().await?;
    ensure!(again.receipt().deliveries() == 2, "{again:?}");
    Ok(())
}

async fn a_delivery_that_is_extended_stays(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    let first = process.next().await?;
    for _ in 0..8 {
        sleep(LEASE / 4).await;
        ensure!(process.postpone(&first, LEASE).await?, "it was lost");
        process.has_nothing().await?;
    }
    let again = process.next().await?;
    ensure!(again.receipt().deliveries() == 2, "{again:?}");
    Ok(())
}

async fn a_delivery_is_postponed_by_a_lease_at_most(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    let first = process.next().await?;
    ensure!(process.postpone(&first, LONG * 100).await?, "it was lost");
    process.next().await?;
    Ok(())
}

async fn an_older_delivery_postpones_nothing(scene: &Scene<'_>) -> Outcome {
    let process = scene.start().await?;
    process.send("a").await?;
    let old = process.next().await?;
    let new = process.next().await?;
    let stale = process.postpone(&old, Duration::ZERO).await?;
    ensure!(!stale, "an old delivery was given back");
    process.has_nothing().await?;
    process.acknowledge(std::slice::from_ref(&new)).await?;
    let gone = process.postpone(&new, Duration::ZERO).await?;
    ensure!(!gone, "what was acknowledged was given back");
    process.stays_empty().await
}
