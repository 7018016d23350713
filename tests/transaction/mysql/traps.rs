//! What the server does that nobody expects, and what is made of it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tripod::transaction::participant::{
    Enlist, MysqlParticipant, Participant, ParticipantError, Report, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use super::{ABORTED, COMMITTED, Scene, connecting, fails, no, run, xid};

const NO_SUCH_BRANCH: u16 = 1397;

#[tokio::test]
async fn not_found_is_said_of_a_branch_that_was_committed() {
    let scene = Scene::new().await;
    let branch = scene.prepared(1).await;
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    let mut raw = scene.raw().await;
    let again = format!("XA COMMIT {}", xid(branch));
    assert_eq!(fails(&mut raw, &again).await, NO_SUCH_BRANCH);
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    // Nor does it say anything of one that never was.
    let never = format!("XA COMMIT {}", xid(scene.branch(2)));
    assert_eq!(fails(&mut raw, &never).await, NO_SUCH_BRANCH);
    assert_eq!(
        scene.shop.commit(scene.branch(2)).await.unwrap(),
        Report::Missing
    );
}

#[tokio::test]
async fn not_found_is_said_of_a_branch_whose_owner_is_connected() {
    let scene = Scene::new().await;
    let limit = Duration::from_millis(1200);
    let hurried = connecting(&scene.server).answer_limit(limit).await.unwrap();
    let branch = scene.branch(1);
    let mut owner = scene.raw().await;
    prepare_raw(&scene, &mut owner, branch).await;
    let mut raw = scene.raw().await;
    let commit = format!("XA COMMIT {}", xid(branch));
    assert_eq!(fails(&mut raw, &commit).await, NO_SUCH_BRANCH);
    assert_eq!(scene.prepared_branches().await, [branch]);
    // Until the owner is gone nothing can be said.
    for request in [hurried.commit(branch), hurried.abort(branch)] {
        let error = request.await.unwrap_err();
        assert!(matches!(error, ParticipantError::Unknown(_)), "{error:?}");
    }
    assert_eq!(hurried.settle(branch).await.unwrap(), Report::Prepared);
    assert_eq!(hurried.prepare(branch).await.unwrap(), Vote::Prepared);
    // While a commit waits, the owner goes.
    let (committed, ()) = tokio::join!(scene.shop.commit(branch), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        owner.disconnect().await.unwrap();
    });
    assert_eq!(committed.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 1);
}

/// Once its connection was reset, the server says that it commits a branch, and does nothing.
#[tokio::test]
async fn a_commit_that_the_server_only_claims_is_not_reported() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut owner = scene.raw().await;
    prepare_raw(&scene, &mut owner, branch).await;
    owner.reset().await.unwrap();
    let mut other = scene.raw().await;
    run(&mut other, &format!("XA COMMIT {}", xid(branch))).await;
    assert_eq!((scene.balance(), scene.rows()), (0, 0));

    // What it holds it goes on holding.
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut owner = scene.raw().await;
    prepare_raw(&scene, &mut owner, branch).await;
    owner.reset().await.unwrap();
    let report = scene.shop.commit(branch).await;
    assert!(!matches!(report, Ok(COMMITTED)), "{report:?}");
    assert_eq!((scene.balance(), scene.rows()), (0, 0));
}

/// The outcome row makes every branch a writer.
#[tokio::test]
async fn a_branch_that_only_reads_is_committed_like_any_other() {
    let scene = Scene::new().await;
    let mut raw = scene.raw().await;
    for sql in [
        "XA START 'reads'",
        "DO (SELECT max(id) FROM account)",
        "XA END 'reads'",
    ] {
        run(&mut raw, sql).await;
    }
    run(&mut raw, "XA PREPARE 'reads'").await;
    raw.disconnect().await.unwrap();
    let mut raw = scene.raw().await;
    let mut said = NO_SUCH_BRANCH;
    // The owner needs a moment to be gone.
    for _ in 0..500 {
        said = match raw.query_drop("XA COMMIT 'reads'").await {
            Err(mysql_async::Error::Server(error)) => error.code,
            other => panic!("{other:?}"),
        };
        let listed: Vec<mysql_async::Row> = raw.query("XA RECOVER").await.unwrap();
        let reads = |row: &mysql_async::Row| row.get::<Vec<u8>, _>(3) == Some(b"reads".to_vec());
        if !listed.iter().any(reads) {
            break;
        }
    }
    assert!([1402, NO_SUCH_BRANCH].contains(&said), "{said}");

    let branch = scene.branch(1);
    let mut work = scene.shop.work(branch).await.unwrap();
    let sql = "SELECT balance FROM account WHERE id = ?";
    let read: Vec<(u64,)> = work.query(sql, (scene.account,)).await.unwrap();
    assert_eq!(read, [(0,)]);
    assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    assert_eq!(scene.rows(), 1);
}

