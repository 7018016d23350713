//! What has to hold once nothing is under way.

use crate::bank::Books;
use crate::player::Claims;

/// Everything that is wrong.
pub fn judge(before: [i64; 2], books: &[Books; 2], claims: &Claims) -> Result<(), String> {
    let mut wrong = Vec::new();
    let [postgres, mysql] = books;
    let sum = postgres.sum + mysql.sum;
    if sum != before.iter().sum::<i64>() {
        wrong.push(format!("the sum of money was {before:?}, and is {sum}"));
    }
    for (before, books) in before.into_iter().zip(books) {
        let moved: i64 = books.transfers.values().sum();
        if before + moved != books.sum {
            wrong.push(format!(
                "{before} and {moved} are not {}: half a branch",
                books.sum
            ));
        }
    }
    let between = |books: &Books, sign: i64| {
        let transfers = books.transfers.iter();
        let between = transfers.filter(|(name, _)| name.ends_with("/between"));
        let between = between.map(|(name, amount)| (name.clone(), sign * amount));
        between.collect::<std::collections::BTreeSet<_>>()
    };
    for (name, amount) in between(postgres, 1).symmetric_difference(&between(mysql, -1)) {
        wrong.push(format!(
            "half a transfer: {name}, {amount} as PostgreSQL counts"
        ));
    }
    let is_there = |name: &String| books.iter().any(|books| books.transfers.contains_key(name));
    let writes = |name: &&String| !name.ends_with("/reads");
    for name in claims.committed.iter().filter(writes) {
        if !is_there(name) {
            wrong.push(format!("was said to be committed, and is not: {name}"));
        }
    }
    for name in claims.aborted.iter().filter(|name| is_there(name)) {
        wrong.push(format!("was said to be aborted, and is committed: {name}"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        wrong.truncate(20);
        Err(wrong.join("\n"))
    }
}
