//! What is appended at the same time goes together.

use futures_util::future::join_all;
use tripod::transaction::log::{Durability, Record, TransactionLog};

use crate::server::postgres::PostgresServer;

use super::{forced, keys, opened, saga, says, server_with};

/// How many transactions have written so far: each has a number of its own.
fn transactions(server: &PostgresServer) -> u64 {
    let next = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
    server.query(next).concat().parse().unwrap()
}

#[tokio::test]
async fn sixty_four_who_append_at_once_share_a_few_commits() {
    let server = server_with(&["fsync=off", "autovacuum=off"]).await;
    let (log, epoch) = opened(&server).await;
    let before = transactions(&server);
    forced(&log, epoch, "alone").await.unwrap();
    assert_eq!(
        transactions(&server) - before,
        1,
        "one append is one transaction"
    );
    let before = transactions(&server);
    for round in 0..10 {
        let appends = (0..64).map(|number| {
            let log = log.clone();
            tokio::spawn(async move { forced(&log, epoch, &format!("{round}.{number}")).await })
        });
        for appended in join_all(appends).await {
            appended.unwrap().unwrap();
        }
    }
    let used = transactions(&server) - before;
    println!("640 appends by 64 at a time: {used} commits");
    assert!(
        (10..=30).contains(&used),
        "{used} commits for 10 rounds of 64"
    );
    assert_eq!(keys(&log.open(0).await.unwrap()).len(), 641);
}

#[tokio::test]
async fn what_ends_leaves_no_rows() {
    let server = server_with(&["fsync=off"]).await;
    let (log, epoch) = opened(&server).await;
    for number in 0..50 {
        let key = number.to_string();
        let (begin, end) = (vec![says(&key)], vec![Record::end(saga(&key))]);
        log.append(epoch, begin, Durability::Forced, None)
            .await
            .unwrap();
        log.append(epoch, end, Durability::Unforced, None)
            .await
            .unwrap();
    }
    log.close(epoch).await.unwrap();
    let rows = "SELECT (SELECT count(*) FROM tripod.log_record),
        (SELECT count(*) FROM tripod.log_tail), (SELECT count(*) FROM tripod.log)";
    assert_eq!(server.query(rows), ["0|1|1"]);
}
