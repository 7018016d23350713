//! What has to hold once nothing is under way.

use std::collections::BTreeSet;

use crate::Failure;
use crate::books::Books;
use crate::server::postgres::PostgresServer;
use crate::team::Claims;

/// Compares the books with each other, and with what members have said. Answers what is wrong.
pub async fn judge(
    books: &Books,
    server: &PostgresServer,
    claims: &Claims,
) -> Result<Vec<String>, Failure> {
    let mut wrong = books.audit(&server.url()).await?;
    let entered = server.query("SELECT DISTINCT branch_of FROM failover.entry");
    let entered: BTreeSet<String> = entered.into_iter().collect();
    for id in claims.committed.difference(&entered) {
        wrong.push(format!("was said to be committed, and is not: {id}"));
    }
    for id in claims.aborted.intersection(&entered) {
        wrong.push(format!("was said to be aborted, and is committed: {id}"));
    }
    Ok(wrong)
}
