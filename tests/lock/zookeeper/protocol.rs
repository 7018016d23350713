//! Nodes, watches and what is left behind.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join_all, select_all};
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use tripod::lock::{BackendErrorKind, Enqueued, FencingToken, LockBackend, Locks};
use zookeeper_client::{Acls, CreateMode};

use super::{counted, locks, name, patient, raw, request, store, until};
use crate::scenario::{HANGS, until_waiting};
use crate::server::zookeeper::ZooKeeperServer;
use crate::told::told;

#[tokio::test]
async fn a_lock_is_handed_over_by_a_watch_and_leaves_nothing_after_a_while() {
    let quick = ["znode.container.checkIntervalMs=500"];
    let server = ZooKeeperServer::start_with(&quick).await;
    let (one, other) = (patient(server.port()).await, patient(server.port()).await);
    let guard = one.acquire("a/{b} c.").metadata("me").await.unwrap();
    let waiter = tokio::spawn(other.acquire("a/{b} c.").into_future());
    until_waiting(&one, "a/{b} c.", 1).await;
    let raw = raw(&server).await;
    let names = raw.list_children("/tripod").await.unwrap();
    assert_eq!(names, ["ea%2F%7Bb%7D%20c."]);
    assert!(guard.release().await.unwrap());
    let told = timeout(HANGS, waiter).await;
    let guard = told.expect("it is told").unwrap().unwrap();
    let token = guard.fencing_token();
    assert!(guard.release().await.unwrap());
    until("the server removes the container", async || {
        raw.list_children("/tripod").await.unwrap().is_empty()
    })
    .await;
    // What was forgotten with it was no fencing token.
    let guard = one.acquire("a/{b} c.").await.unwrap();
    assert!(guard.fencing_token() > token);
}

#[tokio::test]
async fn a_release_wakes_one_of_many_writers_and_all_readers() {
    let server = ZooKeeperServer::start().await;
    let store = store(&server).await;
    for (is_shared, woken) in [(false, 1), (true, 6)] {
        let name = format!("herd/{is_shared}");
        let holder = request(&name, 0);
        let waiters: Vec<_> = (1..=6)
            .map(|id| {
                if is_shared {
                    request(&name, id).with_mode(tripod::lock::Mode::Shared)
                } else {
                    request(&name, id)
                }
            })
            .collect();
        assert!(matches!(
            store.enqueue(&holder).await,
            Ok(Enqueued::Granted(_))
        ));
        for waiter in &waiters {
            assert!(matches!(
                store.enqueue(waiter).await,
                Ok(Enqueued::Waiting(_))
            ));
        }
        let listening = waiters.iter().map(|waiter| store.changed(waiter.entry()));
        let mut listening: FuturesUnordered<_> = listening.collect();
        // Each writer watches another node; the readers watch the same, which is one watch to the server.
        let watches = if is_shared { 1 } else { 6 };
        let all_listen = until("they watch", async || {
            counted(&server, "zk_watch_count").await == watches
        });
        tokio::select! {
            heard = listening.next() => panic!("nothing has changed: {heard:?}"),
            () = all_listen => {}
        }
        assert!(store.release(holder.entry()).await.unwrap());
        for _ in 0..woken {
            let heard = timeout(HANGS, listening.next()).await;
            heard.expect("it is woken").unwrap().unwrap();
        }
        let more = timeout(Duration::from_millis(500), listening.next()).await;
        assert!(!matches!(more, Ok(Some(_))), "shared: {is_shared}");
        drop(listening);
        until("watches go with those who listened", async || {
            counted(&server, "zk_watch_count").await == 0
        })
        .await;
    }
}

#[tokio::test]
async fn the_head_of_the_queue_for_permits_is_woken_by_whichever_holder_ends() {
    let server = ZooKeeperServer::start().await;
    let locks = patient(server.port()).await;
    let ask = |n| locks.acquire("permits").permits(n, 4);
    let [first, second, third] = [
        ask(1).await.unwrap(),
        ask(1).await.unwrap(),
        ask(2).await.unwrap(),
    ];
    for guard in [second, third] {
        let waiter = tokio::spawn(ask(1).into_future());
        until_waiting(&locks, "permits", 1).await;
        assert!(guard.release().await.unwrap());
        let heard = timeout(HANGS, waiter).await;
        let guard = heard.expect("it was woken").unwrap().unwrap();
        assert!(guard.release().await.unwrap());
        // So that the next one has to wait as well.
        std::mem::forget(ask(1).await.unwrap());
    }
    assert!(first.release().await.unwrap());
}

#[tokio::test]
async fn watches_tasks_and_sessions_end_with_those_who_wanted_them() {
    let server = ZooKeeperServer::start().await;
    let counted = async |what| counted(&server, what).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let (connections, before) = (counted("zk_num_alive_connections").await, tasks());
    let holder = locks(&server).await;
    let guard = holder.acquire("a").await.unwrap();
    let other = locks(&server).await;
    let mut waiting: Vec<_> = (0..5).map(|_| other.acquire("a").into_future()).collect();
    let watched = until("each watches another", async || {
        counted("zk_watch_count").await == 5
    });
    tokio::select! {
        (got, ..) = select_all(&mut waiting) => panic!("it is held: {got:?}"),
        () = watched => {}
    }
    drop(waiting);
    until("watches go with their waiters", async || {
        counted("zk_watch_count").await == 0
    })
    .await;
    until("waiters leave", async || {
        other
            .inspect(&name("a"))
            .await
            .unwrap()
            .waiters()
            .is_empty()
    })
    .await;
    drop((guard, holder, other));
    until("sessions are closed", async || {
        counted("zk_num_alive_connections").await <= connections
            && counted("zk_ephemerals_count").await == 0
    })
    .await;
    until("tasks end", async || tasks() <= before).await;
}

