//! A lock: two workers contend, one is paused past its lease, and the resource refuses it.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tripod::lock::{FenceError, FenceGate, FencedResource, LockGuard, Locks, MemoryBackend};

const TTL: Duration = Duration::from_millis(300);

/// The resource: it remembers the highest fencing floor that it has seen.
type Account = Mutex<FenceGate<i64>>;

pub(crate) async fn tour() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!(
        "A lock is a lease: it ends by itself {TTL:?} after its holder was last heard of, so a\n\
         dead holder blocks nobody for long. Each grant has a fencing token, greater than the last."
    );
    let locks = Locks::new(MemoryBackend::new());
    let account = Account::new(FenceGate::new(100));

    let ann = locks.acquire("account/17").ttl(TTL).await?;
    println!("  ann holds, with token {}", ann.fencing_token());
    let began = Instant::now();
    let waiting = tokio::spawn(
        locks
            .acquire("account/17")
            .ttl(TTL)
            .renew(false)
            .into_future(),
    );
    sleep(2 * TTL).await;
    println!(
        "  bob waits; ann's lease was renewed meanwhile: {:?}",
        ann.check()
    );
    deposit(&account, &ann, 10).await;
    let held = ann.release().await?;
    let bob = waiting.await??;
    println!(
        "  ann releases (held up to now: {held}), and bob is told: he holds with token {} after {:.0?}",
        bob.fencing_token(),
        began.elapsed()
    );

    println!(
        "Bob is paused past his lease, as by a machine that moves; cyd need not wait for him."
    );
    sleep(2 * TTL).await;
    let cyd = locks.acquire("account/17").ttl(TTL).await?;
    deposit(&account, &cyd, 20).await;
    println!(
        "Bob wakes up and writes as if nothing had been. No lock can stop him; the account can:"
    );
    deposit(&account, &bob, 1_000_000).await;
    println!("  bob's guard, had he asked: {:?}", bob.check());
    Ok(())
}

/// Writes with the guard's pass, and says what came of it.
async fn deposit(account: &Account, guard: &LockGuard, amount: i64) {
    let write = Box::new(move |balance: &mut i64| *balance += amount);
    let outcome = match FencedResource::write(account, guard.pass(), write).await {
        Ok(()) => "written".to_owned(),
        Err(FenceError::Stale(stale)) => format!("refused, {stale}"),
        Err(FenceError::Store(never)) => match never {},
    };
    println!(
        "  deposit of {amount} with token {}: {outcome}",
        guard.fencing_token()
    );
}
