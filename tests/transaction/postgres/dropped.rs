//! Futures that are dropped in the middle.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tripod::transaction::participant::{
    BranchError, Enlist, Outcome, Participant, PostgresParticipant, Report, Vote,
};

use super::{
    ABORTED, COMMITTED, balance, connected, gids, id, is_no, opened, pay, prepared, rows, server,
    until_nobody_works,
};

/// More than any call is polled.
const POLLS_MAX: usize = 200;

/// Polls a future so often, and drops it.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Asks, and drops, after one poll more each time, until it is answered.
async fn at_each_poll<T>(mut ask: impl AsyncFnMut(u64, usize) -> Option<T>) {
    for times in 0..POLLS_MAX {
        let number = u64::try_from(times).unwrap() + 1;
        if ask(number, times).await.is_some() {
            assert!(times > 1, "it was never dropped");
            return;
        }
    }
    panic!("it is polled more often than that");
}

#[tokio::test]
async fn a_dropped_work_holds_nothing() {
    let server = server().await;
    let shop = opened(&server).await;
    at_each_poll(async |number, times| {
        let work = polled(shop.work(id(number)), times).await;
        assert_eq!(shop.abort(id(number)).await.unwrap(), ABORTED);
        until_nobody_works(&server).await;
        work
    })
    .await;
}

#[tokio::test]
async fn a_dropped_statement_ends_its_branch() {
    let server = server().await;
    let shop = opened(&server).await;
    let update = "UPDATE account SET balance = balance + 1 WHERE id = 1";
    at_each_poll(async |number, times| {
        let mut work = shop.work(id(number)).await.unwrap();
        let done = polled(work.execute(update, &[]), times).await;
        if done.is_none() && times > 0 {
            let error = work.execute(update, &[]).await.unwrap_err();
            assert!(matches!(error, BranchError::Over), "{error:?}");
            let vote = shop.prepare(id(number)).await.unwrap();
            assert!(is_no(&vote), "{vote:?}");
        }
        assert_eq!(shop.abort(id(number)).await.unwrap(), ABORTED);
        until_nobody_works(&server).await;
        done
    })
    .await;
    assert_eq!(balance(&server), "0");
}

#[tokio::test]
async fn a_dropped_prepare_is_settled_by_an_abort() {
    let server = server().await;
    let shop = opened(&server).await;
    at_each_poll(async |number, times| {
        let _work = pay(&shop, id(number)).await;
        let vote = polled(shop.prepare(id(number)), times).await;
        // Another process asks: it knows nothing of the connection.
        let other = connected(&server).await;
        let report = settled(&other, number).await;
        assert_eq!(report, ABORTED);
        assert!(is_no(&shop.prepare(id(number)).await.unwrap()));
        until_nobody_works(&server).await;
        vote
    })
    .await;
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
}

/// Aborts it, however often that takes.
async fn settled(shop: &PostgresParticipant, number: u64) -> Report {
    for _ in 0..10 {
        if let Ok(report) = shop.abort(id(number)).await {
            return report;
        }
    }
    panic!("it is held");
}

#[tokio::test]
async fn a_dropped_prepare_is_asked_for_again() {
    let server = server().await;
    let shop = opened(&server).await;
    at_each_poll(async |number, times| {
        let _work = pay(&shop, id(number)).await;
        let vote = polled(shop.prepare(id(number)), times).await;
        let again = shop.prepare(id(number)).await.unwrap();
        let report = if again == Vote::Prepared {
            COMMITTED
        } else {
            assert!(is_no(&again), "{again:?}");
            ABORTED
        };
        assert_eq!(shop.commit(id(number)).await.unwrap(), report);
        until_nobody_works(&server).await;
        vote
    })
    .await;
    let committed = rows(&server).into_iter().filter(|row| row == "t").count();
    assert_eq!(balance(&server), committed.to_string());
    assert!(committed > 0);
}

#[tokio::test]
async fn a_dropped_one_phase_commit_did_all_or_nothing() {
    let server = server().await;
    let shop = opened(&server).await;
    let mut expected = 0;
    at_each_poll(async |number, times| {
        let _work = pay(&shop, id(number)).await;
        let report = polled(shop.commit_one_phase(id(number)), times).await;
        let settled = shop.settle(id(number)).await.unwrap();
        if settled == COMMITTED {
            expected += 1;
        } else {
            assert_eq!(settled, ABORTED);
        }
        until_nobody_works(&server).await;
        report
    })
    .await;
    assert_eq!(balance(&server), expected.to_string());
}

#[tokio::test]
async fn dropped_decisions_are_made_again() {
    let server = server().await;
    let shop = opened(&server).await;
    for outcome in [Outcome::Committed, Outcome::Aborted] {
        at_each_poll(async |number, times| {
            let number = number + if outcome == Outcome::Aborted { 1000 } else { 0 };
            prepared(&shop, id(number)).await;
            let done = match outcome {
                Outcome::Committed => polled(shop.commit(id(number)), times).await,
                Outcome::Aborted => polled(shop.abort(id(number)), times).await,
            };
            let mut report = None;
            for _ in 0..100 {
                let again = match outcome {
                    Outcome::Committed => shop.commit(id(number)).await,
                    Outcome::Aborted => shop.abort(id(number)).await,
                };
                report = again.ok();
                if report.is_some() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            assert_eq!(report, Some(Report::Did(outcome)));
            until_nobody_works(&server).await;
            done
        })
        .await;
    }
    assert_eq!(gids(&server).len(), 0);
}
