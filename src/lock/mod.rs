//! Locks that end by themselves: leases over a store, with fencing tokens.
//!
//! # What a lock does not guarantee
//!
//! **A lock is advisory unless the resource checks the fencing token.** A holder that is paused
//! past its lease (a full collection in another runtime, a virtual machine that moves, a debugger)
//! does not know that it is late. When it wakes up, another holds, and nothing that a store of
//! locks can do stops the write that is already on its way. The resource can: by a [`FenceGate`],
//! or by the same comparison in its own store ([`FencedResource`]). Without that, use locks to save
//! work that would be done twice, not to keep money right.
//!
//! - *That a lease lives.* It can be lost at any time. [`LockGuard::check`] tells before a step,
//!   [`LockGuard::lost`] and a cancellation token tell during one, [`Acquire::run`] drops the
//!   work; none of them is faster than the pause that it is about.
//! - *That everybody is served.* Lower priorities may starve behind higher ones.
//! - *Re-entrance.* A task that acquires a lock that it holds waits for itself.
//! - *Clocks that run more than 1 % apart.* A holder stops believing in its lease 1 % and 2 ms
//!   early. Clocks need not agree on the time of day, only on how long a second is.
//!
//! # The problem
//!
//! One of many processes is to do a thing, and any of them may die, hang or be cut off while it
//! does. So a lock must end when its holder does not say that it lives; and everything that can
//! be lost on the way between holder and store will be lost some day: requests, answers, futures.
//!
//! ```
//! use std::time::Duration;
//! use tripod::lock::{FenceGate, Locks, MemoryBackend};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let locks = Locks::new(MemoryBackend::new());
//! let mut account = FenceGate::new(100);
//!
//! let guard = locks
//!     .acquire("account/17")
//!     .ttl(Duration::from_secs(10)) // others wait no longer than that if this process dies
//!     .wait(Duration::from_secs(5))
//!     .await?;
//! account.write(guard.pass(), |balance| *balance -= 30)?;
//! let held = guard.release().await?;
//! assert!(held); // nobody else can have held it meanwhile
//!
//! // With a result, and dropped where it awaits if the lease is lost:
//! let balance = locks.acquire("account/17").run(async |pass| {
//!     account.write(pass, |balance| { *balance += 5; *balance })
//! });
//! assert_eq!(balance.await??, 75);
//! # Ok(())
//! # }
//! ```
//!
//! # What is guaranteed
//!
//! - *Exclusion, by the store's clock*: no two hold in modes that exclude each other
//!   ([`Mode`]: exclusive, shared, permits of a semaphore), and no holder believes in its lease
//!   when it has run out in the store: the deadline counts from before the request was sent whose
//!   answer proved the lease. (One that an operator took away by force is believed in until it is
//!   renewed.)
//! - *Fencing*: each grant of a name carries a [`FencingToken`] greater than all before.
//! - *Order*: larger priorities first, then arrival. Nobody who asks without waiting passes one
//!   who waits; a large request for permits is not starved by small ones ([`judge`]).
//! - *Nothing is left behind*: a guard or a future that is dropped, at any await, inside a runtime
//!   or not, frees its lock or leaves the queue in the background; what a lost request or a dead
//!   process leaves ends with its lease.
//! - *A loss is told at its deadline*, though a renewal hangs, and is final.
//!
//! # How it is built
//!
//! [`LockBackend`] is the one trait of every store, and its documentation the law that each obeys;
//! the feature `conformance` tests it, on stores of your own too. [`Locks`] is the handle. It has
//! one task that renews all leases and tells of losses, and one that cleans up; both end with the
//! last clone and guard. The decisions are pure: [`judge`] who may hold, [`Lease`] until when,
//! [`FencePass`] what to show.
//!
//! | store | clock | TTL | fencing token | what a restart loses |
//! |---|---|---|---|---|
//! | [`MemoryBackend`] | this process's, monotonic | as asked | a counter | everything: it lives and dies with its users |
//! | `EtcdBackend` (feature `etcd`) | the leader's, monotonic | whole seconds, rounded up, and at least what the server grants: 2 s by default. Entries of one TTL share a lease: what is not renewed is removed by the process, and if that dies, by the store within one more TTL | the revision of the transaction that grants | nothing. Leases begin anew with a new leader: what the dead held is free up to a TTL later. A leader that was stopped and deposed may confirm a renewal that its successor does not know of, where the server does not ask the others first. A cluster restored from a snapshot loses what came after it, tokens included |
//! | `RedisBackend` (feature `redis`) | the server's time of day: a jump ends leases early or late | as asked, to the microsecond | microseconds of that clock, or one more than the last | with `appendfsync always` nothing; else what was acknowledged since the last sync, tokens included; at a failover what was not replicated |
//! | `ZooKeeperBackend` (feature `zookeeper`) | the leader's, monotonic | the session's timeout, 30 s unless the backend is told otherwise; longer ones are refused | the number of the transaction that granted (zxid) | nothing; sessions are counted anew, so locks of the dead live longer by as much |
//! | `PostgresBackend` (feature `postgres`) | the server's time of day: a jump ends leases early or late | as asked, to the microsecond | a sequence; a backup that is restored sets it back | nothing; at a failover what was not replicated |
//!
//! Each cell is tried on real servers under `tests/lock`: clocks that jump in `redis/clock.rs`; kills
//! and restarts in `redis/mod.rs`, `etcd/failures.rs`, `postgres/crash.rs`, `zookeeper/sessions.rs`;
//! failover in `redis/sentinel.rs` and `redis/cluster.rs`, and of a leader without followers in
//! `zookeeper/sessions.rs`; everything at once in `faults`. Taken from the servers' manuals and not
//! tried are a new leader of etcd, the failover of `PostgreSQL`, and backups that are restored.
//!
//! With [`renew(false)`](Acquire::renew) the process removes the entry at its deadline; if it dies
//! before, the store does: Redis and `PostgreSQL` at the end of the entry's own lease, etcd and
//! `ZooKeeper` within one more TTL, for there entries share a lease or a session.
//!
//! # A store of your own
//!
//! Any store will do that can compare and write in one atomic step, has a clock or leases of its own,
//! and a counter that outlives them. Implement [`LockBackend`], whose documentation is the law:
//!
//! 1. Keep the entries of a name together, holders and waiters, so that one step sees them all; let
//!    [`judge`] say who may hold.
//! 2. Draw the [`FencingToken`] in the step that grants. A waiter's number from when it entered the
//!    queue is not one: others were granted since.
//! 3. Read the [`Lease`]'s time before the request is sent, so that nobody believes in it for longer
//!    than the store does.
//! 4. Say [`Indeterminate`](BackendErrorKind::Indeterminate) whenever the step may have been taken,
//!    and see to it that `leave` also keeps out what is still under way.
//! 5. Run the suite of the feature `conformance` over it. The example `custom_backend` does all this in 300 lines.
//!
//! # What it costs
//!
//! In memory an acquisition and its release take less than a microsecond, and no task is
//! spawned; elsewhere they take the store's round trips. A lease is renewed three to four times
//! per TTL, in batches of up to 128. The renewal task looks only at the leases that are due.
//!
//! # Telling
//!
//! Events go to `tracing` under the target `tripod::lock`: the span `lock.acquire`; the events
//! `lock.waiting`, `lock.granted`, `lock.renewed`, `lock.renewal_failed`, `lock.lost`,
//! `lock.released`, `lock.cleaned`, `lock.abandoned`, `lock.store_failed`. They carry the name,
//! the holder id and the fencing token, never metadata. `lock.not_listening` says that a store's
//! connection for notifications was lost, and is made anew. [`Locks::stats`] has the counters.
//!
//! # Sources
//!
//! - C. Gray, D. Cheriton: *Leases: An Efficient Fault-Tolerant Mechanism for Distributed File
//!   Cache Consistency*, SOSP 1989.
//! - M. Burrows: *The Chubby Lock Service for Loosely-Coupled Distributed Systems*, OSDI 2006,
//!   §2.4: sequencers.
//! - M. Kleppmann: *How to do distributed locking*, 2016: fencing tokens.

