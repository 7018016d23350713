//! Waiting until nothing is under way, however slow the machine is.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::books::Books;

/// Waits until nothing is under way, and nobody adds to it. Answers what is left once none of it has
/// ended for so long: nothing, if all has.
pub(crate) async fn rest(books: &Books, patience: Duration) -> Result<BTreeSet<String>, Failure> {
    let (mut held, mut since) = (BTreeSet::new(), Instant::now());
    loop {
        let (jobs, transactions) = (books.not_done().await?, books.undecided().await?);
        // What tries in vain to do a job begins one transaction after the other: those tell of
        // progress only when no job is left.
        let left = if jobs.is_empty() { transactions } else { jobs };
        if left.is_empty() {
            return Ok(left);
        }
        if held.is_empty() || !left.is_superset(&held) {
            (held, since) = (left, Instant::now());
        } else if since.elapsed() > patience {
            return Ok(held);
        }
        sleep(Duration::from_millis(100)).await;
    }
}
