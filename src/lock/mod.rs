//! Lease-based locks: the parts that the handle of users is to stand on.
//!
//! **A lock is advisory unless the resource checks the fencing token.** A holder that is paused
//! past its lease does not know that it is late, and no store can stop its writes; the resource
//! can, through a [`FenceGate`] or the same comparison in its own store.
//!
//! ```
//! use std::time::Duration;
//! use tripod::lock::{Enqueued, Entry, HolderId, LockBackend, MemoryBackend, Metadata, Mode, Request};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryBackend::new();
//! let request = |count| Request {
//!     entry: Entry {
//!         name: "orders/17".try_into().unwrap(),
//!         holder: HolderId::new(0x7f3a, count),
//!         ttl: Duration::from_secs(10),
//!     },
//!     mode: Mode::Exclusive,
//!     priority: 0,
//!     waits: false,
//!     metadata: Metadata::default(),
//! };
//! assert!(matches!(store.enqueue(&request(1)).await?, Enqueued::Granted(_)));
//! assert!(matches!(store.enqueue(&request(2)).await?, Enqueued::Held(_)));
//! assert!(store.release(&request(1).entry).await?);
//! # Ok(())
//! # }
//! ```
//!
//! # What is here, and what is not
//!
//! Here are the rule of the queue ([`judge`]: priority, then arrival; exclusive, shared and
//! permits in one), the arithmetic of leases ([`Lease`]), fencing ([`FencePass`], [`FenceGate`]),
//! the contract of a store ([`LockBackend`]), and the store in memory ([`MemoryBackend`]).
//!
//! Not here yet: the handle that renews, waits, releases on drop and tells of loss, and stores
//! beyond this process. Until then whoever calls a store renews by hand, and stops at
//! [`Lease::deadline`].
//!
//! # What it does not guarantee
//!
//! - That a holder is alone, see above.
//! - That everybody is served: lower priorities may starve behind higher ones.
//! - Re-entrance: a holder that asks again waits for itself.
//!
//! # Sources
//!
//! - C. Gray, D. Cheriton: *Leases: An Efficient Fault-Tolerant Mechanism for Distributed File
//!   Cache Consistency*, SOSP 1989.
//! - M. Burrows: *The Chubby Lock Service for Loosely-Coupled Distributed Systems*, OSDI 2006,
//!   §2.4: sequencers.
//! - M. Kleppmann: *How to do distributed locking*, 2016: fencing tokens.

mod backend;
mod error;
mod fence;
mod lease;
mod name;
mod queue;

pub use backend::{
    Claimed, Enqueued, Entry, Grant, Held, Inspection, LockBackend, MemoryBackend, Metadata,
    MetadataError, Queued, Renewed, Request, Standing,
};
pub use error::{BackendError, BackendErrorKind};
pub use fence::{FenceGate, FencePass, FencingToken, Stale};
pub use lease::{Lease, TTL_MAX, TTL_MIN};
pub use name::{HolderId, LockName, NameError};
pub use queue::{Family, Mode, Verdict, Waiter, judge};
