//! The law of stores, on the one in memory.

use std::num::NonZeroU32;
use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance, timeout};
use tripod::lock::{
    Claimed, Enqueued, Entry, Family, FencingToken, Grant, HolderId, LockBackend, LockName,
    MemoryBackend, Metadata, Mode, Renewed, Request, TTL_MAX,
};

const TTL: Duration = Duration::from_secs(10);

fn request(name: &str, id: u64, mode: Mode) -> Request {
    let entry = Entry {
        name: LockName::new(name).unwrap(),
        holder: HolderId::new(1, id),
        ttl: TTL,
    };
    Request {
        entry,
        mode,
        priority: 0,
        waits: true,
        metadata: Metadata::default(),
    }
}

fn store() -> Arc<dyn LockBackend> {
    Arc::new(MemoryBackend::new())
}

async fn granted(store: &dyn LockBackend, request: &Request) -> Grant {
    let answer = store.enqueue(request).await.unwrap();
    let Enqueued::Granted(grant) = answer else {
        panic!("{answer:?}");
    };
    grant
}

async fn waits(store: &dyn LockBackend, request: &Request) {
    let answer = store.enqueue(request).await.unwrap();
    assert!(matches!(answer, Enqueued::Waiting(_)), "{answer:?}");
}

async fn claims(store: &dyn LockBackend, request: &Request) -> bool {
    matches!(
        store.claim(&request.entry).await.unwrap(),
        Claimed::Granted(_)
    )
}

