//! A transfer from one database to the other: a transaction in two phases.

use tripod::transaction::participant::PostgresParticipant;
use tripod::transaction::two_phase::{CommitOutcome, Coordinator};

use crate::Failure;
use crate::books::Job;

/// Moves the money of a job, unless that has been done. The mark that it has been is part of the
/// transaction: however often and by whomever this is tried, the money moves once.
pub(crate) async fn transfer(
    coordinator: &Coordinator,
    here: &PostgresParticipant,
    there: &PostgresParticipant,
    job: &Job,
) -> Result<(), Failure> {
    let mut transaction = coordinator.begin().await?;
    let id = transaction.id().to_string();
    let mut from = transaction.enlist(here).await?;
    let mark = "UPDATE failover.job SET done = 'transferred' WHERE id = $1 AND done IS NULL";
    if from.execute(mark, &[&job.id]).await? == 0 {
        transaction.rollback();
        return Ok(());
    }
    let mut to = transaction.enlist(there).await?;
    for (branch, amount) in [(&mut from, -job.amount), (&mut to, job.amount)] {
        let pay = "UPDATE failover.account SET balance = balance + $1 WHERE id = $2";
        branch.execute(pay, &[&amount, &job.account]).await?;
        let enter = "INSERT INTO failover.entry VALUES ($1, $2, $3)";
        branch.execute(enter, &[&job.id, &amount, &id]).await?;
    }
    match transaction.commit().await {
        CommitOutcome::Committed { .. } => println!("committed {id} {}", job.id),
        CommitOutcome::Aborted { reason, .. } => println!("aborted {id} {}: {reason:?}", job.id),
        // The books will tell.
        CommitOutcome::Unknown(_) => println!("unknown {id} {}", job.id),
    }
    Ok(())
}
