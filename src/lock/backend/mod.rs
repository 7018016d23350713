//! The trait that every store of locks implements.

mod answer;
#[cfg(any(
    feature = "etcd",
    feature = "postgres",
    feature = "redis",
    feature = "zookeeper"
))]
mod bells;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "etcd", feature = "redis", feature = "zookeeper"))]
mod encoding;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod inspection;
mod memory;
mod metadata;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod numbers;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod request;
#[cfg(feature = "zookeeper")]
mod zookeeper;

use std::fmt;
use std::sync::Arc;

use crate::future::BoxFuture;

use super::fence::FencingToken;
use super::name::LockName;

pub use answer::{Claimed, Enqueued, Grant, Renewed, Standing};
pub use error::{BackendError, BackendErrorKind, Verb};
#[cfg(feature = "etcd")]
pub use etcd::{ConnectEtcd, EtcdBackend};
pub use inspection::{Held, Inspection, Queued};
pub use memory::MemoryBackend;
pub use metadata::{Metadata, MetadataError};
#[cfg(feature = "postgres")]
pub use postgres::{ConnectPostgres, MigratePostgres, PostgresBackend, SchemaError};
#[cfg(feature = "redis")]
pub use redis::{ConnectRedis, RedisBackend};
pub use request::{Entry, Request, TtlError};
#[cfg(feature = "zookeeper")]
pub use zookeeper::{ConnectZooKeeper, ZooKeeperBackend};

