//! Coordinators that were opened again, and what is forgotten.

use tripod::transaction::participant::{
    Enlist, Opening, Participant, ParticipantOpenError, Report, StaleLog, Vote,
};

use super::{ABORTED, COMMITTED, Scene, epoch, no, run};

#[tokio::test]
async fn a_stale_log_is_refused() {
    let scene = Scene::new().await;
    let stale = async |opening: Opening| match scene.shop.open(opening).await {
        Err(ParticipantOpenError::Stale(stale)) => stale,
        other => panic!("{other:?}"),
    };
    // The same opening may say so again.
    scene.shop.open(scene.opening(1)).await.unwrap();
    let copy = Opening::new(scene.coordinator, epoch(1), u128::MAX);
    let refused = StaleLog::new(scene.coordinator, epoch(1), epoch(1));
    assert_eq!(stale(copy).await, refused);
    let last = u64::MAX;
    scene.shop.open(scene.opening(last)).await.unwrap();
    assert_eq!(stale(scene.opening(last - 1)).await.seen, epoch(last));
    assert_eq!(stale(scene.opening(1)).await.seen, epoch(last));
    scene.shop.open(scene.opening(last)).await.unwrap();
    // Others' are others'.
    let other = Scene::new().await;
    other.shop.open(other.opening(2)).await.unwrap();
}

#[tokio::test]
async fn of_two_copies_that_open_at_once_one_is_stale() {
    let scene = Scene::new().await;
    let copies = [1, 2].map(|nonce| Opening::new(scene.coordinator, epoch(2), nonce));
    let other = scene.other().await;
    let (one, two) = tokio::join!(scene.shop.open(copies[0]), other.open(copies[1]));
    let opened = [one.is_ok(), two.is_ok()];
    assert!(
        opened == [true, false] || opened == [false, true],
        "{opened:?}"
    );
}

#[tokio::test]
async fn an_earlier_epoch_commits_nothing_in_one_phase() {
    let scene = Scene::new().await;
    let (works, prepared) = (scene.branch(1), scene.prepared(2).await);
    let other = Scene::new().await;
    let _work = other.pays(works).await;
    other.shop.open(scene.opening(2)).await.unwrap();
    assert_eq!(other.shop.commit_one_phase(works).await.unwrap(), ABORTED);
    assert_eq!(
        scene.shop.commit_one_phase(prepared).await.unwrap(),
        ABORTED
    );
    assert_eq!((scene.balance(), other.balance()), (0, 0));
    let late = scene.branch(3);
    assert_eq!(
        scene.shop.commit_one_phase(late).await.unwrap(),
        Report::Missing
    );
    // Its own epoch may.
    let next = scene.branch_of(2, 1);
    scene.pays(next).await;
    assert_eq!(scene.shop.commit_one_phase(next).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn a_prepared_branch_is_committed_in_one_phase_too() {
    let scene = Scene::new().await;
    let branch = scene.prepared(1).await;
    assert_eq!(
        scene.shop.commit_one_phase(branch).await.unwrap(),
        COMMITTED
    );
    assert_eq!(scene.balance(), 1);
}

/// The successor waits for a one-phase commit that is under way, and no other comes after it.
#[tokio::test]
async fn opening_and_one_phase_commits_do_not_cross() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let _work = scene.pays(branch).await;
    let mut raw = scene.raw().await;
    // What a one-phase commit does first.
    run(&mut raw, "START TRANSACTION").await;
    let held = format!(
        "DO (SELECT epoch FROM tripod.participant_fence WHERE coordinator = X'{}'
        LOCK IN SHARE MODE)",
        scene.coordinator
    );
    run(&mut raw, &held).await;
    // It does not come through, and says that it cannot tell.
    let error = scene.shop.open(scene.opening(2)).await.unwrap_err();
    assert!(
        matches!(error, ParticipantOpenError::Unknown(_)),
        "{error:?}"
    );
    run(&mut raw, "COMMIT").await;
    scene.shop.open(scene.opening(2)).await.unwrap();
    assert_eq!(scene.shop.commit_one_phase(branch).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn what_is_forgotten_is_over_for_ever() {
    let scene = Scene::new().await;
    let committed = scene.prepared(1).await;
    scene.shop.commit(committed).await.unwrap();
    let aborted = scene.branch(2);
    scene.shop.abort(aborted).await.unwrap();
    let kept = scene.branch(3);
    scene.shop.abort(kept).await.unwrap();
    let prepared = scene.prepared(0).await;
    let mark = (epoch(1), 3);
    for _ in 0..2 {
        scene.shop.forget(scene.coordinator, mark).await.unwrap();
        assert_eq!(scene.rows(), 1);
    }
    // Never lowered.
    let lower = (epoch(1), 1);
    scene.shop.forget(scene.coordinator, lower).await.unwrap();
    for over in [committed, aborted] {
        assert_eq!(scene.shop.commit(over).await.unwrap(), COMMITTED);
        assert_eq!(scene.shop.settle(over).await.unwrap(), Report::Unknown);
        assert_eq!(scene.shop.abort(over).await.unwrap(), ABORTED);
        assert!(no(&scene.shop.prepare(over).await.unwrap()));
        assert_eq!(
            scene.shop.commit_one_phase(over).await.unwrap(),
            Report::Missing
        );
    }
    assert_eq!(scene.shop.settle(kept).await.unwrap(), ABORTED);
    assert_eq!(scene.rows(), 1, "no tombstone below the watermark");
    // Prepared branches stand.
    assert_eq!(scene.prepared_branches().await, [prepared]);
    assert_eq!(scene.shop.settle(prepared).await.unwrap(), Report::Prepared);
    assert_eq!(scene.shop.prepare(prepared).await.unwrap(), Vote::Prepared);
    assert_eq!(scene.shop.commit(prepared).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 2);
}

#[tokio::test]
async fn thousands_are_forgotten_and_nobody_elses() {
    let scene = Scene::new().await;
    let other = Scene::new().await;
    other.shop.abort(other.branch(1)).await.unwrap();
    let prepared = scene.prepared(1700).await;
    scene.server.query(&format!(
        "INSERT INTO tripod.participant_outcome
        SELECT X'{}', 1, seq, 0, 1 FROM seq_0_to_4999 WHERE seq <> 1700",
        scene.coordinator
    ));
    let mark = (epoch(1), 4000);
    scene.shop.forget(scene.coordinator, mark).await.unwrap();
    assert_eq!((scene.rows(), other.rows()), (1000, 1));
    let mark = (epoch(2), 0);
    scene.shop.forget(scene.coordinator, mark).await.unwrap();
    assert_eq!((scene.rows(), other.rows()), (0, 1));
    assert_eq!(scene.shop.commit(prepared).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn who_was_never_opened_forgets_nothing() {
    let scene = Scene::new().await;
    let never = super::coordinator();
    scene.shop.forget(never, (epoch(1), 9)).await.unwrap();
    let id = tripod::transaction::TransactionId::new(never, epoch(1), 1);
    let branch = tripod::transaction::BranchId::new(id, 0);
    scene.shop.work(branch).await.unwrap();
    assert_eq!(
        scene.shop.commit_one_phase(branch).await.unwrap(),
        COMMITTED
    );
}
