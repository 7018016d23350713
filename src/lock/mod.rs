//! Leased locks: the pure parts, so far.
//!
//! **A lock is advisory unless the resource checks the fencing token.** A holder that is paused
//! past its lease does not know that it is late, and no store can stop its writes; the resource
//! can, through a [`FenceGate`] or the same comparison in its own store.
//!
//! ```
//! use tripod::lock::{FenceGate, FencePass, FencingToken};
//!
//! let mut account = FenceGate::new(100);
//! let pass = |token| FencePass::exclusive(FencingToken::new(token));
//! account.write(pass(8), |balance| *balance -= 50)?;
//! // The holder of token 7 wakes up, late: nothing is written.
//! assert!(account.write(pass(7), |balance| *balance = 0).is_err());
//! # Ok::<(), tripod::lock::Stale>(())
//! ```
//!
//! # What is here, and what is not
//!
//! Here are the rule of the queue ([`judge`]: priority, then arrival; exclusive, shared and
//! permits in one), the arithmetic of leases ([`Lease`]), fencing ([`FencePass`], [`FenceGate`]),
//! names and ids. They do no I/O, and the time is an argument.
//!
//! Not here yet: stores of locks, in memory or beyond the process, and the handle that acquires,
//! renews, releases on drop and tells of loss. With tokens of a store of your own, fencing works
//! today.
//!
//! # What it does not guarantee
//!
//! - That a holder is alone, see above.
//! - That everybody is served: lower priorities may starve behind higher ones.
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

pub use acquire::{Acquire, IfFree, One};
pub use backend::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Grant, Held, Inspection, LockBackend,
    MemoryBackend, Metadata, MetadataError, Queued, Renewed, Request, Standing, TtlError, Verb,
};
pub use election::{Election, Leader, Leadership, Observer};
pub use error::{AcquireError, Loss, RunError};
pub use fence::{FenceGate, FencePass, FencingToken, FloorError, Stale};
pub use guard::LockGuard;
pub use lease::{Lease, TTL_MAX, TTL_MIN};
pub use locks::Locks;
pub use name::{HolderId, LockName, NameError};
pub use options::Wait;
pub use queue::{Family, Mode, Permits, PermitsError, Verdict, Waiter, heirs, judge};
pub use set::{All, LockSet};
pub use stats::LockStats;