mod acquire;
mod attempt;
mod backend;
mod election;
mod error;
mod event;
mod fence;
mod guard;
mod keeper;
mod lease;
mod leases;
mod limit;
mod locks;
mod name;
mod options;
mod queue;
mod reaper;
mod renewal;
mod set;
mod stats;
mod tenure;

#[cfg(any(
    feature = "etcd",
    feature = "postgres",
    feature = "redis",
    feature = "zookeeper"
))]
pub use crate::tls::Tls;
pub use acquire::{Acquire, IfFree, One};
#[cfg(feature = "conformance")]
pub use backend::conformance;
pub use backend::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Grant, Held, Inspection, LockBackend,
    MemoryBackend, Metadata, MetadataError, Queued, Renewed, Request, Standing, TtlError, Verb,
};
#[cfg(feature = "etcd")]
pub use backend::{ConnectEtcd, EtcdBackend};
#[cfg(feature = "postgres")]
pub use backend::{ConnectPostgres, MigratePostgres, PostgresBackend, SchemaError};
#[cfg(feature = "redis")]
pub use backend::{ConnectRedis, RedisBackend};
#[cfg(feature = "zookeeper")]
pub use backend::{ConnectZooKeeper, ZooKeeperBackend};
pub use election::{Election, Leader, Leadership, Observer};
pub use error::{AcquireError, Loss, RunError};
pub use fence::{
    FenceError, FenceGate, FencePass, FencedResource, FencingToken, FloorError, Stale,
};
pub use guard::LockGuard;
pub use lease::{Lease, TTL_MAX, TTL_MIN};
pub use locks::Locks;
pub use name::{HolderId, HolderIdError, LockName, NameError};
pub use options::Wait;
pub use queue::{Family, Mode, Permits, PermitsError, Verdict, Waiter, heirs, judge};
pub use set::{All, LockSet};
pub use stats::LockStats;
