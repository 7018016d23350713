//! Servers that crash, that will not do, and whom they let in.

use std::sync::Arc;
use std::time::Duration;

use tripod::transaction::log::MemoryLog;
use tripod::transaction::participant::{
    Enlist, MysqlParticipant, MysqlUnfit, Participant, ParticipantError, ParticipantOpenError, Tls,
    Vote,
};
use tripod::transaction::two_phase::Coordinator;

use super::{ABORTED, COMMITTED, Scene, no};
use crate::server::certificates::Certificates;
use crate::server::mariadb::MariadbServer;
use crate::told::{Ear, told};

#[tokio::test]
async fn what_is_prepared_survives_a_killed_server() {
    let server = Arc::new(MariadbServer::start());
    let mut scene = Scene::on(server).await;
    let (commits, aborts) = (scene.prepared(1).await, scene.branch(2));
    let _ = scene.shop.work(aborts).await.unwrap();
    assert_eq!(scene.shop.prepare(aborts).await.unwrap(), Vote::Prepared);
    let works = scene.branch(3);
    let mut lost = scene.shop.work(works).await.unwrap();
    let one_phase = scene.branch(4);
    let _work = scene.shop.work(one_phase).await.unwrap();
    assert_eq!(
        scene.shop.commit_one_phase(one_phase).await.unwrap(),
        COMMITTED
    );
    let server = Arc::get_mut(&mut scene.server).unwrap();
    server.kill();
    for request in [scene.shop.commit(commits), scene.shop.settle(works)] {
        let error = request.await.unwrap_err();
        assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    }
    server.restart();
    assert!(
        lost.execute("SELECT 1", ())
            .await
            .unwrap_err()
            .is_of_the_branch()
    );
    assert!(no(&scene.shop.prepare(works).await.unwrap()));
    assert_eq!(scene.shop.settle(one_phase).await.unwrap(), COMMITTED);
    let mut found = scene.prepared_branches().await;
    found.sort();
    assert_eq!(found, [commits, aborts]);
    assert_eq!(scene.shop.commit(commits).await.unwrap(), COMMITTED);
    assert_eq!(scene.shop.abort(aborts).await.unwrap(), ABORTED);
    assert_eq!(scene.balance(), 1);
    let server = Arc::get_mut(&mut scene.server).unwrap();
    server.kill();
    server.restart();
    // On a connection that has not noticed.
    let error = scene.shop.settle(commits).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    assert_eq!(scene.shop.settle(commits).await.unwrap(), COMMITTED);
    assert_eq!(scene.shop.settle(aborts).await.unwrap(), ABORTED);
    assert_eq!(scene.balance(), 1);
}

fn why(error: ParticipantOpenError) -> MysqlUnfit {
    let ParticipantOpenError::Unfit(why) = error else {
        panic!("not unfit");
    };
    *why.downcast::<MysqlUnfit>().unwrap()
}

#[tokio::test]
async fn tables_come_from_a_migration_that_may_be_repeated() {
    let server = MariadbServer::start();
    let connect = async || super::connect(&server).await;
    assert_eq!(why(connect().await.unwrap_err()), MysqlUnfit::Missing);
    let migrate = || MysqlParticipant::migrate(server.url());
    let (one, two) = tokio::join!(migrate(), migrate());
    one.unwrap();
    two.unwrap();
    migrate().await.unwrap();
    connect().await.unwrap();
    server.query("INSERT INTO tripod.participant_migration (version) VALUES (2)");
    let newer = MysqlUnfit::Newer { found: 2, known: 1 };
    assert_eq!(why(connect().await.unwrap_err()), newer);
    assert_eq!(why(migrate().await.unwrap_err()), newer);
    server.query("DELETE FROM tripod.participant_migration");
    assert_eq!(why(connect().await.unwrap_err()), MysqlUnfit::Missing);
    // As after a migration that was cut short.
    migrate().await.unwrap();
    connect().await.unwrap();
    // In another database.
    let elsewhere = MysqlParticipant::migrate(server.url()).database("else_where");
    elsewhere.await.unwrap();
    server.query("DROP DATABASE tripod");
    assert_eq!(why(connect().await.unwrap_err()), MysqlUnfit::Missing);
    let elsewhere = MysqlParticipant::connect("shop", server.url()).database("else_where");
    elsewhere.await.unwrap();
    let odd = MysqlParticipant::connect("shop", server.url())
        .database("a`b")
        .await;
    assert_eq!(why(odd.unwrap_err()), MysqlUnfit::Database);
    let odd = MysqlParticipant::migrate(server.url()).database("").await;
    assert_eq!(why(odd.unwrap_err()), MysqlUnfit::Database);
}

