//! Coordinators that are opened again.

use tripod::transaction::participant::{Enlist, Opening, Participant, ParticipantOpenError, Vote};

use super::{
    ABORTED, COMMITTED, SLOW, balance, connected, coordinator, epoch, id, id_of, opened, opening,
    pay, prepared, rows, server, until,
};

#[tokio::test]
async fn a_stale_opening_is_refused() {
    let server = server().await;
    let shop = connected(&server).await;
    shop.open(opening(0x0100)).await.unwrap();
    shop.open(opening(0x0100)).await.unwrap();
    for stale in [
        opening(2),
        opening(0xff),
        Opening::new(coordinator(), epoch(0x0100), 7),
    ] {
        let error = shop.open(stale).await.unwrap_err();
        let ParticipantOpenError::Stale(stale) = error else {
            panic!("{error:?}");
        };
        assert_eq!(stale.seen, epoch(0x0100));
    }
    shop.open(opening(u64::MAX)).await.unwrap();
    assert!(shop.open(opening(u64::MAX - 1)).await.is_err());
}

#[tokio::test]
async fn a_successor_fences_one_phase_commits_off() {
    let server = server().await;
    let (zombie, successor) = (opened(&server).await, connected(&server).await);
    let (_one, mut other) = (pay(&zombie, id(1)).await, zombie.work(id(2)).await.unwrap());
    let isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1";
    other.batch_execute(isolation).await.unwrap();
    successor.open(opening(2)).await.unwrap();
    assert_eq!(zombie.commit_one_phase(id(1)).await.unwrap(), ABORTED);
    assert_eq!(zombie.commit_one_phase(id(2)).await.unwrap(), ABORTED);
    assert_eq!(
        (balance(&server).as_str(), rows(&server)),
        ("0", vec!["f".into(), "f".into()])
    );
    assert!(zombie.work(id(3)).await.is_err());
    let _work = pay(&successor, id_of(2, 1)).await;
    let committed = successor.commit_one_phase(id_of(2, 1)).await.unwrap();
    assert_eq!(committed, COMMITTED);
}

#[tokio::test]
async fn a_successor_waits_for_a_one_phase_commit_in_flight() {
    let server = server().await;
    server.query(SLOW);
    let (zombie, successor) = (opened(&server).await, connected(&server).await);
    let _work = pay(&zombie, id(1)).await;
    let commits = tokio::spawn(async move { zombie.commit_one_phase(id(1)).await });
    let committing = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE query = 'COMMIT' AND state = 'active'";
    until(&server, committing).await;
    successor.open(opening(2)).await.unwrap();
    assert_eq!(rows(&server), ["t"], "it is done when the successor acts");
    assert_eq!(commits.await.unwrap().unwrap(), COMMITTED);
}

#[tokio::test]
async fn a_one_phase_commit_waits_for_a_successor_in_flight() {
    let server = server().await;
    let zombie = opened(&server).await;
    let _work = pay(&zombie, id(1)).await;
    let _opens = server.meanwhile(
        "BEGIN; UPDATE tripod.coordinator SET epoch = '\\x0000000000000002';
        SELECT pg_sleep(1); COMMIT",
    );
    let locked = "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock'
        AND relation = 'tripod.coordinator'::regclass";
    until(&server, locked).await;
    assert_eq!(zombie.commit_one_phase(id(1)).await.unwrap(), ABORTED);
    assert_eq!(balance(&server), "0");
}

#[tokio::test]
async fn a_late_prepare_of_an_earlier_epoch_is_found() {
    let server = server().await;
    let (zombie, successor) = (opened(&server).await, connected(&server).await);
    let _work = pay(&zombie, id(1)).await;
    successor.open(opening(2)).await.unwrap();
    assert_eq!(
        successor.in_doubt(coordinator(), epoch(2)).await.unwrap(),
        []
    );
    assert_eq!(zombie.prepare(id(1)).await.unwrap(), Vote::Prepared);
    let found = successor.in_doubt(coordinator(), epoch(2)).await.unwrap();
    assert_eq!(found, [id(1)]);
    assert_eq!(successor.commit_one_phase(id(1)).await.unwrap(), ABORTED);
    prepared(&successor, id_of(2, 1)).await;
    assert_eq!(
        successor.in_doubt(coordinator(), epoch(2)).await.unwrap(),
        []
    );
}