#[tokio::test(start_paused = true)]
async fn tokens_rise_over_release_expiry_and_force() {
    let store = store();
    let mut last = FencingToken::new(0);
    for id in 0..30 {
        let request = request("a", id, Mode::Exclusive);
        let token = granted(&store, &request).await.pass.token();
        assert!(token > last);
        last = token;
        match id % 3 {
            0 => assert!(store.release(&request.entry).await.unwrap()),
            1 => advance(TTL).await,
            _ => assert!(
                store
                    .force_release(&request.entry.name, token)
                    .await
                    .unwrap()
            ),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_expired_holder_can_neither_renew_nor_release_its_successor() {
    let store = store();
    let [late, next] = [1, 2].map(|id| request("a", id, Mode::Exclusive));
    let pass = granted(&store, &late).await.pass;
    advance(TTL).await;
    granted(&store, &next).await;
    assert_eq!(
        store.renew(from_ref(&late.entry)).await.unwrap(),
        [Renewed::Gone]
    );
    assert!(!store.release(&late.entry).await.unwrap());
    assert!(
        !store
            .force_release(&late.entry.name, pass.token())
            .await
            .unwrap()
    );
    store.leave(&late.entry).await.unwrap();
    assert!(matches!(
        store.claim(&late.entry).await.unwrap(),
        Claimed::Gone
    ));
    let inspection = store.inspect(&next.entry.name).await.unwrap();
    assert_eq!(inspection.holders[0].holder, next.entry.holder);
}

#[tokio::test(start_paused = true)]
async fn a_renewed_lease_lives_on_and_the_others_end() {
    let store = store();
    let [kept, left] = ["a", "b"].map(|name| request(name, 1, Mode::Exclusive));
    granted(&store, &kept).await;
    granted(&store, &left).await;
    advance(TTL / 2).await;
    let renewed = store.renew(from_ref(&kept.entry)).await.unwrap();
    assert_eq!(renewed, [Renewed::Alive { ttl: TTL }]);
    advance(TTL / 2).await;
    waits(&store, &request("a", 2, Mode::Exclusive)).await;
    granted(&store, &request("b", 2, Mode::Exclusive)).await;
}

#[tokio::test(start_paused = true)]
async fn order_is_priority_and_then_arrival() {
    let store = store();
    let holder = request("a", 0, Mode::Exclusive);
    granted(&store, &holder).await;
    let priorities = [0, 7, 0, 255, 7];
    let requests: Vec<Request> = (1..)
        .zip(priorities)
        .map(|(id, priority)| Request {
            priority,
            ..request("a", id, Mode::Exclusive)
        })
        .collect();
    for request in &requests {
        waits(&store, request).await;
    }
    let mut before = holder;
    for next in [3, 1, 4, 0, 2].map(|at: usize| &requests[at]) {
        assert!(store.release(&before.entry).await.unwrap());
        for other in &requests {
            let claimed = other.entry.holder != next.entry.holder && claims(&store, other).await;
            assert!(!claimed, "{other:?} before {next:?}");
        }
        assert!(claims(&store, next).await);
        before = next.clone();
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_will_not_wait_overtakes_nobody_and_leaves_nothing() {
    let store = store();
    let holder = request("a", 0, Mode::Exclusive);
    granted(&store, &holder).await;
    waits(&store, &request("a", 1, Mode::Exclusive)).await;
    store.release(&holder.entry).await.unwrap();
    // Nobody holds, but one waits to claim.
    let urgent = Request {
        priority: 255,
        waits: false,
        ..request("a", 2, Mode::Exclusive)
    };
    assert!(matches!(
        store.enqueue(&urgent).await.unwrap(),
        Enqueued::Held(_)
    ));
    let inspection = store.inspect(&holder.entry.name).await.unwrap();
    assert_eq!((inspection.holders.len(), inspection.waiters.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn readers_hold_together_and_not_past_a_waiting_writer() {
    let store = store();
    let first = granted(&store, &request("a", 0, Mode::Shared)).await.pass;
    let second = granted(&store, &request("a", 1, Mode::Shared)).await.pass;
    assert_eq!(
        (first.floor(), second.floor()),
        (first.token(), first.token())
    );
    waits(&store, &request("a", 2, Mode::Exclusive)).await;
    waits(&store, &request("a", 3, Mode::Shared)).await;
    store
        .release(&request("a", 0, Mode::Shared).entry)
        .await
        .unwrap();
    assert!(!claims(&store, &request("a", 2, Mode::Exclusive)).await);
    store
        .release(&request("a", 1, Mode::Shared).entry)
        .await
        .unwrap();
    assert!(!claims(&store, &request("a", 3, Mode::Shared)).await);
    assert!(claims(&store, &request("a", 2, Mode::Exclusive)).await);
}

#[tokio::test(start_paused = true)]
async fn permits_are_never_oversubscribed() {
    let store = store();
    let permits = |n| Mode::Permits {
        n: NonZeroU32::new(n).unwrap(),
        of: NonZeroU32::new(3).unwrap(),
    };
    granted(&store, &request("a", 0, permits(2))).await;
    waits(&store, &request("a", 1, permits(2))).await;
    // One permit is free, but the head of the queue is not overtaken.
    waits(&store, &request("a", 2, permits(1))).await;
    let reader = store.enqueue(&request("a", 3, Mode::Shared)).await.unwrap();
    assert_eq!(
        reader,
        Enqueued::Foreign(Family::Permits {
            of: NonZeroU32::new(3).unwrap()
        })
    );
    store
        .release(&request("a", 0, permits(2)).entry)
        .await
        .unwrap();
    assert!(claims(&store, &request("a", 1, permits(2))).await);
    assert!(claims(&store, &request("a", 2, permits(1))).await);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_told_of_a_release_without_polling() {
    let store = store();
    let [holder, next] = [0, 1].map(|id| request("a", id, Mode::Exclusive));
    granted(&store, &holder).await;
    waits(&store, &next).await;
    let before = Instant::now();
    let told = store.changed(&next.entry);
    let (told, released) = tokio::join!(timeout(TTL, told), store.release(&holder.entry));
    told.unwrap().unwrap();
    assert!(released.unwrap());
    assert_eq!(Instant::now(), before);
    assert!(claims(&store, &next).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_before_the_question_is_not_lost() {
    let store = store();
    let [holder, next] = [0, 1].map(|id| request("a", id, Mode::Exclusive));
    granted(&store, &holder).await;
    waits(&store, &next).await;
    store.release(&holder.entry).await.unwrap();
    timeout(TTL, store.changed(&next.entry))
        .await
        .unwrap()
        .unwrap();
    assert!(claims(&store, &next).await);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_lets_the_next_one_in() {
    let store = store();
    let requests = [Mode::Shared, Mode::Exclusive, Mode::Shared];
    let requests: Vec<Request> = (0..)
        .zip(requests)
        .map(|(id, mode)| request("a", id, mode))
        .collect();
    granted(&store, &requests[0]).await;
    waits(&store, &requests[1]).await;
    waits(&store, &requests[2]).await;
    store.leave(&requests[1].entry).await.unwrap();
    timeout(TTL, store.changed(&requests[2].entry))
        .await
        .unwrap()
        .unwrap();
    assert!(claims(&store, &requests[2]).await);
}

#[tokio::test(start_paused = true)]
async fn an_expired_waiter_blocks_nobody() {
    let store = store();
    let holder = request("a", 0, Mode::Shared);
    granted(&store, &holder).await;
    waits(&store, &request("a", 1, Mode::Exclusive)).await;
    advance(TTL / 2).await;
    let _ = store.renew(from_ref(&holder.entry)).await.unwrap();
    let late = request("a", 2, Mode::Shared);
    waits(&store, &late).await;
    advance(TTL / 2).await;
    assert!(claims(&store, &late).await);
}

#[tokio::test(start_paused = true)]
async fn asking_again_answers_again_and_grants_once() {
    let store = store();
    let [holder, next] = [0, 1].map(|id| request("a", id, Mode::Exclusive));
    let grant = granted(&store, &holder).await;
    assert_eq!(granted(&store, &holder).await, grant);
    assert_eq!(
        store.claim(&holder.entry).await.unwrap(),
        Claimed::Granted(grant)
    );
    waits(&store, &next).await;
    waits(&store, &next).await;
    let inspection = store.inspect(&holder.entry.name).await.unwrap();
    assert_eq!((inspection.holders.len(), inspection.waiters.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn neighbouring_names_never_meet() {
    let store = store();
    for (id, name) in (0..).zip(["a", "a/b", "a/", "A", "a b", "a/b/c"]) {
        granted(&store, &request(name, id, Mode::Exclusive)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_at_any_moment_never_lets_two_exclude_each_other() {
    // Every order of three clients' steps, each of which asks, claims and releases.
    let steps = [0_u64, 1, 2];
    for code in 0..3_u32.pow(9) {
        let store = MemoryBackend::new();
        let mut holding: Vec<u64> = Vec::new();
        let mut last = FencingToken::new(0);
        for at in 0..9 {
            let id = steps[(code / 3_u32.pow(at) % 3) as usize];
            let request = request("a", id, Mode::Exclusive);
            if holding.contains(&id) {
                assert!(store.release(&request.entry).await.unwrap());
                holding.retain(|other| *other != id);
                continue;
            }
            let answer = store.enqueue(&request).await.unwrap();
            let claimed = store.claim(&request.entry).await.unwrap();
            if let Claimed::Granted(grant) = claimed {
                if let Enqueued::Granted(first) = answer {
                    assert_eq!(first, grant);
                }
                assert!(grant.pass.token() > last);
                last = grant.pass.token();
                holding.push(id);
            }
            assert!(holding.len() <= 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_ttl_is_a_day() {
    let store = store();
    let mut request = request("a", 0, Mode::Exclusive);
    request.entry.ttl = Duration::MAX;
    assert_eq!(granted(&store, &request).await.ttl, TTL_MAX);
}
