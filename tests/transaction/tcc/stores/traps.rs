//! What is late, forgotten, replaced, or not allowed.

use std::time::Duration;

use tripod::transaction::participant::ParticipantOpenError;
use tripod::transaction::participant::tcc::{
    Barrier, BarrierError, Entry, MysqlBarrier, PostgresBarrier, Standing,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

use super::maria::Maria;
use super::pg::Pg;
use super::{Ends, Isolation, Step, Store, Verb, coordinator, epoch, id, opening};

const ALL: [Isolation; 4] = [
    Isolation::ReadCommitted,
    Isolation::RepeatableRead,
    Isolation::Serializable,
    Isolation::Stale,
];

async fn nothing_has_an_effect_once_its_branch_is_forgotten<S: Store>(store: &S) {
    let (of, barrier) = (coordinator(), store.barrier().await);
    barrier.open(opening(of, 1)).await.unwrap();
    for (sequence, verb) in [(0, Verb::Confirm), (1, Verb::Cancel)] {
        let branch = id(of, 1, sequence);
        store
            .pass(Step::new(Verb::Try, branch, sequence))
            .await
            .unwrap()
            .first()
            .unwrap();
        store
            .pass(Step::new(verb, branch, sequence))
            .await
            .unwrap()
            .first()
            .unwrap();
    }
    let open = id(of, 1, 2);
    store
        .pass(Step::new(Verb::Try, open, 2))
        .await
        .unwrap()
        .first()
        .unwrap();
    barrier.forget(of, (epoch(1), 10)).await.unwrap();
    for sequence in [0, 1, 3] {
        let branch = id(of, 1, sequence);
        let sight = barrier.look(branch).await.unwrap();
        assert!(sight.is_over && sight.standing == Standing::Nothing);
        for isolation in ALL {
            let step = |verb| store.pass(Step::new(verb, branch, sequence).at(isolation));
            let late = step(Verb::Try).await.unwrap_err();
            assert!(matches!(late, BarrierError::Over(_)), "{late:?}");
            for verb in [Verb::Confirm, Verb::Cancel] {
                assert_eq!(step(verb).await.unwrap(), Entry::Again(Vec::new()));
            }
        }
        let sight = barrier.look(branch).await.unwrap();
        assert_eq!(sight.standing, Standing::Nothing, "a row was left behind");
    }
    assert_eq!(store.seat(0).await, (0, 1));
    assert_eq!(store.seat(1).await, (0, 0));
    // What has not ended stands.
    store
        .pass(Step::new(Verb::Cancel, open, 2))
        .await
        .unwrap()
        .first()
        .unwrap();
    assert_eq!(store.seat(2).await, (0, 0));
}

async fn who_was_replaced_tries_nothing_and_confirms_what_is_prepared<S: Store>(store: &S) {
    let (of, barrier) = (coordinator(), store.barrier().await);
    barrier.open(opening(of, 1)).await.unwrap();
    let (tried, prepared, new) = (id(of, 1, 0), id(of, 1, 1), id(of, 1, 2));
    for branch in [tried, prepared] {
        store
            .pass(Step::new(Verb::Try, branch, 0))
            .await
            .unwrap()
            .first()
            .unwrap();
    }
    let sight = barrier.promise(prepared).await.unwrap();
    assert_eq!(sight.standing, Standing::Prepared);
    assert_eq!(
        barrier.promise(new).await.unwrap().standing,
        Standing::Nothing
    );
    barrier.open(opening(of, 2)).await.unwrap();
    assert!(barrier.open(opening(of, 1)).await.unwrap_err().is_stale());
    for isolation in ALL {
        let late = store.pass(Step::new(Verb::Try, new, 0).at(isolation));
        assert!(matches!(late.await, Err(BarrierError::Fenced(_))));
        let late = store.pass(Step::new(Verb::Confirm, tried, 0).at(isolation));
        assert!(matches!(late.await, Err(BarrierError::Fenced(_))));
    }
    let doubts = barrier.in_doubt(of, epoch(2)).await.unwrap();
    assert_eq!(doubts, [prepared]);
    store
        .pass(Step::new(Verb::Confirm, prepared, 0))
        .await
        .unwrap()
        .first()
        .unwrap();
    store
        .pass(Step::new(Verb::Cancel, tried, 0))
        .await
        .unwrap()
        .first()
        .unwrap();
    assert_eq!(store.seat(0).await, (0, 1));
    assert!(barrier.in_doubt(of, epoch(2)).await.unwrap().is_empty());
}

/// Of every id, the longest note too, and none is taken for another.
async fn any_id_and_note_fit<S: Store>(store: &S) {
    let ends = [0, 1, u64::MAX >> 1, (u64::MAX >> 1) + 1, u64::MAX];
    let mut seat = 0;
    for bits in [0, 1 << 127, 0x275c_0022, u128::MAX] {
        let of = CoordinatorId::from_u128(bits);
        for sequence in ends {
            for number in [0, 0x8000, u16::MAX] {
                seat += 1;
                let epoch = Epoch::new(sequence.max(1)).unwrap();
                let branch = BranchId::new(TransactionId::new(of, epoch, sequence), number);
                let step = |verb| store.pass(Step::new(verb, branch, seat));
                let note = seat.to_be_bytes().to_vec();
                assert_eq!(step(Verb::Try).await.unwrap(), Entry::First(note.clone()));
                assert_eq!(step(Verb::Try).await.unwrap(), Entry::Again(note.clone()));
                assert_eq!(
                    step(Verb::Confirm).await.unwrap(),
                    Entry::First(note.clone())
                );
                assert_eq!(step(Verb::Confirm).await.unwrap(), Entry::Again(note));
                assert_eq!(store.seat(seat).await, (0, 1));
            }
        }
    }
}

/// A try that holds its row, uncommitted, when the cancel comes.
async fn a_cancel_waits_for_a_try_in_flight<S: Store>(store: &S) {
    let of = coordinator();
    for (sequence, isolation) in (0..).zip(ALL) {
        let branch = id(of, 1, sequence);
        let tries = (0..6).map(|_| store.pass(Step::new(Verb::Try, branch, 900 + sequence)));
        let cancels = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            loop {
                let cancel = Step::new(Verb::Cancel, branch, 0).at(isolation);
                match store.pass(cancel).await {
                    Err(BarrierError::Database(_)) => {}
                    other => return other,
                }
            }
        };
        let (_, cancelled) = tokio::join!(futures_util::future::join_all(tries), cancels);
        let _ = cancelled.unwrap();
        assert_eq!(store.seat(900 + sequence).await, (0, 0));
        let late = store.pass(Step::new(Verb::Try, branch, 0)).await;
        assert!(matches!(late, Err(BarrierError::Cancelled(_))));
    }
}

