//! Sessions that are lost, and servers that go and come.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tripod::lock::{
    BackendErrorKind, Enqueued, LockBackend, Locks, Renewed, Request, ZooKeeperBackend,
};

use super::{brief, counted, locks, name, patient, raw, request, until};
use crate::scenario::{
    FAR, HANGS, acquire_at_last, is_down, is_lost_at_its_deadline, is_transient, until_waiting,
};
use crate::server::wire::Wire;
use crate::server::zookeeper::{ZooKeeperEnsemble, ZooKeeperServer};

#[tokio::test]
async fn a_lease_is_lost_at_its_deadline_while_the_server_is_down_and_not_before() {
    let mut server = ZooKeeperServer::start().await;
    let (ttl, long) = (Duration::from_secs(5), patient(server.port()).await);
    let short = Locks::new(brief(server.port(), ttl).await);
    let kept = long.acquire("kept").await.unwrap();
    let lost = short.acquire("lost").ttl(ttl).await.unwrap();
    let tokens = (kept.fencing_token(), lost.fencing_token());
    server.kill();
    is_lost_at_its_deadline(&lost).await;
    // In this order: that it is lost is seen before the other's deadline.
    kept.check().unwrap();
    is_down(&long).await;
    // Longer than the client believes in the session.
    sleep(Duration::from_secs(2)).await;
    server.restart().await;
    let guard = acquire_at_last(|| long.acquire("lost").ttl(ttl)).await;
    assert!(guard.fencing_token() > tokens.1);
    let other = short.acquire("other").ttl(ttl);
    let other = timeout(HANGS, other.into_future()).await;
    assert!(matches!(other, Ok(Ok(_))), "{other:?}");
    assert!(kept.release().await.unwrap(), "it was held throughout");
    assert!(
        acquire_at_last(|| long.acquire("kept").ttl(ttl))
            .await
            .fencing_token()
            > tokens.0
    );
}

