//! The coordinator, over participants in memory.

mod commits;
pub(crate) mod failing;
mod faulty;
mod mended;
mod operators;
mod recovers;
mod simulated;

use std::sync::Arc;
use std::time::Duration;

use tripod::transaction::log::{MemoryLog, TransactionLog};
use tripod::transaction::participant::{MemoryParticipant, Participant};
use tripod::transaction::two_phase::{ActiveTransaction, Coordinator};

/// A participant with one account.
fn bank(name: &str) -> MemoryParticipant {
    MemoryParticipant::with(name, [("account", 100)]).unwrap()
}

async fn open(
    log: impl TransactionLog,
    participants: impl IntoIterator<Item = Arc<dyn Participant>>,
) -> Coordinator {
    let opening = participants
        .into_iter()
        .fold(Coordinator::open(log), |opening, participant| {
            opening.participant(participant)
        });
    opening.await.unwrap()
}

fn shared(bank: &MemoryParticipant) -> Arc<dyn Participant> {
    Arc::new(bank.clone())
}

/// Enlists both, and moves so much from one to the other.
async fn transfer(
    coordinator: &Coordinator,
    from: &MemoryParticipant,
    to: &MemoryParticipant,
    amount: i64,
) -> ActiveTransaction {
    let mut transaction = coordinator.begin().await.unwrap();
    for (bank, change) in [(from, -amount), (to, amount)] {
        let branch = transaction.enlist(bank).await.unwrap();
        let before = branch.get("account").await.unwrap().unwrap();
        branch.set("account", before + change).await.unwrap();
    }
    transaction
}

fn balances(banks: &[&MemoryParticipant]) -> Vec<i64> {
    let balance = |bank: &&MemoryParticipant| bank.get("account").unwrap();
    banks.iter().map(balance).collect()
}

/// Until this is so; by tokio's clock for at most a minute.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came about: {what}");
}

fn fresh() -> (MemoryLog, MemoryParticipant, MemoryParticipant) {
    (MemoryLog::new(), bank("a"), bank("b"))
}