/// What was committed and forgotten after the snapshot was taken lets nobody through: the rows that
/// the snapshot shows are gone, or those that are there are not shown.
async fn an_older_snapshot_deceives_nobody<S: Store>(store: &S) {
    let (of, barrier) = (coordinator(), store.barrier().await);
    barrier.open(opening(of, 1)).await.unwrap();
    let forgets = [false, true];
    let cases = [Verb::Try, Verb::Confirm, Verb::Cancel].map(|verb| forgets.map(|it| (verb, it)));
    for (sequence, (verb, forgets)) in (0..).zip(cases.into_iter().flatten()) {
        let (branch, seat) = (id(of, 1, sequence), 500 + sequence);
        let step = |verb| store.pass(Step::new(verb, branch, seat));
        if verb != Verb::Try {
            step(Verb::Try).await.unwrap().first().unwrap();
            // So that no fence is looked at.
            barrier.promise(branch).await.unwrap();
        }
        let stale = Step {
            age: Duration::from_millis(400),
            ends: Ends::Idle,
            ..Step::new(verb, branch, seat).at(Isolation::Stale)
        };
        let meanwhile = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            match verb {
                Verb::Try => assert_eq!(step(Verb::Cancel).await.unwrap(), Entry::Empty),
                Verb::Confirm | Verb::Cancel => {
                    step(verb).await.unwrap().first().unwrap();
                }
            }
            if forgets {
                let over = (epoch(1), sequence + 1);
                barrier.forget(of, over).await.unwrap();
                let sight = barrier.look(branch).await.unwrap();
                assert_eq!(sight.standing, Standing::Nothing);
            }
        };
        let (came, ()) = tokio::join!(store.pass(stale), meanwhile);
        let through = matches!(came, Ok(Entry::First(_) | Entry::Empty));
        assert!(!through, "{verb:?}, forgotten: {forgets}: {came:?}");
        let expected = (0, i64::from(verb == Verb::Confirm));
        assert_eq!(store.seat(seat).await, expected, "{verb:?}, {forgets}");
    }
}