#[tokio::test]
async fn what_was_held_when_a_server_died_is_free_as_soon_as_its_owner_is_back() {
    let mut server = ZooKeeperServer::start().await;
    let ttl = Duration::from_secs(12);
    let owner = Locks::new(brief(server.port(), ttl).await);
    let guard = owner.acquire("a").ttl(ttl).await.unwrap();
    server.kill();
    is_lost_at_its_deadline(&guard).await;
    // The client gives its session up.
    sleep(ttl).await;
    server.restart().await;
    let other = locks(&server).await;
    let guard = other.acquire("a").wait(HANGS).await.unwrap();
    // The server counts the old session anew, from its start: it did not expire, but was closed.
    assert_eq!(counted(&server, "zk_stale_sessions_expired").await, 0);
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn a_lease_is_never_believed_in_for_longer_than_the_server_keeps_it() {
    let server = ZooKeeperServer::start().await;
    let ttl = Duration::from_secs(4);
    // Cut off at all phases of the client's pings and of the server's ticks.
    let cuts = (0..10).map(|phase| {
        let server = &server;
        async move {
            let proxy = Wire::to(server.port()).await;
            let locks = Locks::new(brief(proxy.port(), ttl).await);
            let name = format!("phase/{phase}");
            let guard = locks.acquire(&*name).ttl(ttl).await.unwrap();
            let witness = raw(server).await;
            let root = format!("/tripod/ephase%2F{phase}");
            sleep(Duration::from_millis(2000 + phase * 146)).await;
            proxy.cut();
            let freed = async {
                let looking = async {
                    while !witness.list_children(&root).await.unwrap().is_empty() {
                        sleep(Duration::from_millis(2)).await;
                    }
                };
                timeout(HANGS, looking).await.expect("it is free");
                Instant::now()
            };
            tokio::join!(is_lost_at_its_deadline(&guard), freed)
        }
    });
    for (believed, freed) in join_all(cuts).await {
        let after = freed.saturating_duration_since(believed.unwrap_or(freed));
        println!("free {after:?} after it was last believed in");
        assert!(believed <= Some(freed), "{believed:?}, free at {freed:?}");
    }
}

#[tokio::test]
async fn a_severed_client_loses_all_and_makes_a_new_session_by_itself() {
    let server = ZooKeeperServer::start().await;
    let ttl = Duration::from_secs(6);
    let proxy = Wire::to(server.port()).await;
    let store = Arc::new(brief(proxy.port(), ttl).await);
    let (held, waited) = (request("held", 1), request("waited", 2));
    let others = locks(&server).await;
    let guard = others.acquire("waited").await.unwrap();
    let Ok(Enqueued::Granted(grant)) = store.enqueue(&held).await else {
        panic!("it is free")
    };
    assert!(matches!(
        store.enqueue(&waited).await,
        Ok(Enqueued::Waiting(_))
    ));
    let (listener, entry) = (Arc::clone(&store), waited.entry().clone());
    let told = tokio::spawn(async move { listener.changed(&entry).await });
    until("it watches", async || {
        counted(&server, "zk_watch_count").await == 1
    })
    .await;
    proxy.cut();
    let next = others.acquire("held").wait(HANGS).await.unwrap();
    assert!(next.fencing_token() > grant.pass().token());
    // A call ends by itself, and nothing is said to live.
    let entries = [held.entry().clone(), waited.entry().clone()];
    let answers = timeout(HANGS, store.renew(&entries)).await;
    for answer in answers.expect("it ends") {
        assert!(!matches!(answer, Ok(Renewed::Alive(_))), "{answer:?}");
    }
    // The waiter is told.
    let told = timeout(HANGS, told).await;
    told.expect("it is told").unwrap().unwrap();
    proxy.mend();
    let again = async {
        loop {
            let answers = store.renew(&entries).await;
            if answers
                .iter()
                .all(|answer| matches!(answer, Ok(Renewed::Gone)))
            {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(HANGS, again).await.expect("both are gone");
    // It may enter anew, and by the same id.
    let fresh = store.enqueue(&request("fresh", 3)).await;
    assert!(matches!(fresh, Ok(Enqueued::Granted(_))), "{fresh:?}");
    assert!(matches!(
        store.enqueue(&waited).await,
        Ok(Enqueued::Waiting(_))
    ));
    drop((guard, next));
}

#[tokio::test]
async fn a_connection_that_is_lost_for_a_moment_loses_nothing() {
    let server = ZooKeeperServer::start().await;
    let proxy = Wire::to(server.port()).await;
    let (cut, others) = (patient(proxy.port()).await, patient(server.port()).await);
    let guard = cut.acquire("held").await.unwrap();
    let theirs = others.acquire("waited").await.unwrap();
    let waiter = tokio::spawn(cut.acquire("waited").into_future());
    until_waiting(&others, "waited", 1).await;
    for _ in 0..3 {
        proxy.cut();
        sleep(Duration::from_millis(200)).await;
        proxy.mend();
        sleep(Duration::from_millis(700)).await;
    }
    guard.check().unwrap();
    // What happens while it is away is seen when it is back.
    proxy.cut();
    sleep(Duration::from_millis(100)).await;
    assert!(theirs.release().await.unwrap());
    proxy.mend();
    let heard = timeout(HANGS, waiter).await;
    let later = heard.expect("it was told").unwrap().unwrap();
    assert!(later.release().await.unwrap());
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn a_backend_that_is_dropped_frees_what_it_held_at_once() {
    let server = ZooKeeperServer::start().await;
    let store = brief(server.port(), FAR).await;
    let held = request("a", 1);
    assert!(matches!(
        store.enqueue(&held).await,
        Ok(Enqueued::Granted(_))
    ));
    drop(store);
    let others = locks(&server).await;
    let guard = others.acquire("a").wait(HANGS).await.unwrap();
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn a_store_that_is_out_of_reach_keeps_no_call_and_no_request() {
    let server = ZooKeeperServer::start().await;
    let proxy = Wire::to(server.port()).await;
    let store = brief(proxy.port(), FAR).await;
    proxy.cut();
    sleep(Duration::from_millis(100)).await;
    let calls = (0..50).map(|id| {
        let store = &store;
        async move {
            let late = request("late", id);
            let ended = timeout(HANGS, store.enqueue(&late)).await;
            ended.expect("it ends").unwrap_err().kind()
        }
    });
    for kind in join_all(calls).await {
        assert_eq!(kind, BackendErrorKind::Unavailable);
    }
    proxy.mend();
    // None of them is sent afterwards.
    sleep(Duration::from_secs(1)).await;
    let seen = locks(&server).await.inspect(&name("late")).await.unwrap();
    assert!(
        seen.holders().is_empty() && seen.waiters().is_empty(),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_leader_that_has_lost_its_followers_proves_no_lease() {
    let ensemble = ZooKeeperEnsemble::start().await;
    let (mut leading, mut following) = (None, Vec::new());
    for server in &ensemble.0 {
        if server.says("srvr").await.contains("Mode: leader") {
            leading = Some(server.port());
        } else {
            following.push(server.pid().to_string());
        }
    }
    let store = brief(leading.unwrap(), Duration::from_secs(20)).await;
    let held = request("a", 1);
    let entry = [held.entry().clone()];
    assert!(matches!(
        store.enqueue(&held).await,
        Ok(Enqueued::Granted(_))
    ));
    let answers = store.renew(&entry).await;
    assert!(matches!(*answers, [Ok(Renewed::Alive(_))]), "{answers:?}");
    let stopped = Command::new("kill").arg("-STOP").args(&following).status();
    assert!(stopped.unwrap().success());
    // It does not know yet that nobody follows it, and answers reads.
    let answers = store.renew(&entry).await;
    assert!(matches!(*answers, [Err(_)]), "{answers:?}");
}

/// Asks until it is answered: the connection is made anew meanwhile.
async fn enqueue_at_last(store: &ZooKeeperBackend, request: &Request) -> Enqueued {
    let asking = async {
        loop {
            match store.enqueue(request).await {
                Ok(answer) => return answer,
                Err(error) => assert!(is_transient(&error), "{error:?}"),
            }
        }
    };
    timeout(HANGS, asking).await.expect("it is answered")
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_one_entry_and_its_grant_is_told_again() {
    let server = ZooKeeperServer::start().await;
    let proxy = Wire::to(server.port()).await;
    let store = brief(proxy.port(), FAR).await;
    let others = locks(&server).await;
    // The answers are cut off at all phases of what is asked.
    for phase in 0..12 {
        let (free, taken) = (format!("free/{phase}"), format!("taken/{phase}"));
        let theirs = others.acquire(&*taken).await.unwrap();
        let (one, other) = (request(&free, phase), request(&taken, phase));
        let asked = async { tokio::join!(store.enqueue(&one), store.enqueue(&other)) };
        let lost = async {
            sleep(Duration::from_micros(phase * 400)).await;
            proxy.swallow_answers(true);
            sleep(Duration::from_millis(100)).await;
            proxy.reset();
            sleep(Duration::from_millis(50)).await;
            proxy.swallow_answers(false);
        };
        let (first, ()) = tokio::join!(asked, lost);
        println!("{:?}, {:?}", first.0.is_ok(), first.1.is_ok());
        let Enqueued::Granted(grant) = enqueue_at_last(&store, &one).await else {
            panic!("it is free")
        };
        if let Ok(Enqueued::Granted(before)) = first.0 {
            assert_eq!(before.pass(), grant.pass());
        }
        let second = enqueue_at_last(&store, &other).await;
        assert!(matches!(second, Enqueued::Waiting(_)), "{second:?}");
        let seen = others.inspect(&name(&free)).await.unwrap();
        let tokens: Vec<_> = seen
            .holders()
            .iter()
            .map(|held| held.pass().token())
            .collect();
        assert_eq!(tokens, [grant.pass().token()]);
        let seen = others.inspect(&name(&taken)).await.unwrap();
        assert_eq!((seen.holders().len(), seen.waiters().len()), (1, 1));
        assert!(theirs.release().await.unwrap());
    }
}

#[tokio::test]
async fn more_waiters_than_may_watch_survive_a_lost_connection() {
    let server = ZooKeeperServer::start().await;
    let proxy = Wire::to(server.port()).await;
    let store = Arc::new(brief(proxy.port(), FAR).await);
    // Each is three bytes in a path: all are 170 KiB together.
    let lock = "/".repeat(200);
    let holder = request(&lock, 0);
    assert!(matches!(
        store.enqueue(&holder).await,
        Ok(Enqueued::Granted(_))
    ));
    let mut listening = JoinSet::new();
    for id in 1..=250 {
        let waiter = request(&lock, id);
        let answer = store.enqueue(&waiter).await;
        assert!(matches!(answer, Ok(Enqueued::Waiting(_))), "{answer:?}");
        let store = Arc::clone(&store);
        listening.spawn(async move { store.changed(waiter.entry()).await });
    }
    until("as many watch as may", async || {
        counted(&server, "zk_watch_count").await > 100
    })
    .await;
    sleep(Duration::from_millis(500)).await;
    assert!(counted(&server, "zk_watch_count").await < 150);
    proxy.reset();
    let entries = [holder.entry().clone()];
    until("it is back", async || {
        matches!(*store.renew(&entries).await, [Ok(Renewed::Alive(_))])
    })
    .await;
    // The first in the queue is told still.
    assert!(store.release(holder.entry()).await.unwrap());
    let told = timeout(HANGS, listening.join_next()).await;
    told.expect("it is told").unwrap().unwrap().unwrap();
}
