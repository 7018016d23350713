//! Connections that are lost at any moment, at the commit too: nobody knows what was done then, but
//! the barrier.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tripod::transaction::participant::tcc::{Barrier, BarrierError, Standing};

use super::maria::Maria;
use super::pg::Pg;
use super::{Step, Store, Verb, coordinator, id, opening};

const BRANCHES: u64 = 400;

/// Asks until it is answered, as a coordinator does. Answers how often it was not.
async fn insist<S: Store>(store: &S, step: Step) -> u32 {
    let mut lost = 0;
    while let Err(BarrierError::Database(_)) = store.pass(step).await {
        lost += 1;
        assert!(lost < 1000, "{step:?}");
    }
    lost
}

async fn what_is_lost_is_neither_lost_nor_doubled<S: Store>(store: S) {
    let (of, barrier) = (coordinator(), store.barrier().await);
    barrier.open(opening(of, 1)).await.unwrap();
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let cutting = {
        let (store, over) = (store.clone(), over.clone());
        tokio::task::spawn_blocking(move || {
            while !over.load(Ordering::SeqCst) {
                store.cut();
                std::thread::sleep(Duration::from_millis(10));
            }
        })
    };
    let mut lost = 0;
    // A few at a time, so that each runs into the knife now and then.
    for batch in 0..BRANCHES / 8 {
        let plays = (batch * 8..batch * 8 + 8).map(|sequence| {
            let (store, branch) = (&store, id(of, 1, sequence));
            async move {
                let step = |verb| insist(store, Step::new(verb, branch, sequence));
                let mut lost = step(Verb::Try).await;
                let (one, two) = match sequence % 3 {
                    0 => tokio::join!(step(Verb::Confirm), step(Verb::Confirm)),
                    1 => tokio::join!(step(Verb::Cancel), step(Verb::Cancel)),
                    _ => tokio::join!(step(Verb::Confirm), step(Verb::Cancel)),
                };
                lost += one + two;
                lost
            }
        });
        lost += join_all(plays).await.iter().sum::<u32>();
    }
    over.store(true, Ordering::SeqCst);
    cutting.await.unwrap();
    println!("{store:?}: {lost} were lost");
    assert!(lost >= 10, "{lost} were lost");
    let barrier = store.barrier().await;
    for sequence in 0..BRANCHES {
        let stands = barrier.look(id(of, 1, sequence)).await.unwrap().standing;
        let confirmed = stands == Standing::Confirmed;
        assert!(confirmed || stands == Standing::Cancelled, "{stands:?}");
        assert!(
            sequence % 3 == 2 || (sequence % 3 == 0) == confirmed,
            "{stands:?}"
        );
        let seat = store.seat(sequence).await;
        assert_eq!(seat, (0, i64::from(confirmed)), "{sequence}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_is_neither_lost_nor_doubled_on_postgres() {
    what_is_lost_is_neither_lost_nor_doubled(Pg::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_is_neither_lost_nor_doubled_on_mariadb() {
    what_is_lost_is_neither_lost_nor_doubled(Maria::start().await).await;
}