#[tokio::test]
async fn a_grant_that_was_judged_by_another_container_counts_for_nothing() {
    let server = ZooKeeperServer::start().await;
    let locks = locks(&server).await;
    let guard = locks.acquire("a").await.unwrap();
    let raw = raw(&server).await;
    let [node] = raw
        .list_children("/tripod/ea")
        .await
        .unwrap()
        .try_into()
        .unwrap();
    assert!(guard.release().await.unwrap());
    // The name of a holder ends with the transaction that made its container, 0 for its own, and
    // with the container's version.
    let (entry, _) = node.rsplit_once("-0-").unwrap();
    let (root, stat) = raw
        .get_children("/tripod/ea")
        .await
        .map(|(_, stat)| ("/tripod/ea", stat))
        .unwrap();
    let mode = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let void = format!("{root}/{entry}-{:x}-1", stat.czxid + 1);
    raw.create(&void, b"0\n", &mode).await.unwrap();
    assert!(
        locks
            .inspect(&name("a"))
            .await
            .unwrap()
            .holders()
            .is_empty()
    );
    let guard = locks
        .try_acquire("a")
        .await
        .unwrap()
        .expect("nobody holds it");
    assert!(guard.release().await.unwrap());
    // The same by this container is one that holds.
    let valid = format!("{root}/{entry}-{:x}-1", stat.czxid);
    raw.create(&valid, b"0\n", &mode).await.unwrap();
    assert_eq!(locks.inspect(&name("a")).await.unwrap().holders().len(), 1);
    assert!(locks.try_acquire("a").await.unwrap().is_none());
}

#[tokio::test]
async fn nodes_that_are_nobody_s_are_damage_and_do_no_harm() {
    let server = ZooKeeperServer::start().await;
    let locks = locks(&server).await;
    assert!(locks.acquire("a").await.unwrap().release().await.unwrap());
    let raw = raw(&server).await;
    let mode = CreateMode::Persistent.with_acls(Acls::anyone_all());
    raw.create("/tripod/ea/lock-0000000001", b"", &mode)
        .await
        .unwrap();
    let error = locks.inspect(&name("a")).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
    assert!(locks.acquire("b").await.unwrap().release().await.unwrap());
}

#[tokio::test]
async fn a_ttl_that_the_session_cannot_keep_is_refused() {
    let server = ZooKeeperServer::start().await;
    let locks = locks(&server).await;
    let guard = locks.acquire("a").await.unwrap();
    assert_eq!(guard.ttl(), Duration::from_secs(30));
    let brief = locks
        .acquire("b")
        .ttl(Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(brief.ttl(), Duration::from_secs(30));
    let long = locks.acquire("c").ttl(Duration::from_millis(30_001)).await;
    let Err(tripod::lock::AcquireError::Store(error)) = long else {
        panic!("{long:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Rejected);
    assert!(told(&error).contains("session_timeout"), "{error:?}");
    // The server has the last word.
    let all = super::ZooKeeperBackend::connect(server.url());
    let locks = Locks::new(all.session_timeout(Duration::from_secs(900)).await.unwrap());
    let guard = locks.acquire("d").await.unwrap();
    assert_eq!(guard.ttl(), Duration::from_secs(400));
}

#[tokio::test]
async fn a_chroot_that_somebody_removed_is_made_again() {
    let server = ZooKeeperServer::start().await;
    let locks = locks(&server).await;
    raw(&server).await.delete("/tripod", None).await.unwrap();
    locks.acquire("a").await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn many_of_one_process_that_want_the_same_are_served() {
    let server = ZooKeeperServer::start().await;
    let store = store(&server).await;
    let readers = (0..40).map(|id| {
        let store = &store;
        async move {
            let reader = request("crowd", id).with_mode(tripod::lock::Mode::Shared);
            store.enqueue(&reader).await
        }
    });
    let mut tokens: Vec<FencingToken> = Vec::new();
    for answer in join_all(readers).await {
        let Ok(Enqueued::Granted(grant)) = answer else {
            panic!("{answer:?}")
        };
        tokens.push(grant.pass().token());
    }
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 40);
}

#[tokio::test]
async fn one_of_many_at_once_holds_a_lock_that_was_used_before() {
    let server = ZooKeeperServer::start().await;
    let stores = [store(&server).await, store(&server).await];
    for round in 0..5 {
        let crowd: Vec<_> = (1..=12)
            .map(|id| request("used", round * 100 + id))
            .collect();
        let both = stores.iter().cycle();
        let answers = crowd
            .iter()
            .zip(both)
            .map(|(asks, store)| store.enqueue(asks));
        let answers = join_all(answers).await;
        let hold = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(Enqueued::Granted(_))));
        assert_eq!(hold.count(), 1, "in round {round}: {answers:?}");
        let both = stores.iter().cycle();
        let leaving = crowd
            .iter()
            .zip(both)
            .map(|(asks, store)| store.leave(asks.entry()));
        for left in join_all(leaving).await {
            left.unwrap();
        }
    }
}
