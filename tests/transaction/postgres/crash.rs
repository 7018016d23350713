//! Servers and connections that break in the middle.

use tripod::transaction::participant::{
    Enlist, Participant, ParticipantError, PostgresParticipant, Vote,
};

use crate::server::wire::Wire;

use super::{
    ABORTED, COMMITTED, SLOW, balance, connected, coordinator, epoch, gids, id, is_no, opened, pay,
    prepared, server, server_with, until, until_nobody_works,
};

#[tokio::test]
async fn what_is_prepared_outlives_a_server_that_is_killed() {
    let mut server = server_with(&[]).await;
    let shop = opened(&server).await;
    prepared(&shop, id(1)).await;
    let _lost = pay_other(&shop).await;
    server.kill();
    let error = shop.commit(id(1)).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    server.restart();
    // Connections of the old one may be there still.
    for _ in 0..100 {
        if shop.settle(id(1)).await.is_ok() {
            break;
        }
    }
    let again = connected(&server).await;
    assert_eq!(
        again.in_doubt(coordinator(), epoch(2)).await.unwrap(),
        [id(1)]
    );
    assert_eq!(again.prepare(id(1)).await.unwrap(), Vote::Prepared);
    assert_eq!(again.commit(id(1)).await.unwrap(), COMMITTED);
    let vote = shop.prepare(id(2)).await.unwrap();
    assert!(is_no(&vote), "{vote:?}");
    server.kill();
    server.restart();
    assert_eq!((balance(&server).as_str(), gids(&server).len()), ("1", 0));
    assert_eq!(
        connected(&server).await.commit(id(1)).await.unwrap(),
        COMMITTED
    );
}

async fn pay_other(shop: &PostgresParticipant) -> impl Sized {
    let mut work = shop.work(id(2)).await.unwrap();
    let update = "UPDATE account SET balance = 1 WHERE id = 2";
    work.execute(update, &[]).await.unwrap();
    work
}

#[tokio::test]
async fn a_one_phase_commit_is_durable_whatever_the_role_prefers() {
    let settings = ["synchronous_commit=off", "wal_writer_delay=10s"];
    let mut server = server_with(&settings).await;
    let shop = opened(&server).await;
    let mut work = pay(&shop, id(1)).await;
    let set = "SET LOCAL synchronous_commit = off";
    work.batch_execute(set).await.unwrap();
    assert_eq!(shop.commit_one_phase(id(1)).await.unwrap(), COMMITTED);
    assert_eq!(shop.settle(id(2)).await.unwrap(), ABORTED);
    server.kill();
    server.restart();
    assert_eq!(balance(&server), "1");
    assert_eq!(super::rows(&server), ["t", "f"]);
}

#[tokio::test]
async fn a_prepare_whose_answer_is_lost_is_unknown_and_then_settled() {
    let server = server().await;
    server.query(SLOW);
    opened(&server).await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let shop = PostgresParticipant::connect("shop", url).await.unwrap();
    let _work = pay(&shop, id(1)).await;
    let asked = tokio::spawn({
        let shop = shop.clone();
        async move { shop.prepare(id(1)).await }
    });
    let prepares = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE query ~ '^PREPARE TRANSACTION' AND state = 'active'";
    until(&server, prepares).await;
    wire.reset();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    // It is under way still: asked again, nobody says no and finds it prepared later.
    let vote = shop.prepare(id(1)).await.unwrap();
    assert_eq!(vote, Vote::Prepared);
    assert_eq!(shop.commit(id(1)).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn a_one_phase_commit_whose_answer_is_lost_is_settled_by_its_row() {
    let server = server().await;
    server.query(SLOW);
    opened(&server).await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let shop = PostgresParticipant::connect("shop", url).await.unwrap();
    let _work = pay(&shop, id(1)).await;
    let asked = tokio::spawn({
        let shop = shop.clone();
        async move { shop.commit_one_phase(id(1)).await }
    });
    let commits = "SELECT count(*) = 1 FROM pg_stat_activity
        WHERE query = 'COMMIT' AND state = 'active'";
    until(&server, commits).await;
    wire.reset();
    let report = asked.await.unwrap().unwrap();
    assert_eq!(report, COMMITTED, "its row tells");
    assert_eq!(shop.settle(id(1)).await.unwrap(), COMMITTED);
    assert_eq!(balance(&server), "1");
}

#[tokio::test]
async fn a_branch_whose_connection_is_cut_votes_no() {
    let server = server().await;
    opened(&server).await;
    let wire = Wire::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", wire.port());
    let shop = PostgresParticipant::connect("shop", url).await.unwrap();
    let mut work = pay(&shop, id(1)).await;
    wire.reset();
    assert!(work.execute("SELECT 1", &[]).await.is_err());
    let vote = shop.prepare(id(1)).await.unwrap();
    assert!(is_no(&vote), "{vote:?}");
    until_nobody_works(&server).await;
    assert_eq!(shop.abort(id(1)).await.unwrap(), ABORTED);
}
