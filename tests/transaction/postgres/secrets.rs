//! Passwords, and what users send.

use std::time::Duration;

use tripod::transaction::log::MemoryLog;
use tripod::transaction::participant::{
    Enlist, Participant, ParticipantOpenError, PostgresParticipant, Tls, Vote,
};
use tripod::transaction::two_phase::Coordinator;

use crate::server::certificates::Certificates;
use crate::server::postgres::PostgresServer;

use super::{COMMITTED, id, is_no, opening, server};
use crate::told::{Ear, told};

/// One that tells what it does with the participant.
async fn coordinator(shop: &PostgresParticipant) -> Coordinator {
    let opening = Coordinator::open(MemoryLog::new()).allow_volatile_log();
    let opening = opening.scan_interval(Duration::from_millis(50));
    opening.participant(shop.clone()).await.unwrap()
}

#[tokio::test]
async fn passwords_are_told_to_nobody() {
    let mut server = PostgresServer::start_with_passwords();
    server.query("ALTER SYSTEM SET max_prepared_transactions = 4");
    server.query("CREATE ROLE shop LOGIN SUPERUSER PASSWORD 'canary-right'");
    let ear = Ear::of_this_thread();
    let right = server.url_of_user("shop", "canary-right");
    let connecting = PostgresParticipant::connect("shop", &right);
    let migrating = PostgresParticipant::migrate(&right);
    assert!(!format!("{connecting:?} {migrating:?}").contains("canary"));
    migrating.await.unwrap();
    let shop = connecting.await.unwrap();
    let mut work = shop.work(id(1)).await.unwrap();
    work.execute("SELECT 1", &[]).await.unwrap();
    assert!(!format!("{shop:?} {work:?}").contains("canary"));
    assert!(shop.open(opening(1)).await.is_err(), "it needs a new start");
    let unknown = format!("{right}?canary=1");
    for url in [
        server.url_of_user("shop", "canary-wrong"),
        server.url_of_user("who", "canary"),
        unknown,
        "nonsense://canary:canary=canary@canary/".into(),
        "canary=canary".into(),
        "postgres://canary:canary@".into(),
    ] {
        for error in [
            PostgresParticipant::connect("shop", &url)
                .await
                .unwrap_err(),
            PostgresParticipant::migrate(&url).await.unwrap_err(),
        ] {
            assert!(
                matches!(error, ParticipantOpenError::Unfit(_)),
                "{url} {error:?}"
            );
            let told = told(&error);
            assert!(!told.contains("canary"), "{url} {told}");
        }
    }
    server.kill();
    server.restart();
    let _coordinator = coordinator(&shop).await;
    ear.hears("coordinator opened").await;
    // It connects anew, in vain.
    server.query("ALTER ROLE shop PASSWORD 'canary-other'");
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'");
    for _ in 0..3 {
        if let Err(error) = shop.commit(id(1)).await {
            assert!(!told(&error).contains("canary"), "{error:?}");
        }
    }
    ear.hears("participant not looked after").await;
    let heard = ear.heard();
    assert!(!heard.values.contains("canary"), "{}", heard.values);
}

#[tokio::test]
async fn what_users_send_is_told_to_nobody() {
    let server = server().await;
    let ear = Ear::of_this_thread();
    server.query("CREATE TABLE once (id text UNIQUE)");
    server.query("CREATE TABLE late (id text UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    let shop = PostgresParticipant::connect("shop", server.url())
        .await
        .unwrap();
    let mut work = shop.work(id(1)).await.unwrap();
    let insert = "INSERT INTO once VALUES ($1)";
    work.execute(insert, &[&"canary"]).await.unwrap();
    let error = work.execute(insert, &[&"canary"]).await.unwrap_err();
    assert!(!told(&error).contains("canary"), "{}", told(&error));
    let vote = shop.prepare(id(1)).await.unwrap();
    assert!(
        is_no(&vote) && !format!("{vote:?}").contains("canary"),
        "{vote:?}"
    );
    let mut work = shop.work(id(2)).await.unwrap();
    let insert = "INSERT INTO late VALUES ($1)";
    work.execute(insert, &[&"canary"]).await.unwrap();
    work.execute(insert, &[&"canary"]).await.unwrap();
    let vote = shop.prepare(id(2)).await.unwrap();
    assert!(
        is_no(&vote) && !format!("{vote:?}").contains("canary"),
        "{vote:?}"
    );
    let Vote::No(why) = vote else { panic!() };
    assert!(why.contains("23505"), "{why}");
    let coordinator = coordinator(&shop).await;
    let mut transaction = coordinator.begin().await.unwrap();
    let mut work = transaction.enlist(&shop).await.unwrap();
    work.execute(insert, &[&"canary"]).await.unwrap();
    work.execute(insert, &[&"canary"]).await.unwrap();
    let id = transaction.id().to_string();
    let outcome = transaction.commit().await;
    ear.hears(&id).await;
    assert!(!outcome.is_committed(), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("canary"), "{outcome:?}");
    let heard = &ear.heard().values;
    assert!(!heard.contains("canary"), "{heard}");
}

#[tokio::test]
async fn a_participant_is_reached_by_tls() {
    let certificates = Certificates::new();
    let server = PostgresServer::start_with_tls(&certificates);
    let required = format!("{}?sslmode=require", server.url());
    let error = PostgresParticipant::connect("shop", required).await;
    let error = error.unwrap_err();
    assert!(matches!(error, ParticipantOpenError::Unfit(_)), "{error:?}");
    let authority = std::fs::read(certificates.authority()).unwrap();
    let tls = Tls::new().with_roots(authority);
    let migrate = PostgresParticipant::migrate(server.url()).tls(tls.clone());
    migrate.await.unwrap();
    let connect = PostgresParticipant::connect("shop", server.url()).tls(tls);
    let shop = connect.await.unwrap();
    let _work = shop.work(id(1)).await.unwrap();
    assert_eq!(shop.commit_one_phase(id(1)).await.unwrap(), COMMITTED);
}
