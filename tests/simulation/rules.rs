//! The safety rules, each of which can be switched off: what a run without it does, an oracle
//! must notice.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tripod::BoxFuture;
use tripod::lock::{
    BackendError, Claimed, Enqueued, Entry, FenceGate, FencePass, FencingToken, Grant, Held,
    HolderId, Inspection, Lease, LockBackend, LockName, MemoryBackend, Renewed, Request, Standing,
};

/// What keeps a run safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A holder stops at its deadline. Off: it is told of leases ten times as long as they are.
    Deadline,
    /// A release ends the entry of the one who asks. Off: that of whoever holds.
    HolderOfRelease,
    /// A renewal is about the entry of the one who asks. Off: about whoever holds.
    HolderOfRenewal,
    /// A claim judges again. Off: whoever has waited is granted.
    Recheck,
    /// A token is drawn when the lock is granted. Off: when the queue is entered.
    TokenAtGrant,
    /// Tokens go on when nobody holds. Off: they begin anew.
    Counter,
    /// The queue goes by priority. Off: by the contrary.
    Priority,
    /// Leases end. Off: any step on a name begins all of them anew.
    Expiry,
    /// The resource compares tokens. Off: it admits all.
    Comparison,
    /// The resource admits whoever is at or above the floor. Off: the last token seen.
    Floor,
}

/// What a lock protects.
#[derive(Debug)]
pub struct Resource {
    gate: FenceGate<()>,
    off: Option<Rule>,
}

impl Resource {
    pub fn new(off: Option<Rule>) -> Self {
        let gate = FenceGate::new(());
        Self { gate, off }
    }

    /// Writes, and says whether that was admitted.
    pub fn write(&mut self, pass: FencePass) -> bool {
        let pass = match self.off {
            Some(Rule::Floor) => FencePass::exclusive(pass.token()),
            _ => pass,
        };
        self.gate.write(pass, |()| ()).is_ok() || self.off == Some(Rule::Comparison)
    }
}

/// The store in memory, with a rule switched off.
#[derive(Debug)]
pub struct Store {
    memory: MemoryBackend,
    off: Option<Rule>,
    /// Drawn too early, where tokens are drawn on arrival.
    tokens: Mutex<HashMap<HolderId, FencingToken>>,
    /// Where tokens begin anew: the first since nobody held, by name.
    firsts: Mutex<HashMap<LockName, u64>>,
}

impl Store {
    pub fn new(off: Option<Rule>) -> Self {
        Self {
            memory: MemoryBackend::new(),
            off,
            tokens: Mutex::default(),
            firsts: Mutex::default(),
        }
    }

    /// How many names take up space.
    pub fn names(&self) -> usize {
        self.memory.names()
    }

    fn is_off(&self, rule: Rule) -> bool {
        self.off == Some(rule)
    }

    fn told(&self, lease: Lease) -> Lease {
        let times = if self.is_off(Rule::Deadline) { 10 } else { 1 };
        Lease::new(Instant::now(), lease.ttl() * times)
    }

    fn grant(&self, entry: &Entry, grant: Grant) -> Grant {
        let mut pass = grant.pass();
        let early = self.tokens.lock().get(&entry.holder()).copied();
        if let Some(early) = early {
            pass = FencePass::exclusive(early);
        }
        if self.is_off(Rule::Counter) {
            let (token, floor) = (pass.token().as_u64(), pass.floor().as_u64());
            let mut firsts = self.firsts.lock();
            let first = firsts.entry(entry.name().clone()).or_insert(token);
            if token == floor {
                *first = token;
            }
            let since = |token: u64| FencingToken::new(token - *first + 1);
            pass = FencePass::shared(since(token), since(floor.max(*first))).unwrap();
        }
        Grant::new(pass, self.told(grant.lease()))
    }

    fn standing(&self, standing: Standing) -> Standing {
        Standing::new(self.told(standing.lease()), standing.recheck())
    }

