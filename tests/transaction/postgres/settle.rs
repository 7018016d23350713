//! What becomes of branches, and what is proved of it.

use std::time::Duration;

use tokio::time::sleep;
use tripod::transaction::participant::{
    Enlist, Participant, ParticipantError, PostgresParticipant, Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, TransactionId};

use super::{
    ABORTED, COMMITTED, balance, connected, coordinator, epoch, gid, gids, id, id_of, is_no,
    opened, opening, pay, prepared, rows, server, until,
};

#[tokio::test]
async fn an_unknown_branch_is_missing_until_its_absence_is_proved() {
    let server = server().await;
    let shop = opened(&server).await;
    assert_eq!(shop.commit(id(1)).await.unwrap(), Report::Missing);
    assert_eq!(shop.commit_one_phase(id(1)).await.unwrap(), Report::Missing);
    assert!(is_no(&shop.prepare(id(1)).await.unwrap()));
    assert_eq!(rows(&server).len(), 0);
    assert_eq!(shop.settle(id(1)).await.unwrap(), ABORTED);
    assert_eq!(shop.commit(id(1)).await.unwrap(), ABORTED);
    let error = shop.work(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_prepared_branch_is_only_reported() {
    let server = server().await;
    let shop = opened(&server).await;
    prepared(&shop, id(1)).await;
    assert_eq!(shop.settle(id(1)).await.unwrap(), Report::Prepared);
    assert_eq!(gids(&server), [gid(id(1))]);
    let error = shop.work(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Refused(_)), "{error:?}");
    // Of another process too.
    let other = connected(&server).await;
    assert_eq!(other.prepare(id(1)).await.unwrap(), Vote::Prepared);
    assert_eq!(other.commit_one_phase(id(1)).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn a_tombstone_that_was_first_keeps_a_late_writer_out() {
    let server = server().await;
    let (shop, other) = (opened(&server).await, connected(&server).await);
    let (_one, _two) = (pay(&shop, id(1)).await, shop.work(id(2)).await.unwrap());
    assert_eq!(other.abort(id(1)).await.unwrap(), ABORTED);
    assert_eq!(other.settle(id(2)).await.unwrap(), ABORTED);
    let vote = shop.prepare(id(1)).await.unwrap();
    assert!(is_no(&vote), "{vote:?}");
    assert_eq!(shop.commit_one_phase(id(2)).await.unwrap(), ABORTED);
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
}

/// What the branch's session does, as far as it comes.
fn recording(branch: BranchId, alone: bool) -> String {
    let id = branch.transaction();
    let at = (u128::from(id.epoch().as_u64()) << 64) | u128::from(id.sequence());
    format!(
        "SELECT tripod.record_branch('{gid}', '\\x{coordinator}', '\\x{at:032x}', {number}, \
        convert_to(current_user, 'UTF8'), {alone})",
        gid = gid(branch),
        coordinator = id.coordinator(),
        number = branch.number(),
    )
}

#[tokio::test]
async fn a_tombstone_waits_for_a_writer_in_flight() {
    let server = server().await;
    let shop = opened(&server).await;
    for (number, end, report) in [(1, "COMMIT", COMMITTED), (2, "ROLLBACK", ABORTED)] {
        let gid = gid(id(number));
        let _writer = server.meanwhile(&format!(
            "BEGIN; SET LOCAL tripod.branch = '{gid}'; {}; SELECT pg_sleep(1); {end}",
            recording(id(number), true),
        ));
        let writes = "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock'
            AND relation = 'tripod.branch'::regclass";
        until(&server, writes).await;
        assert_eq!(shop.settle(id(number)).await.unwrap(), report, "{end}");
    }
    assert_eq!(rows(&server), ["t", "f"]);
}

#[tokio::test]
async fn a_writer_that_takes_too_long_leaves_it_unknown() {
    let server = server().await;
    let shop = opened(&server).await;
    let _writer = server.meanwhile(&format!(
        "BEGIN; SET LOCAL tripod.branch = '{}'; {}; SELECT pg_sleep(60)",
        gid(id(1)),
        recording(id(1), true),
    ));
    let writes = "SELECT count(*) > 0 FROM pg_locks WHERE mode = 'RowExclusiveLock'
        AND relation = 'tripod.branch'::regclass";
    until(&server, writes).await;
    let error = shop.settle(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    server.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ 'sleep'
        AND pid <> pg_backend_pid()",
    );
    assert_eq!(shop.settle(id(1)).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn what_others_have_prepared_stands() {
    let server = server().await;
    let shop = opened(&server).await;
    server.query("CREATE DATABASE other");
    let elsewhere = id_of(1, 77);
    let stranger = TransactionId::new(CoordinatorId::from_u128(1), epoch(1), 1);
    let stranger = BranchId::new(stranger, 0);
    let garbage = format!("tripod_{}_1_1_0x", coordinator());
    for name in [gid(stranger), garbage] {
        server.query(&format!(
            "BEGIN; INSERT INTO account VALUES ({}, 0); PREPARE TRANSACTION '{name}'",
            100 + name.len()
        ));
    }
    let other = server.url_of_database("other");
    PostgresParticipant::migrate(&other).await.unwrap();
    let other = PostgresParticipant::connect("other", other).await.unwrap();
    let mut work = other.work(elsewhere).await.unwrap();
    work.batch_execute("CREATE TABLE a ()").await.unwrap();
    assert_eq!(other.prepare(elsewhere).await.unwrap(), Vote::Prepared);
    prepared(&shop, id(1)).await;
    let before = gids(&server);
    assert_eq!(before.len(), 4);
    assert_eq!(
        shop.in_doubt(coordinator(), epoch(2)).await.unwrap(),
        [id(1)]
    );
    assert_eq!(shop.in_doubt(coordinator(), epoch(1)).await.unwrap(), []);
    assert_eq!(
        shop.in_doubt(CoordinatorId::from_u128(2), epoch(9))
            .await
            .unwrap(),
        []
    );
    assert_eq!(shop.abort(elsewhere).await.unwrap(), ABORTED);
    shop.forget(coordinator(), (epoch(1), 1000)).await.unwrap();
    assert_eq!(gids(&server), before);
}

#[tokio::test]
async fn forgetting_keeps_prepared_branches_and_never_lowers_the_watermark() {
    let server = server().await;
    let shop = opened(&server).await;
    for number in 1..=3 {
        let _work = pay(&shop, id(number)).await;
        assert_eq!(shop.commit_one_phase(id(number)).await.unwrap(), COMMITTED);
    }
    prepared(&shop, id(4)).await;
    assert_eq!(shop.abort(id(5)).await.unwrap(), ABORTED);
    shop.forget(coordinator(), (epoch(1), 3)).await.unwrap();
    assert_eq!(rows(&server), ["t", "f"]);
    shop.forget(coordinator(), (epoch(1), 6)).await.unwrap();
    assert_eq!(rows(&server).len(), 0);
    shop.forget(coordinator(), (epoch(1), 2)).await.unwrap();
    // Below the watermark.
    assert_eq!(shop.commit(id(3)).await.unwrap(), COMMITTED);
    assert_eq!(shop.settle(id(3)).await.unwrap(), Report::Unknown);
    assert_eq!(shop.abort(id(3)).await.unwrap(), ABORTED);
    assert!(shop.work(id(3)).await.is_err());
    assert_eq!(rows(&server).len(), 0);
    assert_eq!(shop.settle(id(4)).await.unwrap(), Report::Prepared);
    assert_eq!(shop.commit(id(4)).await.unwrap(), COMMITTED);
    assert_eq!(balance(&server), "4");
    // The numbers are ordered as numbers are.
    for (number, sequence) in [(1, 0x0100), (1, u64::MAX), (2, 0), (0x0100, 0)] {
        assert_eq!(shop.abort(id_of(number, sequence)).await.unwrap(), ABORTED);
    }
    shop.forget(coordinator(), (epoch(2), 0)).await.unwrap();
    assert_eq!(rows(&server).len(), 2);
}

#[tokio::test]
async fn forgetting_drops_many_rows() {
    let server = server().await;
    let shop = opened(&server).await;
    server.query(&format!(
        "INSERT INTO tripod.branch SELECT decode('{}', 'hex'),
        decode(lpad(to_hex(1), 16, '0') || lpad(to_hex(n), 16, '0'), 'hex'), 0, true
        FROM generate_series(1, 2500) AS n",
        coordinator(),
    ));
    shop.forget(coordinator(), (epoch(1), 2500)).await.unwrap();
    assert_eq!(rows(&server).len(), 1);
}

#[tokio::test]
async fn a_branch_below_the_watermark_is_not_prepared() {
    let server = server().await;
    let (shop, other) = (opened(&server).await, connected(&server).await);
    let (_one, _two) = (pay(&shop, id(1)).await, shop.work(id(2)).await.unwrap());
    other.forget(coordinator(), (epoch(1), 9)).await.unwrap();
    assert_eq!(other.abort(id(1)).await.unwrap(), ABORTED);
    assert_eq!(rows(&server).len(), 0);
    assert!(is_no(&shop.prepare(id(1)).await.unwrap()));
    assert_eq!(shop.commit_one_phase(id(2)).await.unwrap(), ABORTED);
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("0", 0));
}

#[tokio::test]
async fn repeats_at_once_agree() {
    let server = server().await;
    let shop = opened(&server).await;
    for number in 1..=5 {
        let _work = pay(&shop, id(number)).await;
        let (one, two) = tokio::join!(shop.prepare(id(number)), shop.prepare(id(number)));
        assert_eq!(
            (one.unwrap(), two.unwrap()),
            (Vote::Prepared, Vote::Prepared)
        );
        let mut done = 0;
        for _ in 0..100 {
            let (one, two) = tokio::join!(shop.commit(id(number)), shop.commit(id(number)));
            for report in [one, two].into_iter().flatten() {
                assert_eq!(report, COMMITTED);
                done += 1;
            }
            if done >= 2 {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(done >= 2);
    }
    assert_eq!(balance(&server), "5");
}

#[tokio::test]
async fn an_administrator_who_ends_a_prepared_branch_is_seen() {
    let server = server().await;
    let shop = opened(&server).await;
    prepared(&shop, id(1)).await;
    server.query(&format!("ROLLBACK PREPARED '{}'", gid(id(1))));
    assert_eq!(shop.commit(id(1)).await.unwrap(), Report::Missing);
    assert_eq!(shop.settle(id(1)).await.unwrap(), ABORTED);
    prepared(&shop, id(2)).await;
    server.query(&format!("COMMIT PREPARED '{}'", gid(id(2))));
    assert_eq!(shop.abort(id(2)).await.unwrap(), COMMITTED);
    shop.open(opening(2)).await.unwrap();
}