/// A request that comes again is the same, or none.
async fn another_note_is_another_try<S: Store>(store: &S) {
    let branch = id(coordinator(), 1, 0);
    let tries = |seat| store.pass(Step::new(Verb::Try, branch, seat));
    tries(700).await.unwrap().first().unwrap();
    assert!(matches!(tries(701).await, Err(BarrierError::Different(_))));
    assert_eq!(store.seat(700).await, (1, 0));
    assert_eq!(store.seat(701).await, (0, 0));
}

async fn all<S: Store>(store: &S) {
    an_older_snapshot_deceives_nobody(store).await;
    another_note_is_another_try(store).await;
    nothing_has_an_effect_once_its_branch_is_forgotten(store).await;
    any_id_and_note_fit(store).await;
    a_cancel_waits_for_a_try_in_flight(store).await;
}

#[tokio::test]
async fn late_forgotten_and_any_id_on_postgres() {
    let pg = Pg::start().await;
    all(&pg).await;
    who_was_replaced_tries_nothing_and_confirms_what_is_prepared(&Pg::start().await).await;
}

#[tokio::test]
async fn late_forgotten_and_any_id_on_mariadb() {
    let maria = Maria::start().await;
    all(&maria).await;
    maria.server.query("DELETE FROM seat");
    who_was_replaced_tries_nothing_and_confirms_what_is_prepared(&maria).await;
}

fn is_unfit(opened: &Result<(), ParticipantOpenError>) -> bool {
    matches!(opened, Err(ParticipantOpenError::Unfit(_)))
}

#[tokio::test]
async fn the_least_rights_on_postgres_are_enough_and_less_is_said() {
    let pg = Pg::start().await;
    let again = (0..3).map(|_| async { PostgresBarrier::migrate(pg.server.url()).await });
    futures_util::future::try_join_all(again).await.unwrap();
    pg.server.query(
        "CREATE ROLE hall LOGIN; GRANT USAGE ON SCHEMA tripod TO hall;
         GRANT SELECT ON tripod.tcc_migration TO hall;
         GRANT SELECT, INSERT, UPDATE ON tripod.tcc_coordinator TO hall;
         GRANT SELECT, INSERT, DELETE ON tripod.tcc_branch TO hall;
         CREATE ROLE passer LOGIN; GRANT USAGE ON SCHEMA tripod TO passer;
         GRANT SELECT, UPDATE ON tripod.tcc_coordinator TO passer;
         GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.tcc_branch TO passer",
    );
    let url = pg.server.url_of_user("hall", "");
    let barrier = PostgresBarrier::connect(url).await.unwrap();
    let of = coordinator();
    assert!(is_unfit(&barrier.open(opening(of, 1)).await));
    pg.server.query("GRANT UPDATE ON tripod.tcc_branch TO hall");
    barrier.open(opening(of, 1)).await.unwrap();

    let url = pg.server.url_of_user("passer", "");
    let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
    let (mut client, connection) = connected.unwrap();
    tokio::spawn(connection);
    let (one, two) = (id(of, 1, 0), id(of, 1, 1));
    let hasty = client.batch_execute("SET synchronous_commit = off").await;
    hasty.unwrap();
    let transaction = client.transaction().await.unwrap();
    let _ = barrier.try_(&transaction, one, b"").await.unwrap();
    let durable = transaction.query_one("SHOW synchronous_commit", &[]);
    assert_eq!(durable.await.unwrap().get::<_, &str>(0), "on");
    let _ = barrier.confirm(&transaction, one).await.unwrap();
    assert_eq!(
        barrier.cancel(&transaction, two).await.unwrap(),
        Entry::Empty
    );
    // A late try is an error, and does not break the transaction.
    barrier.try_(&transaction, two, b"").await.unwrap_err();
    transaction.commit().await.unwrap();
    assert_eq!(
        barrier.look(one).await.unwrap().standing,
        Standing::Confirmed
    );
    let of_two = barrier.confirm_empty(two).await.unwrap().standing;
    assert_eq!(of_two, Standing::Cancelled);
    barrier.in_doubt(of, epoch(9)).await.unwrap();
    barrier.forget(of, (epoch(1), 9)).await.unwrap();
    assert_eq!(barrier.look(one).await.unwrap().standing, Standing::Nothing);

    pg.server
        .query("UPDATE tripod.tcc_migration SET version = 9");
    assert!(is_unfit(&barrier.open(opening(of, 2)).await));
    pg.server.query("DROP SCHEMA tripod CASCADE");
    assert!(is_unfit(&barrier.open(opening(of, 2)).await));
}

