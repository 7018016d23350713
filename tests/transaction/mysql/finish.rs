//! Tombstones, against writers that are under way.

use std::time::Duration;

use tripod::transaction::participant::{Participant, ParticipantError, Report};

use super::{ABORTED, COMMITTED, Scene, fails, no, run, xid};

#[tokio::test]
async fn a_tombstone_keeps_a_later_writer_out() {
    let scene = Scene::new().await;
    let other = scene.other().await;
    for (sequence, settles) in [(1, true), (2, false)] {
        let branch = scene.branch(sequence);
        scene.pays(branch).await;
        // Asked of somebody who does not have the branch, as a successor is.
        let report = if settles {
            other.settle(branch).await
        } else {
            other.abort(branch).await
        };
        assert_eq!(report.unwrap(), ABORTED);
        assert!(no(&scene.shop.prepare(branch).await.unwrap()));
        assert_eq!(scene.shop.settle(branch).await.unwrap(), ABORTED);
    }
    let branch = scene.branch(3);
    scene.pays(branch).await;
    assert_eq!(other.settle(branch).await.unwrap(), ABORTED);
    assert_eq!(scene.shop.commit_one_phase(branch).await.unwrap(), ABORTED);
    assert_eq!(scene.balance(), 0);
}

#[tokio::test]
async fn a_tombstone_waits_for_a_writer_and_loses_to_it() {
    let scene = Scene::new().await;
    for ends in ["XA COMMIT @ ONE PHASE", "XA PREPARE @", "XA ROLLBACK @"] {
        let branch = scene.branch(u64::try_from(ends.len()).unwrap());
        let mut writer = scene.raw().await;
        for sql in [
            "XA START @".into(),
            scene.marking(branch),
            "XA END @".into(),
        ] {
            run(&mut writer, &sql.replace('@', &xid(branch))).await;
        }
        let (report, ()) = tokio::join!(scene.shop.settle(branch), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            run(&mut writer, &ends.replace('@', &xid(branch))).await;
        });
        let report = report.unwrap();
        match ends {
            "XA COMMIT @ ONE PHASE" => assert_eq!(report, COMMITTED),
            "XA ROLLBACK @" => assert_eq!(report, ABORTED),
            _ => {
                assert_eq!(report, Report::Prepared);
                writer.disconnect().await.unwrap();
                assert_eq!(scene.shop.abort(branch).await.unwrap(), ABORTED);
            }
        }
        // Whoever lost is out.
        let mut late = scene.raw().await;
        assert_eq!(fails(&mut late, &scene.marking(branch)).await, 1062);
    }
}

/// It neither commits nor rolls back for as long as we wait.
#[tokio::test]
async fn a_writer_that_does_not_end_leaves_it_unknown() {
    let scene = Scene::new().await;
    let limit = Duration::from_millis(1500);
    let hurried = super::connecting(&scene.server)
        .answer_limit(limit)
        .await
        .unwrap();
    let branch = scene.branch(1);
    let mut writer = scene.raw().await;
    for sql in [format!("XA START {}", xid(branch)), scene.marking(branch)] {
        run(&mut writer, &sql).await;
    }
    for request in [hurried.settle(branch), hurried.abort(branch)] {
        let error = request.await.unwrap_err();
        assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    }
    let error = hurried.prepare(branch).await.unwrap_err();
    assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    assert_eq!(hurried.commit(branch).await.unwrap(), Report::Missing);
    writer.disconnect().await.unwrap();
    assert_eq!(scene.shop.settle(branch).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn a_branch_is_ended_on_the_connection_on_which_it_was_prepared() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for (sequence, report) in [(1, COMMITTED), (2, ABORTED)] {
        let branch = scene.prepared(sequence).await;
        // Nobody else can: it is its connection's.
        let end = format!("XA COMMIT {}", xid(branch));
        let stranger = mysql_async::prelude::Queryable::query_drop(&mut raw, &end).await;
        assert!(stranger.is_err());
        let ended = if report == COMMITTED {
            scene.shop.commit(branch).await
        } else {
            scene.shop.abort(branch).await
        };
        assert_eq!(ended.unwrap(), report);
        assert!(scene.prepared_branches().await.is_empty());
    }
    assert_eq!(scene.balance(), 1);
}

#[tokio::test]
async fn an_administrator_who_ends_a_branch_is_found_out() {
    let mut scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for (sequence, commits) in [(1, true), (2, false)] {
        let branch = scene.prepared(sequence).await;
        scene.shop = scene.other().await;
        let end = if commits { "COMMIT" } else { "ROLLBACK" };
        let end = format!("XA {end} {}", xid(branch));
        // The owner needs a moment to be gone.
        for _ in 0..500 {
            if scene.prepared_branches().await.is_empty() {
                break;
            }
            let _ = mysql_async::prelude::Queryable::query_drop(&mut raw, &end).await;
        }
        let (first, proven) = if commits {
            (COMMITTED, COMMITTED)
        } else {
            (Report::Missing, ABORTED)
        };
        assert_eq!(scene.shop.commit(branch).await.unwrap(), first);
        assert_eq!(scene.shop.settle(branch).await.unwrap(), proven);
        assert_eq!(scene.shop.commit(branch).await.unwrap(), proven);
    }
    assert_eq!(scene.balance(), 1);
}

#[tokio::test]
async fn a_successor_finds_what_its_predecessor_prepared() {
    let mut scene = Scene::new().await;
    let prepared = [scene.prepared(1).await, scene.prepared_idle(2).await];
    // Its connections go with it.
    scene.shop = scene.other().await;
    let other = scene.other().await;
    other.open(scene.opening(2)).await.unwrap();
    let mut found = other
        .in_doubt(scene.coordinator, super::epoch(2))
        .await
        .unwrap();
    found.sort();
    assert_eq!(found, prepared);
    let none = other
        .in_doubt(scene.coordinator, super::epoch(1))
        .await
        .unwrap();
    assert_eq!(none, []);
    assert_eq!(other.abort(prepared[0]).await.unwrap(), ABORTED);
    assert_eq!(other.commit(prepared[1]).await.unwrap(), COMMITTED);
    // The predecessor learns it.
    assert_eq!(scene.shop.commit(prepared[0]).await.unwrap(), ABORTED);
    assert!(no(&scene.shop.prepare(prepared[0]).await.unwrap()));
}
