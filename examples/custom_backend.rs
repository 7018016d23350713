//! A store of locks of one's own, written by the page of `LockBackend` alone: a map in memory.
//! Yours would take the same steps in a transaction of your database.
//!
//! ```text
//! cargo run --example custom_backend
//! cargo run --example custom_backend --features conformance   # and let the suite judge it
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tripod::BoxFuture;
use tripod::lock::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, FencePass, FencingToken, Grant, Held,
    HolderId, Inspection, Lease, LockBackend, LockName, Queued, Renewed, Request, Standing, Verb,
    Verdict, Waiter, judge,
};

/// All locks of a process. Simple rather than fast: each step looks at all of them.
#[derive(Debug, Default)]
struct Ledger {
    pages: Mutex<BTreeMap<LockName, Page>>,
    /// Of arrivals and grants of all names. It outlives every name, so that tokens never repeat;
    /// a store that outlives its process keeps it with the locks.
    count: AtomicU64,
    /// Whoever listens looks again after every step.
    stepped: Notify,
}

/// The entries of a name.
type Page = BTreeMap<HolderId, Line>;

/// An entry: a waiter, or a holder if it has a pass.
#[derive(Debug)]
struct Line {
    request: Request,
    arrival: u64,
    expires: Instant,
    pass: Option<FencePass>,
}

impl Line {
    fn holder(&self) -> HolderId {
        self.request.entry().holder()
    }

    fn waiter(&self) -> Waiter {
        let (mode, priority) = (self.request.mode(), self.request.priority());
        Waiter::new(self.holder(), mode, priority, self.arrival)
    }

    /// Begins the lease anew. Nothing is sent here, so `now` is before the request.
    fn renew(&mut self, now: Instant) -> Lease {
        self.expires = now + self.request.ttl();
        Lease::new(now, self.request.ttl())
    }

    fn verdict(&self, page: &Page) -> Verdict {
        let (holders, waiters): (Vec<_>, Vec<_>) = page.values().partition(|l| l.pass.is_some());
        let modes = holders.iter().map(|line| line.request.mode());
        let queue = waiters.iter().map(|line| line.waiter());
        judge(&self.waiter(), self.request.waits(), modes, queue)
    }
}

