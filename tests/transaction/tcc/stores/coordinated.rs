//! Whole transactions over services with real databases: a seat on `PostgreSQL`, a seat on
//! `MariaDB`, and money in memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tripod::transaction::log::{FileLog, FileLogOptions};
use tripod::transaction::participant::MemoryParticipant;
use tripod::transaction::participant::tcc::Tcc;
use tripod::transaction::two_phase::{CommitOutcome, Coordinator, Filter};

use super::Store;
use super::maria::Maria;
use super::pg::Pg;
use super::service::Hall;
use crate::server::Directory;

struct Scene {
    log: Directory,
    pg: Hall<Pg>,
    maria: Hall<Maria>,
    bank: MemoryParticipant,
}

/// A process, with participants of its own over the same databases.
struct Process {
    coordinator: Coordinator,
    pg: Tcc<Hall<Pg>>,
    maria: Tcc<Hall<Maria>>,
}

impl Scene {
    async fn new() -> Self {
        Self {
            log: Directory::new(),
            pg: Hall::new(Pg::start().await),
            maria: Hall::new(Maria::start().await),
            bank: MemoryParticipant::with("bank", [("ada", 1000)]).unwrap(),
        }
    }

    async fn start(&self) -> Process {
        let (pg, maria) = (self.pg.tcc("pg").await, self.maria.tcc("maria").await);
        let mut error = String::new();
        // The process before may not have let the log go yet.
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let log = match FileLog::start(self.log.path(), FileLogOptions::default()) {
                Ok(log) => log,
                Err(held) => {
                    error = held.to_string();
                    continue;
                }
            };
            let coordinator = Coordinator::open(log)
                .participant(pg.clone())
                .participant(maria.clone())
                .participant(self.bank.clone());
            match coordinator.await {
                Ok(coordinator) => {
                    return Process {
                        coordinator,
                        pg,
                        maria,
                    };
                }
                Err(held) => error = held.to_string(),
            }
        }
        panic!("the log does not open: {error}");
    }

    /// Tries the seat in both halls, and takes 10 from ada.
    async fn sells(
        &self,
        process: &Process,
        seat: u64,
    ) -> tripod::transaction::two_phase::ActiveTransaction {
        let mut sale = process.coordinator.begin().await.unwrap();
        let mut one = sale.enlist(&process.pg).await.unwrap();
        let mut two = sale.enlist(&process.maria).await.unwrap();
        one.try_(seat).await.unwrap();
        // One that fails makes the transaction abort.
        let _ = two.try_(seat).await;
        let money = sale.enlist(&self.bank).await.unwrap();
        money
            .update("ada", |had| had.map(|had| had - 10))
            .await
            .unwrap();
        sale
    }

    async fn seats(&self, seat: u64) -> [(i64, i64); 2] {
        [
            self.pg.store.seat(seat).await,
            self.maria.store.seat(seat).await,
        ]
    }

    async fn until(&self, seat: u64, expected: (i64, i64)) {
        for _ in 0..500 {
            if self.seats(seat).await == [expected; 2] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!(
            "seat {seat}: {:?} instead of {expected:?}",
            self.seats(seat).await
        );
    }
}

impl Process {
    async fn until_all_is_over(&self) {
        for _ in 0..500 {
            if self.coordinator.list(Filter::All).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.coordinator.list(Filter::All));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_confirm_together_or_cancel_together() {
    let scene = Scene::new().await;
    let process = scene.start().await;
    // All of it happens.
    let sale = scene.sells(&process, 1).await;
    assert_eq!(scene.seats(1).await, [(1, 0); 2]);
    assert!(sale.commit().await.is_committed());
    assert_eq!(scene.seats(1).await, [(0, 1); 2]);
    assert_eq!(scene.bank.get("ada"), Some(990));

    // A try fails: nothing of it happens.
    scene.maria.faults.sold_out.store(true, Ordering::SeqCst);
    let sale = scene.sells(&process, 2).await;
    let outcome = sale.commit().await;
    assert!(
        matches!(outcome, CommitOutcome::Aborted { .. }),
        "{outcome:?}"
    );
    scene.until(2, (0, 0)).await;
    assert_eq!(scene.bank.get("ada"), Some(990));
    scene.maria.faults.sold_out.store(false, Ordering::SeqCst);

    // A cancel that is not heard comes again; one whose answer is lost has its effect once.
    scene.pg.faults.deaf.store(true, Ordering::SeqCst);
    scene.pg.faults.lost.store(1, Ordering::SeqCst);
    scene.maria.faults.lost.store(1, Ordering::SeqCst);
    let before = scene.pg.faults.cancels.load(Ordering::SeqCst);
    scene.sells(&process, 3).await.rollback();
    while scene.pg.faults.cancels.load(Ordering::SeqCst) < before + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.pg.store.seat(3).await, (1, 0));
    scene.pg.faults.deaf.store(false, Ordering::SeqCst);
    scene.until(3, (0, 0)).await;
    process.until_all_is_over().await;
    assert_eq!(process.coordinator.stats().impossible, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_process_confirms_what_was_decided_and_cancels_the_rest() {
    let scene = Scene::new().await;
    let process = scene.start().await;
    for faults in [&scene.pg.faults, &scene.maria.faults] {
        faults.deaf.store(true, Ordering::SeqCst);
    }
    let tried = scene.sells(&process, 2).await;
    let decided = scene.sells(&process, 1);
    let decided = tokio::time::timeout(Duration::from_secs(1), async {
        // The other transaction holds ada's money.
        decided.await.commit().await
    });
    assert!(decided.await.is_err());
    drop((tried, process));
    scene.bank.crash();

    let process = scene.start().await;
    let sale = scene.sells(&process, 3).await;
    let committing = tokio::time::timeout(Duration::from_secs(1), sale.commit());
    // It is decided, and nobody hears the confirm.
    assert!(committing.await.is_err());
    assert_eq!(scene.seats(3).await, [(1, 0); 2]);
    drop(process);
    scene.bank.crash();
    for faults in [&scene.pg.faults, &scene.maria.faults] {
        faults.deaf.store(false, Ordering::SeqCst);
    }

    let process = scene.start().await;
    scene.until(3, (0, 1)).await;
    for seat in [1, 2] {
        scene.until(seat, (0, 0)).await;
    }
    process.until_all_is_over().await;
    assert_eq!(scene.bank.get("ada"), Some(990));
    assert_eq!(process.coordinator.stats().impossible, 0);
}
