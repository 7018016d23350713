//! Work, votes, and what user code does to its branch.

use std::error::Error;
use std::task::{Context, Waker};

use tripod::transaction::participant::{
    Enlist, Participant, ParticipantError, Report, Settled, Vote,
};

use super::{ABORTED, COMMITTED, Scene, no};

#[tokio::test]
async fn a_branch_commits_in_two_phases_or_in_one_or_aborts() {
    let scene = Scene::new().await;
    let two = scene.prepared(1).await;
    assert_eq!(scene.balance(), 0);
    assert_eq!(scene.prepared_branches().await, [two]);
    assert_eq!(scene.shop.commit(two).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 1);
    let one = scene.branch(2);
    scene.pays(one).await;
    assert_eq!(scene.shop.commit_one_phase(one).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 2);
    let works = scene.branch(3);
    scene.pays(works).await;
    assert_eq!(scene.shop.abort(works).await.unwrap(), ABORTED);
    let prepared = scene.prepared(4).await;
    assert_eq!(scene.shop.abort(prepared).await.unwrap(), ABORTED);
    assert_eq!(scene.balance(), 2);
    assert_eq!(scene.rows(), 4);
    assert!(scene.prepared_branches().await.is_empty());
}

#[tokio::test]
async fn every_request_may_come_again() {
    let scene = Scene::new().await;
    let branch = scene.prepared(1).await;
    for _ in 0..2 {
        assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
    }
    for _ in 0..2 {
        assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
        assert_eq!(
            scene.shop.commit_one_phase(branch).await.unwrap(),
            COMMITTED
        );
        assert_eq!(scene.shop.abort(branch).await.unwrap(), COMMITTED);
        assert_eq!(scene.shop.settle(branch).await.unwrap(), COMMITTED);
        assert!(no(&scene.shop.prepare(branch).await.unwrap()));
    }
    let never = scene.branch(2);
    assert!(no(&scene.shop.prepare(never).await.unwrap()));
    assert_eq!(scene.rows(), 1);
    assert_eq!(scene.balance(), 1);
}

#[tokio::test]
async fn twice_at_once_is_as_good_as_once() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    scene.pays(branch).await;
    let (one, two) = tokio::join!(scene.shop.prepare(branch), scene.shop.prepare(branch));
    assert_eq!(
        (one.unwrap(), two.unwrap()),
        (Vote::Prepared, Vote::Prepared)
    );
    let (one, two) = tokio::join!(scene.shop.commit(branch), scene.shop.commit(branch));
    assert_eq!((one.unwrap(), two.unwrap()), (COMMITTED, COMMITTED));
    let branch = scene.branch(2);
    scene.pays(branch).await;
    let twice = tokio::join!(
        scene.shop.commit_one_phase(branch),
        scene.shop.commit_one_phase(branch)
    );
    assert_eq!((twice.0.unwrap(), twice.1.unwrap()), (COMMITTED, COMMITTED));
    assert_eq!(scene.balance(), 2);
}

#[tokio::test]
async fn a_branch_reads_rows_and_counts_them() {
    let scene = Scene::new().await;
    let mut work = scene.pays(scene.branch(1)).await;
    let sql = "SELECT id, balance FROM account WHERE id = ?";
    let rows: Vec<(u64, i64)> = work.query(sql, (scene.account,)).await.unwrap();
    assert_eq!(rows, [(scene.account, 1)]);
    let row: Option<(u64, i64)> = work.query_first(sql, (0,)).await.unwrap();
    assert_eq!(row, None);
    // None of this panics, and the branch works on.
    work.query::<(u64,)>(sql, (scene.account,))
        .await
        .unwrap_err();
    work.query::<(u64, u8, u8)>(sql, (scene.account,))
        .await
        .unwrap_err();
    let error = work.execute("SELEKT 1", ()).await.unwrap_err();
    assert_eq!(error.code(), Some(1064));
    assert!(!error.is_of_the_branch());
    let create = "CREATE TEMPORARY TABLE drawn (id INT AUTO_INCREMENT PRIMARY KEY)";
    work.execute(create, ()).await.unwrap();
    work.execute("INSERT INTO drawn VALUES ()", ())
        .await
        .unwrap();
    assert_eq!(work.last_insert_id(), Some(1));
    let done = scene.shop.commit_one_phase(scene.branch(1)).await;
    assert_eq!(done.unwrap(), COMMITTED);
    // The client closes its connection.
    let mut work = scene.pays(scene.branch(2)).await;
    let error = work.query::<(u64, u64)>(sql, ()).await.unwrap_err();
    assert!(error.is_of_the_branch(), "{error:?}");
    assert!(no(&scene.shop.prepare(scene.branch(2)).await.unwrap()));
}

