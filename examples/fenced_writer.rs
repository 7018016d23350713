//! A writer that is paused past its lease, and a store that refuses it.
//!
//! ```text
//! cargo run --release --example fenced_writer
//! ```
//!
//! The store is a table of your own: beside each row it keeps the highest floor that it has seen,
//! and compares it in the statement that writes. Here the table is a map; for SQL the statement
//! stands at `tripod::lock::FencedResource`.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::sleep;
use tripod::BoxFuture;
use tripod::lock::{
    FenceError, FencePass, FencedResource, FencingToken, Locks, MemoryBackend, Stale,
};

/// A row of the table.
#[derive(Debug, Default)]
struct Account {
    balance: i64,
    fence: u64,
}

#[derive(Debug, Default)]
struct Accounts(Mutex<HashMap<String, Account>>);

/// What to write, and where.
struct Deposit {
    account: &'static str,
    amount: i64,
}

impl FencedResource for Accounts {
    type Write = Deposit;
    type Error = NoAccount;

    fn write(
        &self,
        pass: FencePass,
        deposit: Deposit,
    ) -> BoxFuture<'_, Result<(), FenceError<NoAccount>>> {
        Box::pin(async move {
            // The step is atomic because the mutex is held; in SQL because it is one statement.
            let mut rows = self.0.lock();
            let row = rows.get_mut(deposit.account);
            let row = row.ok_or(FenceError::Store(NoAccount(deposit.account)))?;
            if pass.token().as_u64() < row.fence {
                return Err(Stale::new(pass.token(), FencingToken::new(row.fence)).into());
            }
            row.fence = row.fence.max(pass.floor().as_u64());
            row.balance += deposit.amount;
            Ok(())
        })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no account {0}")]
struct NoAccount(&'static str);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let accounts = Accounts::default();
    accounts.0.lock().insert("ada".into(), Account::default());
    let locks = Locks::new(MemoryBackend::new());
    let ttl = Duration::from_millis(200);
    let deposit = |amount| Deposit {
        account: "ada",
        amount,
    };

    // Not renewed, so that it is lost while the writer is away; so would any lease be if the whole
    // process were paused.
    let slow = locks.acquire("account/ada").ttl(ttl).renew(false).await?;
    println!(
        "slow  holds with token {}, and is paused",
        slow.fencing_token()
    );
    sleep(2 * ttl).await;

    let quick = locks.acquire("account/ada").ttl(ttl).await?;
    accounts.write(quick.pass(), deposit(100)).await?;
    println!(
        "quick holds with token {}, and deposits 100",
        quick.fencing_token()
    );

    match accounts.write(slow.pass(), deposit(1)).await {
        Err(error @ FenceError::Stale(stale)) => println!("slow  wakes up: {error} ({stale})"),
        other => return Err(format!("the stale writer got {other:?}").into()),
    }
    println!("slow  asks its guard: {:?}", slow.check());
    println!(
        "slow  releases; was it held up to now? {}",
        slow.release().await?
    );

    quick.release().await?;
    println!("the table: {:?}", accounts.0.lock());
    Ok(())
}