/// Nothing is cut, folded or sorted as text: ids that differ in one bit are different.
#[tokio::test]
async fn ids_of_every_width_and_case_are_told_apart() {
    let scene = Scene::new().await;
    let widest = CoordinatorId::from_u128(u128::MAX - scene.coordinator.as_u128());
    // As text, these would be A and a, and an `a` with an accent.
    let folded = |byte: u128| CoordinatorId::from_u128(scene.coordinator.as_u128() ^ byte << 120);
    let greatest = Epoch::new(u64::MAX).unwrap();
    let id = |coordinator, epoch, sequence, number| {
        BranchId::new(TransactionId::new(coordinator, epoch, sequence), number)
    };
    let branches = [
        id(widest, greatest, u64::MAX, u16::MAX),
        id(widest, greatest, u64::MAX, u16::MAX - 1),
        id(widest, greatest, u64::MAX - 1, u16::MAX),
        id(
            widest,
            Epoch::new(u64::MAX - 1).unwrap(),
            u64::MAX,
            u16::MAX,
        ),
        id(folded(0x41), super::epoch(1), 0, 0),
        id(folded(0x61), super::epoch(1), 0, 0),
        id(folded(0xe1), super::epoch(1), 0, 0),
        id(folded(0x20), super::epoch(1), 0, 0),
    ];
    for branch in branches {
        scene.shop.work(branch).await.unwrap();
        assert_eq!(scene.shop.prepare(branch).await.unwrap(), Vote::Prepared);
    }
    let listed = scene.shop.in_doubt(widest, greatest).await.unwrap();
    assert_eq!(listed, [branches[3]]);
    for (branch, commits) in branches.into_iter().zip([true, false].into_iter().cycle()) {
        if commits {
            assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
        } else {
            assert_eq!(scene.shop.abort(branch).await.unwrap(), ABORTED);
        }
    }
    for (branch, commits) in branches.into_iter().zip([true, false].into_iter().cycle()) {
        let did = if commits { COMMITTED } else { ABORTED };
        assert_eq!(scene.shop.settle(branch).await.unwrap(), did, "{branch}");
    }
}

/// At REPEATABLE READ a branch goes on reading what it read first, so neither a tombstone nor the
/// fence nor the watermark may be looked at with its eyes.
#[tokio::test]
async fn an_early_read_hides_neither_tombstone_nor_fence_nor_watermark() {
    let scene = Scene::new().await;
    let reads = "SELECT (SELECT count(*) FROM tripod.participant_outcome WHERE coordinator = ?)
        + (SELECT epoch FROM tripod.participant_fence WHERE coordinator = ?)
        + (SELECT watermark_epoch FROM tripod.participant_fence WHERE coordinator = ?)";
    let bytes = scene.coordinator.as_u128().to_be_bytes();
    let looking = async |sequence| {
        let branch = scene.branch(sequence);
        let mut work = scene.shop.work(branch).await.unwrap();
        let seen: Vec<(u64,)> = work.query(reads, (bytes, bytes, bytes)).await.unwrap();
        (branch, work, seen)
    };
    let other = scene.other().await;
    // A tombstone.
    let (branch, mut work, seen) = looking(1).await;
    assert_eq!(other.settle(branch).await.unwrap(), ABORTED);
    let still: Vec<(u64,)> = work.query(reads, (bytes, bytes, bytes)).await.unwrap();
    assert_eq!(seen, still, "the trap is not there any more");
    assert!(no(&scene.shop.prepare(branch).await.unwrap()));
    // The watermark.
    let (prepares, _work, _) = looking(2).await;
    let (commits, _work, _) = looking(3).await;
    let mark = (super::epoch(1), 4);
    other.forget(scene.coordinator, mark).await.unwrap();
    assert!(no(&scene.shop.prepare(prepares).await.unwrap()));
    assert_eq!(scene.shop.commit_one_phase(commits).await.unwrap(), ABORTED);
    // The fence.
    let (branch, _work, _) = looking(5).await;
    other.open(scene.opening(2)).await.unwrap();
    assert_eq!(scene.shop.commit_one_phase(branch).await.unwrap(), ABORTED);
}