#[tokio::test]
async fn the_handle_ends_with_its_branch() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut work = scene.pays(branch).await;
    assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
    let error = work.execute("SELECT 1", ()).await.unwrap_err();
    assert!(error.is_of_the_branch());
    assert_eq!(scene.shop.abort(branch).await.unwrap(), ABORTED);
    let branch = scene.branch(2);
    let mut work = scene.pays(branch).await;
    assert_eq!(
        scene.shop.commit_one_phase(branch).await.unwrap(),
        COMMITTED
    );
    work.execute("SELECT 1", ()).await.unwrap_err();
}

#[tokio::test]
async fn a_settled_branch_is_not_begun_again() {
    let scene = Scene::new().await;
    let [committed, aborted] = [scene.prepared(1).await, scene.prepared_idle(2).await];
    let refused = async |branch| {
        let error = scene.shop.work(branch).await.unwrap_err();
        let ParticipantError::Refused(why) = &error else {
            panic!("{error:?}");
        };
        assert!(why.is::<Settled>(), "{why:?}");
    };
    refused(committed).await;
    scene.shop.commit(committed).await.unwrap();
    scene.shop.abort(aborted).await.unwrap();
    refused(committed).await;
    refused(aborted).await;
    let works = scene.branch(3);
    let _work = scene.pays(works).await;
    refused(works).await;
    let mark = (super::epoch(2), 0);
    scene.shop.forget(scene.coordinator, mark).await.unwrap();
    refused(scene.branch(9)).await;
}

#[tokio::test]
async fn what_would_end_the_branch_is_refused() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut work = scene.pays(branch).await;
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "SET autocommit = 1",
        "CREATE TABLE never (id INT)",
        "TRUNCATE account",
        "LOCK TABLES account WRITE",
        "FLUSH TABLES",
    ] {
        let error = work.execute(sql, ()).await.unwrap_err();
        assert!(!error.is_of_the_branch(), "{sql}: {error:?}");
    }
    assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 1);
}

/// User code that knows the branch's name can end it. It votes no, nothing of what follows is
/// committed, and no row says that it was.
#[tokio::test]
async fn a_branch_that_user_code_ended_votes_no() {
    let scene = Scene::new().await;
    let other = "XA START 'another'";
    let spend = "UPDATE account SET balance = balance + 100 WHERE id = ?";
    for (sequence, ends) in (1..).zip([
        &["XA END @"][..],
        &["XA END @", "XA ROLLBACK @"],
        &["XA END @", "XA ROLLBACK @", spend],
        &["XA END @", "XA ROLLBACK @", "SET autocommit = 1"],
        &["XA END @", "XA ROLLBACK @", other, spend],
    ]) {
        for one_phase in [false, true] {
            let branch = scene.branch(sequence * 2 + u64::from(one_phase));
            let mut work = scene.pays(branch).await;
            for &sql in ends {
                let sql = sql.replace('@', &super::xid(branch));
                let done = if sql == spend {
                    work.execute(&sql, (scene.account,)).await
                } else {
                    work.execute(&sql, ()).await
                };
                assert!(done.is_ok(), "{sql}: {done:?}");
            }
            if one_phase {
                let report = scene.shop.commit_one_phase(branch).await;
                assert_eq!(report.unwrap(), ABORTED, "{ends:?}");
            } else {
                assert!(no(&scene.shop.prepare(branch).await.unwrap()), "{ends:?}");
            }
            assert_eq!(
                scene.shop.settle(branch).await.unwrap(),
                ABORTED,
                "{ends:?}"
            );
            assert_eq!(scene.balance(), 0, "{ends:?}");
        }
    }
}