    /// The next token, by way of a lock that nobody else uses.
    async fn token(&self) -> Result<FencingToken, BackendError> {
        let entry = Entry::new(LockName::new("tokens").unwrap(), HolderId::new(0, 0));
        let request = Request::new(entry.clone(), Duration::from_secs(1)).unwrap();
        let Enqueued::Granted(grant) = self.memory.enqueue(&request).await? else {
            panic!("nobody else uses it");
        };
        self.memory.release(&entry).await?;
        Ok(grant.pass().token())
    }

    async fn holder(&self, name: &LockName) -> Result<Option<(Entry, FencingToken)>, BackendError> {
        let inspection = self.memory.inspect(name).await?;
        let first = inspection.holders().first();
        Ok(first.map(|held| {
            let entry = Entry::new(name.clone(), held.holder());
            (entry, held.pass().token())
        }))
    }

    /// Begins all leases of this name anew.
    async fn prolong(&self, name: &LockName) -> Result<(), BackendError> {
        let inspection = self.memory.inspect(name).await?;
        let holders = inspection.holders().iter().map(Held::holder);
        let waiters = inspection.waiters().iter().map(|it| it.waiter().holder());
        let all = holders
            .chain(waiters)
            .map(|it| Entry::new(name.clone(), it));
        let all: Vec<Entry> = all.collect();
        let _ = self.memory.renew(&all).await;
        Ok(())
    }
}

impl LockBackend for Store {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            let holder = request.entry().holder();
            if self.is_off(Rule::Expiry) {
                self.prolong(request.entry().name()).await?;
            }
            let enqueued = if self.is_off(Rule::Priority) {
                let contrary = u8::MAX - request.priority();
                let request = request.clone().with_priority(contrary);
                self.memory.enqueue(&request).await?
            } else {
                self.memory.enqueue(request).await?
            };
            Ok(match enqueued {
                Enqueued::Granted(grant) => Enqueued::Granted(self.grant(request.entry(), grant)),
                Enqueued::Waiting(standing) => {
                    if self.is_off(Rule::TokenAtGrant) {
                        let token = self.token().await?;
                        self.tokens.lock().entry(holder).or_insert(token);
                    }
                    Enqueued::Waiting(self.standing(standing))
                }
                Enqueued::Held | Enqueued::Foreign(_) => enqueued,
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.memory.changed(entry)
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            if self.is_off(Rule::Expiry) {
                self.prolong(entry.name()).await?;
            }
            Ok(match self.memory.claim(entry).await? {
                Claimed::Granted(grant) => Claimed::Granted(self.grant(entry, grant)),
                Claimed::Waiting(standing) if self.is_off(Rule::Recheck) => {
                    self.memory.leave(entry).await?;
                    let pass = FencePass::exclusive(self.token().await?);
                    Claimed::Granted(Grant::new(pass, standing.lease()))
                }
                Claimed::Waiting(standing) => Claimed::Waiting(self.standing(standing)),
                other @ (Claimed::Foreign(_) | Claimed::Gone) => other,
            })
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let mut all = self.memory.renew(entries).await;
            for (renewed, entry) in all.iter_mut().zip(entries) {
                let gone = matches!(renewed, Ok(Renewed::Gone));
                if gone
                    && self.is_off(Rule::HolderOfRenewal)
                    && let Ok(Some((other, _))) = self.holder(entry.name()).await
                {
                    let others = self.memory.renew(&[other]).await;
                    *renewed = others.into_iter().next().unwrap();
                }
                if let Ok(Renewed::Alive(lease)) = renewed {
                    *lease = self.told(*lease);
                }
            }
            all
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let held = self.memory.release(entry).await?;
            if held || !self.is_off(Rule::HolderOfRelease) {
                return Ok(held);
            }
            match self.holder(entry.name()).await? {
                Some((_, token)) => self.memory.force_release(entry.name(), token).await,
                None => Ok(false),
            }
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        self.memory.leave(entry)
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        self.memory.inspect(name)
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        self.memory.force_release(name, token)
    }
}