#[tokio::test]
async fn a_server_that_may_lose_votes_is_refused() {
    let server = MariadbServer::start();
    MysqlParticipant::migrate(server.url()).await.unwrap();
    let shop = super::connect(&server).await.unwrap();
    server.query("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
    let unfit = MysqlUnfit::Flush("2".into());
    assert_eq!(why(super::connect(&server).await.unwrap_err()), unfit);
    let opening = super::Opening::new(super::coordinator(), super::epoch(1), 1);
    assert_eq!(why(shop.open(opening).await.unwrap_err()), unfit);
    drop(server);
    let settings = ["--log-bin", "--server-id=1", "--binlog-format=STATEMENT"];
    let server = MariadbServer::start_with(&settings);
    let migrated = MysqlParticipant::migrate(server.url()).await;
    assert_eq!(why(migrated.unwrap_err()), MysqlUnfit::Binlog);
}

#[tokio::test]
async fn it_works_with_a_binary_log() {
    let settings = ["--log-bin", "--server-id=1", "--binlog-format=MIXED"];
    let scene = Scene::on(Arc::new(MariadbServer::start_with(&settings))).await;
    let branch = scene.prepared(1).await;
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    let branch = scene.branch(2);
    scene.pays(branch).await;
    assert_eq!(
        scene.shop.commit_one_phase(branch).await.unwrap(),
        COMMITTED
    );
    scene.shop.abort(scene.branch(3)).await.unwrap();
    let mark = (super::epoch(2), 0);
    scene.shop.forget(scene.coordinator, mark).await.unwrap();
    assert_eq!((scene.balance(), scene.rows()), (2, 0));
}

/// All that the docs list, and no more.
#[tokio::test]
async fn the_privileges_that_are_listed_suffice_and_each_is_needed() {
    let scene = Scene::on(Arc::new(MariadbServer::start())).await;
    let server = &scene.server;
    server.query("CREATE USER billing IDENTIFIED BY 'word'");
    server.query("GRANT SELECT, UPDATE ON test.account TO billing");
    let rights = [
        ("SELECT", "migration"),
        ("SELECT", "outcome"),
        ("INSERT", "outcome"),
        ("DELETE", "outcome"),
        ("SELECT", "fence"),
        ("INSERT", "fence"),
        ("UPDATE", "fence"),
    ];
    for (right, table) in rights {
        server.query(&format!(
            "GRANT {right} ON tripod.participant_{table} TO billing"
        ));
    }
    let connect = async || {
        let url = server.url_of_user("billing", "word");
        MysqlParticipant::connect("shop", url).await
    };
    let shop = connect().await.unwrap();
    let others = Scene {
        server: Arc::clone(server),
        shop,
        coordinator: super::coordinator(),
        account: scene.account,
    };
    others.shop.open(others.opening(1)).await.unwrap();
    let branch = others.prepared(1).await;
    assert_eq!(others.prepared_branches().await, [branch]);
    assert_eq!(others.shop.commit(branch).await.unwrap(), COMMITTED);
    let branch = others.prepared(2).await;
    assert_eq!(others.shop.abort(branch).await.unwrap(), ABORTED);
    let branch = others.branch(3);
    others.pays(branch).await;
    assert_eq!(
        others.shop.commit_one_phase(branch).await.unwrap(),
        COMMITTED
    );
    let never = others.branch(4);
    assert_eq!(others.shop.settle(never).await.unwrap(), ABORTED);
    let mark = (super::epoch(2), 0);
    others.shop.forget(others.coordinator, mark).await.unwrap();
    assert_eq!(others.rows(), 0);
    for (right, table) in rights {
        let on = format!("{right} ON tripod.participant_{table}");
        server.query(&format!("REVOKE {on} FROM billing"));
        let opened = async {
            let opening = super::Opening::new(super::coordinator(), super::epoch(1), 1);
            connect().await?.open(opening).await
        };
        let error = opened.await.unwrap_err();
        assert!(
            matches!(error, ParticipantOpenError::Unfit(_)),
            "{on} {error:?}"
        );
        server.query(&format!("GRANT {on} TO billing"));
    }
}

#[tokio::test]
async fn passwords_and_parameters_are_told_to_nobody() {
    let scene = Scene::on(Arc::new(MariadbServer::start())).await;
    scene
        .server
        .query("CREATE USER teller IDENTIFIED BY 'canary-right'");
    scene.server.query("GRANT ALL ON *.* TO teller");
    let ear = Ear::of_this_thread();
    let right = scene.server.url_of_user("teller", "canary-right");
    let connecting = MysqlParticipant::connect("shop", &right);
    let migrating = MysqlParticipant::migrate(&right);
    assert!(!format!("{connecting:?} {migrating:?}").contains("canary"));
    let shop = connecting.await.unwrap();
    let branch = scene.branch(1);
    let mut work = shop.work(branch).await.unwrap();
    assert!(!format!("{shop:?} {work:?}").contains("canary"));
    let bad = "INSERT INTO account VALUES (?, ?)";
    let error = work
        .execute(bad, (scene.account, "canary"))
        .await
        .unwrap_err();
    assert!(error.message().is_some());
    assert!(!told(&error).contains("canary"), "{error:?}");
    let bad = "SELECT ? FROM account";
    let error = work.query::<(u64,)>(bad, ("canary",)).await.unwrap_err();
    assert!(!told(&error).contains("canary"), "{error:?}");
    let bad = "SELECT :one FROM account";
    let named = vec![("canary", "canary")];
    let error = work.query::<(u64,)>(bad, named).await.unwrap_err();
    assert!(!told(&error).contains("canary"), "{error:?}");
    shop.abort(branch).await.unwrap();
    for url in [
        scene.server.url_of_user("teller", "canary-wrong"),
        scene.server.url_of_user("canary", "canary"),
        format!("{right}?canary=canary"),
        format!("{right}?pool_min=canary"),
        format!("{right}?compression=canary"),
        "canary://canary:canary@canary/".into(),
        "canary".into(),
        "mysql://canary:canary@:canary/".into(),
    ] {
        let error = MysqlParticipant::connect("shop", &url).await.unwrap_err();
        assert!(
            matches!(error, ParticipantOpenError::Unfit(_)),
            "{url} {error:?}"
        );
        assert!(!told(&error).contains("canary"), "{url} {error:?}");
    }
    let nobody = "mysql://teller:canary@127.0.0.1:1/a";
    let error = MysqlParticipant::connect("shop", nobody).await.unwrap_err();
    assert!(
        matches!(error, ParticipantOpenError::Unknown(_)),
        "{error:?}"
    );
    assert!(!told(&error).contains("canary"), "{error:?}");
    let opening = Coordinator::open(MemoryLog::new()).allow_volatile_log();
    let opening = opening.scan_interval(Duration::from_millis(50));
    let _coordinator = opening.participant(shop).await.unwrap();
    ear.hears("coordinator opened").await;
    // It connects anew, in vain.
    let other = "ALTER USER teller IDENTIFIED BY 'canary-other'; KILL USER teller";
    scene.server.query(other);
    ear.hears("participant not looked after").await;
    let heard = &ear.heard().values;
    assert!(!heard.contains("canary"), "{heard}");
}

#[tokio::test]
async fn tls_is_spoken_with_whom_it_trusts() {
    let certificates = Certificates::new();
    let server = MariadbServer::start_with_tls(&certificates);
    server.query("CREATE USER secure REQUIRE X509");
    server.query("GRANT ALL ON *.* TO secure");
    let authority = std::fs::read(certificates.authority()).unwrap();
    let trusting = Tls::new().with_roots(authority);
    let chain = std::fs::read(certificates.certificate()).unwrap();
    let key = std::fs::read(certificates.key()).unwrap();
    let tls = trusting.clone().with_identity(chain, key);
    let url = server.url_of_user("secure", "");
    MysqlParticipant::migrate(&url)
        .tls(tls.clone())
        .await
        .unwrap();
    let connect = |tls: Tls| MysqlParticipant::connect("shop", &url).tls(tls);
    let shop = connect(tls).await.unwrap();
    let opening = super::Opening::new(super::coordinator(), super::epoch(1), 1);
    shop.open(opening).await.unwrap();
    for tls in [
        // It shows no certificate.
        trusting,
        // The system does not trust an authority that was made a second ago.
        Tls::new(),
        Tls::new().with_roots("no certificate"),
    ] {
        let error = connect(tls).await.unwrap_err();
        assert!(matches!(error, ParticipantOpenError::Unfit(_)), "{error:?}");
    }
}

#[test]
fn handles_may_go_anywhere() {
    fn anywhere<T: Clone + Send + Sync + 'static>() {}
    fn moves<T: Send + 'static>() {}
    anywhere::<MysqlParticipant>();
    moves::<tripod::transaction::participant::MysqlBranch>();
}