#[tokio::test]
async fn a_deadlock_is_a_no() {
    let scene = Scene::new().await;
    let other = Scene::new().await;
    let (one, two) = (scene.branch(1), other.branch(1));
    let (mut first, mut second) = (scene.pays(one).await, other.pays(two).await);
    let sql = "UPDATE account SET balance = balance + 1 WHERE id = ?";
    let crossed = tokio::join!(
        first.execute(sql, (other.account,)),
        second.execute(sql, (scene.account,))
    );
    let (loser, winner) = match crossed {
        (Err(error), Ok(1)) => {
            assert_eq!(error.code(), Some(1213));
            (one, two)
        }
        (Ok(1), Err(error)) => {
            assert_eq!(error.code(), Some(1213));
            (two, one)
        }
        crossed => panic!("{crossed:?}"),
    };
    assert!(no(&scene_of(&scene, &other, loser)
        .shop
        .prepare(loser)
        .await
        .unwrap()));
    let shop = &scene_of(&scene, &other, winner).shop;
    assert_eq!(shop.prepare(winner).await.unwrap(), Vote::Prepared);
    assert_eq!(shop.commit(winner).await.unwrap(), COMMITTED);
    assert_eq!((scene.balance(), other.balance()), (1, 1));
}

fn scene_of<'a>(
    one: &'a Scene,
    two: &'a Scene,
    branch: tripod::transaction::BranchId,
) -> &'a Scene {
    if branch.transaction().coordinator() == one.coordinator {
        one
    } else {
        two
    }
}

#[tokio::test]
async fn a_dropped_statement_loses_its_branch() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut work = scene.pays(branch).await;
    let dropped = async {
        tokio::select! {
            biased;
            done = work.execute("DO SLEEP(1)", ()) => panic!("{done:?}"),
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => {}
        }
    };
    dropped.await;
    let error = work.execute("SELECT 1", ()).await.unwrap_err();
    assert!(error.is_of_the_branch(), "{error:?}");
    assert!(no(&scene.shop.prepare(branch).await.unwrap()));
    assert_eq!(scene.shop.settle(branch).await.unwrap(), ABORTED);
    assert_eq!(scene.balance(), 0);
}

/// Dropped after any of its steps, a request leaves a branch that is all or nothing, and says which
/// when it is asked again.
#[tokio::test]
async fn requests_may_be_dropped_at_any_await() {
    let scene = Scene::new().await;
    let mut sequence = 0;
    for after in 0..60 {
        for commits in [false, true] {
            sequence += 1;
            let branch = scene.branch(sequence);
            scene.pays(branch).await;
            if commits {
                assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
            }
            let before = scene.balance();
            let request: tripod::BoxFuture<'_, ()> = if commits {
                let commit = scene.shop.commit(branch);
                Box::pin(async { drop(commit.await) })
            } else {
                let commit = scene.shop.commit_one_phase(branch);
                Box::pin(async { drop(commit.await) })
            };
            let _ = polled(request, after).await;
            let report = scene.shop.settle(branch).await.unwrap();
            let report = if report == Report::Prepared {
                assert!(commits);
                scene.shop.commit(branch).await.unwrap()
            } else {
                report
            };
            let committed = report == COMMITTED;
            assert!(committed || report == ABORTED, "{report:?}");
            assert_eq!(scene.balance(), before + u64::from(committed), "{after}");
            assert!(scene.prepared_branches().await.is_empty());
        }
    }
}

/// Polls a request so many times, each when there is something to do, and drops it.
async fn polled(mut request: tripod::BoxFuture<'_, ()>, times: u32) -> bool {
    for _ in 0..times {
        let mut once = true;
        let done = std::future::poll_fn(|context: &mut Context<'_>| {
            let polled = request.as_mut().poll(context);
            if polled.is_ready() {
                return std::task::Poll::Ready(true);
            }
            if std::mem::take(&mut once) {
                return std::task::Poll::Pending;
            }
            std::task::Poll::Ready(false)
        });
        if done.await {
            return true;
        }
    }
    // Waits for nothing: what is polled here is told to nobody.
    let mut context = Context::from_waker(Waker::noop());
    request.as_mut().poll(&mut context).is_ready()
}

#[tokio::test]
async fn a_request_that_is_late_says_that_nothing_is_known() {
    let mut scene = Scene::on(std::sync::Arc::new(
        crate::server::mariadb::MariadbServer::start(),
    ))
    .await;
    let connecting = super::connecting(&scene.server);
    let limit = std::time::Duration::from_millis(1500);
    scene.shop = connecting.answer_limit(limit).await.unwrap();
    let branch = scene.prepared(1).await;
    scene.server.signal("STOP");
    let error = scene.shop.commit(branch).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "no answer in time");
    scene.server.signal("CONT");
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 1);
}