#[tokio::test]
async fn the_least_rights_on_mariadb_are_enough_and_less_is_said() {
    let maria = Maria::start().await;
    let again = (0..3).map(|_| async { MysqlBarrier::migrate(maria.server.url()).await });
    futures_util::future::try_join_all(again).await.unwrap();
    maria.server.query(
        "CREATE USER hall@'127.0.0.1' IDENTIFIED BY 'h', passer@'127.0.0.1' IDENTIFIED BY 'p';
         GRANT SELECT ON tripod.tcc_migration TO hall@'127.0.0.1';
         GRANT SELECT, INSERT ON tripod.tcc_branch TO hall@'127.0.0.1';
         GRANT SELECT, INSERT, UPDATE ON tripod.tcc_fence TO hall@'127.0.0.1';
         GRANT SELECT ON test.* TO hall@'127.0.0.1', passer@'127.0.0.1';
         GRANT SELECT, INSERT, DELETE ON tripod.tcc_branch TO passer@'127.0.0.1';
         GRANT SELECT ON tripod.tcc_fence TO passer@'127.0.0.1'",
    );
    let url = maria.server.url_of_user("hall", "h");
    let barrier = MysqlBarrier::connect(url).await.unwrap();
    let of = coordinator();
    assert!(is_unfit(&barrier.open(opening(of, 1)).await));
    maria
        .server
        .query("GRANT DELETE ON tripod.tcc_branch TO hall@'127.0.0.1'");
    barrier.open(opening(of, 1)).await.unwrap();

    let url = maria.server.url_of_user("passer", "p");
    let mut conn = mysql_async::Conn::from_url(url).await.unwrap();
    let (one, two) = (id(of, 1, 0), id(of, 1, 1));
    let options = mysql_async::TxOpts::default();
    let mut transaction = conn.start_transaction(options).await.unwrap();
    let _ = barrier.try_(&mut transaction, one, b"").await.unwrap();
    let _ = barrier.confirm(&mut transaction, one).await.unwrap();
    let empty = barrier.cancel(&mut transaction, two).await.unwrap();
    assert_eq!(empty, Entry::Empty);
    barrier.try_(&mut transaction, two, b"").await.unwrap_err();
    transaction.commit().await.unwrap();
    assert_eq!(
        barrier.look(one).await.unwrap().standing,
        Standing::Confirmed
    );
    let of_two = barrier.confirm_empty(two).await.unwrap().standing;
    assert_eq!(of_two, Standing::Cancelled);
    barrier.in_doubt(of, epoch(9)).await.unwrap();
    barrier.forget(of, (epoch(1), 9)).await.unwrap();
    assert_eq!(barrier.look(one).await.unwrap().standing, Standing::Nothing);

    maria
        .server
        .query("UPDATE tripod.tcc_migration SET version = 9");
    assert!(is_unfit(&barrier.open(opening(of, 2)).await));
    maria.server.query("DROP DATABASE tripod");
    assert!(is_unfit(&barrier.open(opening(of, 2)).await));
}