impl Ledger {
    fn count(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Looks at a name as it is now. The leases that are over end here, those of all names, so
    /// that none is left to take space.
    fn look<R>(&self, name: &LockName, look: impl FnOnce(&mut Page, Instant) -> R) -> R {
        let (now, mut pages) = (Instant::now(), self.pages.lock());
        let expire = |page: &mut Page| page.retain(|_, line| line.expires > now);
        pages.values_mut().for_each(expire);
        let answer = look(pages.entry(name.clone()).or_default(), now);
        pages.retain(|_, page| !page.is_empty());
        answer
    }

    /// Takes a step on a name, and lets all who listen look again.
    fn step<R>(&self, name: &LockName, step: impl FnOnce(&mut Page, Instant) -> R) -> R {
        let answer = self.look(name, step);
        self.stepped.notify_waiters();
        answer
    }

    /// Writes a line that is not on the page: as a holder if it may hold, else as a waiter.
    fn write(&self, page: &mut Page, mut line: Line, now: Instant) -> Claimed {
        let lease = line.renew(now);
        let verdict = match line.pass {
            Some(_) => Verdict::Admit,
            None => line.verdict(page),
        };
        let answer = match verdict {
            Verdict::Foreign(family) => return Claimed::Foreign(family),
            Verdict::Wait => {
                let first = page.values().map(|line| line.expires).min();
                let recheck = first.map_or(lease.ttl(), |first| first - now);
                Claimed::Waiting(Standing::new(lease, recheck))
            }
            Verdict::Admit => {
                let pass = line.pass.get_or_insert_with(|| self.pass(page));
                Claimed::Granted(Grant::new(*pass, lease))
            }
        };
        page.insert(line.holder(), line);
        answer
    }

    /// The pass of one that holds from now on, beside those who do already.
    fn pass(&self, page: &Page) -> FencePass {
        let token = FencingToken::new(self.count());
        let tokens = page.values().filter_map(|line| Some(line.pass?.token()));
        let floor = tokens.min().unwrap_or(token);
        // Tokens rise, so no floor is above the token: the other pass is never given.
        FencePass::shared(token, floor).unwrap_or(FencePass::exclusive(token))
    }

    /// Strikes out the lines of which `ends` says so, and answers whether there were any.
    fn end(&self, name: &LockName, ends: impl Fn(&Line) -> bool) -> bool {
        self.step(name, |page, _| {
            let before = page.len();
            page.retain(|_, line| !ends(line));
            page.len() < before
        })
    }
}

impl LockBackend for Ledger {
    fn enqueue<'a>(&'a self, asked: &'a Request) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        let enqueue = |page: &mut Page, now| {
            // `write` wants it off the page.
            let id = asked.entry().holder();
            let line = page.remove(&id).unwrap_or_else(|| Line {
                request: asked.clone(),
                arrival: self.count(),
                expires: now,
                pass: None,
            });
            if line.request.mode() != asked.mode() {
                page.insert(id, line);
                return Err(BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue));
            }
            Ok(match self.write(page, line, now) {
                Claimed::Granted(grant) => Enqueued::Granted(grant),
                Claimed::Waiting(standing) if asked.waits() => Enqueued::Waiting(standing),
                Claimed::Foreign(family) => Enqueued::Foreign(family),
                Claimed::Waiting(_) | Claimed::Gone => {
                    page.remove(&id);
                    Enqueued::Held
                }
            })
        };
        Box::pin(async move { self.step(asked.entry().name(), enqueue) })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        let waits = |page: &mut Page, _| {
            let line = page.get(&entry.holder());
            line.is_some_and(|line| line.pass.is_none() && line.verdict(page) == Verdict::Wait)
        };
        Box::pin(async move {
            loop {
                // First listen, then look: what happens in between is heard.
                let mut stepped = std::pin::pin!(self.stepped.notified());
                stepped.as_mut().enable();
                if !self.look(entry.name(), waits) {
                    return Ok(());
                }
                stepped.await;
            }
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        let claim = |page: &mut Page, now| match page.remove(&entry.holder()) {
            Some(line) => self.write(page, line, now),
            None => Claimed::Gone,
        };
        Box::pin(async move { Ok(self.step(entry.name(), claim)) })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        let renew = |entry: &Entry| {
            self.look(entry.name(), |page, now| {
                match page.get_mut(&entry.holder()) {
                    Some(line) => Renewed::Alive(line.renew(now)),
                    None => Renewed::Gone,
                }
            })
        };
        Box::pin(async move { entries.iter().map(|entry| Ok(renew(entry))).collect() })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        let held = |line: &Line| line.holder() == entry.holder() && line.pass.is_some();
        Box::pin(async move { Ok(self.end(entry.name(), held)) })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            self.end(entry.name(), |line| line.holder() == entry.holder());
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        let inspect = |page: &mut Page, now| {
            let (mut holders, mut queue) = (Vec::new(), Vec::new());
            for line in page.values() {
                let (remaining, metadata) = (line.expires - now, line.request.metadata().clone());
                let (id, mode) = (line.holder(), line.request.mode());
                match line.pass {
                    Some(pass) => holders.push(Held::new(id, mode, pass, remaining, metadata)),
                    None => queue.push(Queued::new(line.waiter(), remaining, metadata)),
                }
            }
            Inspection::new(holders, queue)
        };
        Box::pin(async move { Ok(self.look(name, inspect)) })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        let held = move |line: &Line| line.pass.is_some_and(|pass| pass.token() == token);
        Box::pin(async move { Ok(self.end(name, held)) })
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let (store, name) = (Ledger::default(), LockName::new("ledger/2024")?);
    let entry = |id| Entry::new(name.clone(), HolderId::new(7, id));
    let ask = |id| Request::new(entry(id), Duration::from_secs(10));
    let (one, other) = (ask(1)?, ask(2)?);
    let store: &dyn LockBackend = &store;
    println!("one enqueues: {:?}", store.enqueue(&one).await?);
    println!("other enqueues: {:?}", store.enqueue(&other).await?);
    println!("one releases: {}", store.release(one.entry()).await?);
    store.changed(other.entry()).await?;
    println!(
        "other is told, and claims: {:?}",
        store.claim(other.entry()).await?
    );
    println!("now hold: {:?}", store.inspect(&name).await?.holders());
    #[cfg(feature = "conformance")]
    suite::run().await?;
    Ok(())
}

/// The suite, in no time: the clock is paused, and the store reads no other.
#[cfg(feature = "conformance")]
mod suite {
    use std::sync::Arc;

    use tripod::lock::conformance::{Fixture, Report, run as judge};

    use super::{BackendError, BoxFuture, Duration, Ledger, LockBackend};

    struct Suite(Arc<Ledger>);

    impl Fixture for Suite {
        fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
            Box::pin(async { Ok(Arc::clone(&self.0) as Arc<dyn LockBackend>) })
        }

        fn ttl_min(&self) -> Duration {
            Duration::from_secs(1)
        }

        fn slack(&self) -> Duration {
            Duration::ZERO
        }

        fn sever<'a>(&'a self, _client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
            Box::pin(async {}) // There are no sessions.
        }
    }

    pub(super) async fn run() -> Result<(), Report> {
        let report = judge(&Suite(Arc::default())).await;
        report.passed().for_each(|case| println!("{case}"));
        println!(
            "{} of {} cases passed",
            report.passed().count(),
            report.cases().count()
        );
        report.into_result()
    }
}