/// A store of locks: the contract between the handle ([`Locks`](super::Locks)) and the world.
///
/// # The law
///
/// An implementor obeys every sentence here and at the methods; the feature `conformance` has a
/// test for each.
///
/// **Steps.** Each method but [`changed`](Self::changed) and [`renew`](Self::renew) is one atomic
/// step of the store; `renew` is one for each of its entries. A future that is dropped may have
/// taken its step, may not have, and may still take it later. What a client sends again of its own
/// accord, it sends before it answers. What an error lets the caller
/// conclude stands at [`BackendErrorKind`]. Every call but `changed` ends by itself: a store that does not
/// answer within a time of the implementor's choosing is *indeterminate*, or *unavailable* if
/// nothing can have reached it. Every step may be taken again with the same arguments and does
/// not happen twice; its answer is then the present one.
///
/// **Entries.** A holder or a waiter is an entry of a name. Its [`HolderId`](super::HolderId) is
/// made for one acquisition, asks in one mode, and is never used again once it was released or
/// has left. What concerns an entry is asked of the client that entered it; `inspect` and
/// `force_release` are asked of any.
///
/// **Leases.** An entry lives for its TTL from the last step that began its lease anew: `enqueue`,
/// a `claim` that finds it, `renew`; where it shares a lease with others, from that one's last
/// renewal. Nothing else creates or prolongs one. By the store's clock
/// it is gone no sooner than that; and at most one TTL and the store's own granularity later,
/// though nobody touches the name, it blocks nobody. Its space is given back as the store is used. The store may put a longer
/// TTL in force than was asked for. Where entries share a lease or a session with others of the
/// process, the implementor removes those that `renew` and `claim` have stopped naming, while the
/// process lives, and the session's end removes them when it does not. Answers carry the
/// [`Lease`](super::Lease) in force, its time read *before* the request was sent that proved it,
/// so that nobody believes in a lease for longer than the store does.
///
/// **Grants.** Who may hold is what [`judge`](super::judge) says of the entries of the name as
/// they are in that step. A grant carries a fencing token greater than that of any earlier grant
/// of the name, across releases, expiries and restarts of the store, drawn in the step that grants
/// and not in the one that entered the queue; and the lowest token among those who hold then. A
/// holder is never displaced, and its token and floor never change.
///
/// **Names.** Distinct names never meet: none is a prefix or a neighbour of another in the store.
///
/// Use it through `Arc<dyn LockBackend>`, `Box<dyn LockBackend>` or by value: all forward.
pub trait LockBackend: fmt::Debug + Send + Sync + 'static {
    /// Grants a request that may hold; else enters it in the queue; or leaves nothing behind if
    /// it does not wait. One that does not wait passes no waiter, whatever its priority.
    ///
    /// If the id has an entry in this mode already, nothing is created: the lease begins anew, and
    /// the answer is about that entry, a waiting one granted as by [`claim`](Self::claim). Of what
    /// else a repeat asks for, nothing is looked at.
    ///
    /// # Errors
    /// *Indeterminate*: there may be an entry, or there may yet be; [`leave`](Self::leave)
    /// removes it. *Rejected*: the id has an entry in another mode, which stays as it is.
    fn enqueue<'a>(&'a self, request: &'a Request)
    -> BoxFuture<'a, Result<Enqueued, BackendError>>;

    /// Returns once a `claim` of this entry might answer something else than waiting, and at once
    /// if it might now. May be called by several at a time: all return. May return without
    /// reason. May miss what time alone does, the end of a lease; callers look again after
    /// [`Standing::recheck`] as well.
    ///
    /// # Errors
    /// Any kind: nothing is known of the entry. Callers look again.
    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Grants a waiter that may hold now. Answers a holder its grant. Begins the lease of either
    /// anew.
    ///
    /// # Errors
    /// *Indeterminate*: it may hold. Claim again.
    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>>;

    /// Begins the leases of these entries anew, holders and waiters alike, and answers for each,
    /// in their order. Never creates an entry. One entry's failure is not another's.
    ///
    /// # Errors
    /// *Indeterminate*, for an entry: it may have been renewed. Trust the lease that was proved
    /// before.
    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>>;

    /// Ends this id's entry if it holds, and answers whether it did. Does nothing to any other.
    /// The first `true` means that nobody else can have held in between; a repeat's `false` says
    /// only that it is gone now. Waiters that may hold now are told.
    ///
    /// # Errors
    /// *Indeterminate*: it may hold until its lease is over.
    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// Ends whatever entry this id has, waiter or holder, and sees to it that an `enqueue` of this
    /// id that is still under way leaves none beyond its TTL. Waiters that may hold now are told.
    ///
    /// # Errors
    /// *Indeterminate*: there may be an entry until its lease is over.
    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Who holds and who waits, as of one instant.
    ///
    /// # Errors
    /// Any kind: nothing was learned.
    fn inspect<'a>(&'a self, name: &'a LockName)
    -> BoxFuture<'a, Result<Inspection, BackendError>>;

    /// Ends the entry of the holder with this fencing token, and answers whether there was one.
    /// It is the token that an operator saw, so a late command does not hit a later holder.
    /// Waiters that may hold now are told.
    ///
    /// # Errors
    /// *Indeterminate*: it may have ended. Look again by [`inspect`](Self::inspect).
    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<B: LockBackend + ?Sized> LockBackend for $pointer<B> {
            fn enqueue<'a>(
                &'a self,
                request: &'a Request,
            ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
                (**self).enqueue(request)
            }

            fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
                (**self).changed(entry)
            }

            fn claim<'a>(
                &'a self,
                entry: &'a Entry,
            ) -> BoxFuture<'a, Result<Claimed, BackendError>> {
                (**self).claim(entry)
            }

            fn renew<'a>(
                &'a self,
                entries: &'a [Entry],
            ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
                (**self).renew(entries)
            }

            fn release<'a>(
                &'a self,
                entry: &'a Entry,
            ) -> BoxFuture<'a, Result<bool, BackendError>> {
                (**self).release(entry)
            }

            fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
                (**self).leave(entry)
            }

            fn inspect<'a>(
                &'a self,
                name: &'a LockName,
            ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
                (**self).inspect(name)
            }

            fn force_release<'a>(
                &'a self,
                name: &'a LockName,
                token: FencingToken,
            ) -> BoxFuture<'a, Result<bool, BackendError>> {
                (**self).force_release(name, token)
            }
        }
    };
}

forward!(Arc);
forward!(Box);
