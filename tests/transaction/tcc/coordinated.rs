//! Whole transactions over services.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tripod::transaction::log::{MemoryLog, TransactionLog};
use tripod::transaction::participant::MemoryParticipant;
use tripod::transaction::participant::tcc::{Barrier, Standing, TccService, TryError};
use tripod::transaction::two_phase::{CommitOutcome, Coordinator, EnlistError, Filter};

use super::{Hall, eventually};

async fn open(log: &MemoryLog, hall: &Hall, bank: &MemoryParticipant) -> Coordinator {
    let log: Arc<dyn TransactionLog> = Arc::new(log.clone());
    let opening = Coordinator::open(log).participant(hall.tcc());
    opening.participant(bank.clone()).await.unwrap()
}

fn fresh() -> (MemoryLog, Hall, MemoryParticipant) {
    let bank = MemoryParticipant::with("bank", [("ada", 100)]).unwrap();
    (MemoryLog::new(), Hall::default(), bank)
}

#[tokio::test(start_paused = true)]
async fn a_seat_and_its_price_go_together() {
    let (log, hall, bank) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log)
        .participant(tcc.clone())
        .participant(bank.clone());
    let coordinator = coordinator.await.unwrap();

    let mut sale = coordinator.begin().await.unwrap();
    assert_eq!(sale.enlist(&tcc).await.unwrap().try_(7).await.unwrap(), 7);
    let money = sale.enlist(&bank).await.unwrap();
    money.set("ada", 70).await.unwrap();
    assert_eq!(hall.seat(7), (1, 0));
    assert!(sale.commit().await.is_committed());
    assert_eq!((hall.seat(7), bank.get("ada")), ((0, 1), Some(70)));

    hall.faults.sold_out.store(true, Ordering::SeqCst);
    let mut sale = coordinator.begin().await.unwrap();
    let money = sale.enlist(&bank).await.unwrap();
    money.set("ada", 40).await.unwrap();
    let failed = sale.enlist(&tcc).await.unwrap().try_(8).await.unwrap_err();
    assert!(matches!(failed, TryError::Failed(_)));
    let outcome = sale.commit().await;
    assert!(matches!(outcome, CommitOutcome::Aborted { .. }));
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!((hall.seat(8), bank.get("ada")), ((0, 0), Some(70)));
    assert_eq!(coordinator.stats().impossible, 0);
}

#[tokio::test(start_paused = true)]
async fn a_branch_alone_and_two_of_one_participant_commit() {
    let (log, hall, _) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log).participant(tcc.clone());
    let coordinator = coordinator.await.unwrap();
    let mut sale = coordinator.begin().await.unwrap();
    sale.enlist(&tcc).await.unwrap().try_(1).await.unwrap();
    assert!(sale.commit().await.is_committed());
    let mut sale = coordinator.begin().await.unwrap();
    for seat in [2, 3] {
        sale.enlist(&tcc).await.unwrap().try_(seat).await.unwrap();
    }
    assert!(sale.commit().await.is_committed());
    let mut look = coordinator.begin().await.unwrap();
    let _untried = look.enlist(&tcc).await.unwrap();
    assert!(look.commit().await.is_committed());
    for seat in 1..4 {
        assert_eq!(hall.seat(seat), (0, 1));
    }
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_comes_again_until_it_is_done() {
    let (log, hall, bank) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log)
        .participant(tcc.clone())
        .participant(bank);
    let coordinator = coordinator.await.unwrap();
    let mut sale = coordinator.begin().await.unwrap();
    sale.enlist(&tcc).await.unwrap().try_(7).await.unwrap();
    hall.faults.deaf.store(true, Ordering::SeqCst);
    hall.faults.lost.store(1, Ordering::SeqCst);
    sale.rollback();
    let cancels = || hall.faults.cancels.load(Ordering::SeqCst);
    eventually("it is asked again", || cancels() > 5).await;
    assert_eq!(hall.seat(7), (1, 0));
    hall.faults.deaf.store(false, Ordering::SeqCst);
    eventually("it is freed", || hall.seat(7) == (0, 0)).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(hall.seat(7), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_is_confirmed_by_the_next_process() {
    let (log, hall, bank) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log.clone())
        .participant(tcc.clone())
        .participant(bank.clone());
    let coordinator = coordinator.await.unwrap();
    let mut sale = coordinator.begin().await.unwrap();
    sale.enlist(&tcc).await.unwrap().try_(7).await.unwrap();
    let money = sale.enlist(&bank).await.unwrap();
    money.set("ada", 70).await.unwrap();
    hall.faults.deaf.store(true, Ordering::SeqCst);
    let outcome = sale.commit().await;
    let CommitOutcome::Committed { pending } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(pending.len(), 1);
    assert_eq!(hall.seat(7), (1, 0));
    drop((coordinator, tcc));
    log.crash();
    bank.crash();

    hall.faults.deaf.store(false, Ordering::SeqCst);
    let coordinator = open(&log, &hall, &bank).await;
    eventually("it is booked", || hall.seat(7) == (0, 1)).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    assert_eq!(bank.get("ada"), Some(70));
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_and_not_decided_is_cancelled_by_the_next_process() {
    let (log, hall, bank) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log.clone())
        .participant(tcc.clone())
        .participant(bank.clone());
    let coordinator = coordinator.await.unwrap();
    let mut sale = coordinator.begin().await.unwrap();
    let mut branch = sale.enlist(&tcc).await.unwrap();
    branch.try_(7).await.unwrap();
    let late = branch.id();
    let mut untried = coordinator.begin().await.unwrap();
    let not_yet = untried.enlist(&tcc).await.unwrap().id();
    log.crash();
    drop((sale, untried, coordinator));

    let coordinator = open(&log, &hall, &bank).await;
    eventually("it is freed", || hall.seat(7) == (0, 0)).await;
    eventually("it is over", || coordinator.list(Filter::All).is_empty()).await;
    // What the process before has sent arrives now.
    for branch in [late, not_yet] {
        assert!(hall.try_(branch, 8).await.is_err());
    }
    assert_eq!((hall.seat(7), hall.seat(8)), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn rows_of_what_is_over_go() {
    let (log, hall, bank) = fresh();
    let tcc = hall.tcc();
    let coordinator = Coordinator::open(log)
        .participant(tcc.clone())
        .participant(bank.clone());
    let coordinator = coordinator.await.unwrap();
    let mut ids = Vec::new();
    for seat in 0..20 {
        let mut sale = coordinator.begin().await.unwrap();
        let mut branch = sale.enlist(&tcc).await.unwrap();
        branch.try_(seat).await.unwrap();
        ids.push(branch.id());
        if seat % 2 == 0 {
            assert!(sale.commit().await.is_committed());
        } else {
            sale.rollback();
        }
    }
    let barrier = hall.barrier.clone();
    for id in ids {
        for _ in 0..6000 {
            let sight = barrier.look(id).await.unwrap();
            if sight.is_over && sight.standing == Standing::Nothing {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let sight = barrier.look(id).await.unwrap();
        assert!(sight.is_over && sight.standing == Standing::Nothing, "{id}");
    }
}

#[tokio::test]
async fn a_participant_that_is_not_registered_is_not_enlisted() {
    let (log, hall, bank) = fresh();
    let coordinator = Coordinator::open(log).participant(bank).await.unwrap();
    let mut sale = coordinator.begin().await.unwrap();
    let refused = sale.enlist(&hall.tcc()).await.unwrap_err();
    assert!(matches!(refused, EnlistError::Unregistered(_)));
}
