//! Others that stand in the way, in the database.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tripod::lock::{BackendErrorKind, Enqueued, LockBackend, Renewed};

use super::{entry, request, server, store};

const TTL: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_name_that_is_blocked_is_unavailable_and_blocks_no_other() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let block = "BEGIN; SELECT tripod.enter('blocked'); SELECT pg_sleep(60)";
    let _blocked = server.meanwhile(block);
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    let blocked: Vec<_> = (0..3).map(|id| request("blocked", id, TTL)).collect();
    let blocked = blocked.iter().map(|request| store.enqueue(request));
    let blocked = futures_util::future::join_all(blocked);
    let free = request("free", 9, TTL);
    let free = async {
        sleep(Duration::from_millis(100)).await;
        let began = Instant::now();
        let enqueued = store.enqueue(&free).await.unwrap();
        assert!(matches!(enqueued, Enqueued::Granted(_)));
        assert!(began.elapsed() < Duration::from_millis(500));
    };
    let (blocked, ()) = futures_util::future::join(blocked, free).await;
    for answer in blocked {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_row_that_is_blocked_keeps_no_other_from_being_renewed() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..3 {
        let _ = store.enqueue(&request("a", count, TTL)).await.unwrap();
    }
    let block = "BEGIN; SELECT * FROM tripod.entry
        WHERE holder = '\\x00000000000000010000000000000001' FOR UPDATE; SELECT pg_sleep(60)";
    let _blocked = server.meanwhile(block);
    sleep(Duration::from_millis(500)).await;
    let entries = [2, 1, 7, 0].map(|count| entry("a", count));
    let renewing = timeout(Duration::from_secs(3), store.renew(&entries));
    let renewed = renewing.await.unwrap();
    let [
        Ok(Renewed::Alive(_)),
        Err(error),
        Ok(Renewed::Gone),
        Ok(Renewed::Alive(_)),
    ] = &renewed[..]
    else {
        panic!("{renewed:?}")
    };
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn an_entry_that_is_renewed_while_another_finds_it_over_stays() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    let brief = Duration::from_secs(2);
    let _ = store.enqueue(&request("a", 1, brief)).await.unwrap();
    sleep(Duration::from_millis(1500)).await;
    // A renewal in time, whose commit comes when the lease would have been over.
    let renew = "BEGIN; SELECT tripod.renew(ARRAY['a'::bytea],
            ARRAY['\\x00000000000000010000000000000001'::bytea], false);
        SELECT pg_sleep(1); COMMIT";
    let _renewed = server.meanwhile(renew);
    sleep(Duration::from_millis(700)).await;
    let enqueued = store.enqueue(&request("a", 2, TTL).without_waiting()).await;
    assert!(matches!(enqueued.unwrap(), Enqueued::Held));
    let renewed = store.renew(&[entry("a", 1)]).await;
    assert!(!matches!(renewed[..], [Ok(Renewed::Gone)]), "{renewed:?}");
}

#[tokio::test]
async fn dropped_calls_leave_no_connection_behind() {
    let server = server(&["fsync=off"]).await;
    let store = store(&server).await;
    for count in 0..100 {
        let request = request("dropped", count, Duration::from_secs(1));
        let time = Duration::from_micros(count * 30);
        let _ = timeout(time, store.enqueue(&request)).await;
    }
    let _ = store.enqueue(&request("a", 1, TTL)).await.unwrap();
    let open = "SELECT count(*) <= 9 FROM pg_stat_activity WHERE application_name = 'tripod'";
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.query(open), ["t"]);
}
