//! The task of a lease: it keeps the lease alive, removes what nobody names any more, and ends the
//! lease when nobody uses it, or when the store of locks is dropped.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper, LeaseTimeToLiveOptions, Txn, TxnOp};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::lease::Lease;
use super::link::{TIMEOUT, Used, pause};
use super::steps::delete;
use super::store::Store;
use super::trouble::Trouble;
use super::wish::Wish;

/// Operations in one transaction. Servers allow 128.
const OPERATIONS_MAX: usize = 120;

/// How often it is looked for what nobody names: within an eighth of the TTL, and this at most.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Sees to it that the task of a lease runs: it may have ended with its runtime.
pub(super) fn ensure(store: &Arc<Store>, lease: &Arc<Lease>) {
    if lease.tended.load(Ordering::Acquire) || lease.tended.swap(true, Ordering::AcqRel) {
        return;
    }
    let (store, lease) = (Arc::clone(store), Tended(Arc::clone(lease)));
    tokio::spawn(async move { tend(&store, &lease.0).await });
}

/// Lets another task be begun when this one ends, be it that its runtime does.
struct Tended(Arc<Lease>);

impl Drop for Tended {
    fn drop(&mut self) {
        self.0.tended.store(false, Ordering::Release);
    }
}

async fn tend(store: &Store, lease: &Lease) {
    let ended = tokio::select! {
        () = keep(store, lease) => false,
        () = clear(store, lease) => true,
        () = store.closed.cancelled() => true,
    };
    store.retire(lease);
    if ended {
        store.revoke(lease.id()).await;
    }
}

/// A stream on which a lease is renewed, and the client that it is of.
struct Stream {
    used: Arc<Used>,
    keeper: LeaseKeeper,
    answers: LeaseKeepAliveStream,
}

/// Renews a lease until it is lost.
async fn keep(store: &Store, lease: &Lease) {
    let (mut stream, mut failures) = (None, 0_u32);
    while let Some(last) = lease.sent() {
        tokio::select! {
            () = lease.asked() => {}
            () = sleep_until(last + lease.ttl() / 4) => {}
        }
        let sent = Instant::now();
        let until = sent + TIMEOUT.min(lease.ttl() / 4);
        match renew(store, lease, &mut stream, until).await {
            Ok(true) => {
                failures = 0;
                lease.renewed(sent);
            }
            Ok(false) => return,
            Err(_) => {
                failures = failures.saturating_add(1);
                sleep(pause(failures, lease.ttl() / 8)).await;
            }
        }
    }
}

/// Renews a lease once. Says whether it is there.
async fn renew(
    store: &Store,
    lease: &Lease,
    stream: &mut Option<Stream>,
    until: Instant,
) -> Result<bool, Trouble> {
    // Taken out, so that one that fails is not used again.
    let Some(mut open) = stream.take() else {
        return begin(store, lease, stream, until).await;
    };
    let renewal = async {
        open.keeper.keep_alive().await?;
        open.answers.message().await
    };
    let answer = store.link.ask(&open.used, until, renewal).await?;
    let answer = answer.ok_or_else(Trouble::no_answer)?;
    *stream = Some(open);
    Ok(answer.ttl() > 0)
}

/// Opens the stream, which renews the lease once.
async fn begin(
    store: &Store,
    lease: &Lease,
    stream: &mut Option<Stream>,
    until: Instant,
) -> Result<bool, Trouble> {
    let used = store.link.used(until).await?;
    let mut client = used.lease();
    let opened = async {
        match client.keep_alive(lease.id()).await {
            Ok(opened) => Ok(Some(opened)),
            // So the client says that there is no such lease.
            Err(etcd_client::Error::LeaseKeepAliveError(_)) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let opened = store.link.ask(&used, until, opened).await?;
    let Some((keeper, answers)) = opened else {
        return Ok(false);
    };
    *stream = Some(Stream {
        used,
        keeper,
        answers,
    });
    Ok(true)
}

/// Removes what nobody names, until nobody has used the lease for a while.
async fn clear(store: &Store, lease: &Lease) {
    let pause = (lease.ttl() / 8).min(LOOK_MAX);
    let mut audited = Instant::now();
    loop {
        sleep(pause).await;
        let now = Instant::now();
        let due = store.table.due(lease, now);
        if due.over {
            return;
        }
        remove(store, &due.entries, |wish| wish.remove().to_vec()).await;
        remove(store, &due.bars, |wish| vec![wish.forget()]).await;
        if lease.is_suspect() && now >= audited + lease.ttl() {
            audited = now;
            // What fails is tried again.
            if audit(store, lease).await.is_ok() {
                lease.cleared(now);
            }
        }
    }
}

/// Removes these. What fails is due again.
async fn remove(store: &Store, wishes: &[Arc<Wish>], how: impl Fn(&Wish) -> Vec<TxnOp>) {
    for some in wishes.chunks(OPERATIONS_MAX / 2) {
        let operations: Vec<TxnOp> = some.iter().flat_map(|wish| how(wish)).collect();
        let until = Instant::now() + TIMEOUT;
        let txn = Txn::new().and_then(operations);
        if store.take(txn, until).await.is_ok() {
            store.table.forget(some);
        }
    }
}

/// Removes what stands under the lease though nobody knows of it: what a request entered that was
/// given up, and that took effect after all was forgotten.
async fn audit(store: &Store, lease: &Lease) -> Result<(), Trouble> {
    let until = Instant::now() + TIMEOUT;
    let used = store.link.used(until).await?;
    let mut client = used.lease();
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let listed = timeout_at(until, client.time_to_live(lease.id(), Some(options))).await;
    // That one answer is too large, say, is not held against the link.
    let listed = listed.map_err(|_| Trouble::no_answer())?;
    let listed = listed.map_err(|error| Trouble::of(&error))?;
    let unknown = |key: &&[u8]| {
        let holder = store.prefix.holder(key);
        holder.is_some_and(|holder| !store.table.knows(holder))
    };
    let stray: Vec<&[u8]> = listed
        .keys()
        .iter()
        .map(Vec::as_slice)
        .filter(unknown)
        .collect();
    for some in stray.chunks(OPERATIONS_MAX) {
        let keys = some.iter().filter_map(|key| std::str::from_utf8(key).ok());
        let operations: Vec<TxnOp> = keys.map(delete).collect();
        let until = Instant::now() + TIMEOUT;
        store.take(Txn::new().and_then(operations), until).await?;
    }
    Ok(())
}