#[tokio::test]
async fn a_connection_that_is_killed_loses_a_branch_that_works_and_none_that_is_prepared() {
    let scene = Scene::new().await;
    let branch = scene.branch(1);
    let mut work = scene.pays(branch).await;
    let id: Option<(u64,)> = work
        .query_first("SELECT CONNECTION_ID()", ())
        .await
        .unwrap();
    scene.server.query(&format!("KILL {}", id.unwrap().0));
    assert!(no(&scene.shop.prepare(branch).await.unwrap()));
    assert_eq!(scene.shop.settle(branch).await.unwrap(), ABORTED);

    let branch = scene.branch(2);
    let mut owner = scene.raw().await;
    prepare_raw(&scene, &mut owner, branch).await;
    scene.server.query(&format!("KILL {}", owner.id()));
    assert_eq!(scene.shop.commit(branch).await.unwrap(), COMMITTED);
    assert_eq!(scene.balance(), 1);
}

/// A stopped process is not there to end its branches.
#[tokio::test]
async fn the_server_ends_a_branch_that_says_nothing() {
    let scene = Scene::new().await;
    let second = Duration::from_secs(1);
    let stopped: MysqlParticipant = connecting(&scene.server).idle_limit(second).await.unwrap();
    let branch = scene.branch(1);
    let mut work = stopped.work(branch).await.unwrap();
    scene.pay(&mut work).await;
    let seen: Vec<(u64, u64)> = work
        .query("SELECT @@wait_timeout, @@idle_transaction_timeout", ())
        .await
        .unwrap();
    assert_eq!(seen, [(1, 1)]);
    // Waits for the row that the branch holds.
    let waits = scene.branch(2);
    let mut other = scene.pays(waits).await;
    assert_eq!(scene.shop.prepare(waits).await.unwrap(), Vote::Prepared);
    assert!(other.execute("SELECT 1", ()).await.is_err());
    assert!(no(&stopped.prepare(branch).await.unwrap()));
    assert_eq!(scene.shop.commit(waits).await.unwrap(), COMMITTED);
}

#[tokio::test]
async fn statements_and_locks_have_limits() {
    let scene = Scene::new().await;
    let second = Duration::from_secs(1);
    let connecting = connecting(&scene.server).statement_limit(second);
    let limited = connecting.lock_limit(second).await.unwrap();
    let branch = scene.branch(1);
    let mut work = limited.work(branch).await.unwrap();
    let long = work.query::<(u8,)>("SELECT SLEEP(30)", ()).await;
    assert_eq!(long.unwrap_err().code(), Some(1969));
    let _holds = scene.pays(scene.branch(2)).await;
    let sql = "UPDATE account SET balance = 7 WHERE id = ?";
    let error = work.execute(sql, (scene.account,)).await.unwrap_err();
    assert!([1205, 1969].contains(&error.code().unwrap()), "{error}");
    assert!(!error.is_of_the_branch());
}

/// Prepares a branch as no participant does: the connection stays.
async fn prepare_raw(scene: &Scene, owner: &mut mysql_async::Conn, branch: BranchId) {
    let name = xid(branch);
    let pay = format!(
        "UPDATE account SET balance = balance + 1 WHERE id = {}",
        scene.account
    );
    for sql in [
        format!("XA START {name}"),
        pay,
        scene.marking(branch),
        format!("XA END {name}"),
        format!("XA PREPARE {name}"),
    ] {
        run(owner, &sql).await;
    }
}
