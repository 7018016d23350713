//! The trait that every store of locks implements.

mod memory;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::future::BoxFuture;

use super::error::BackendError;
use super::fence::{FencePass, FencingToken};
use super::name::{HolderId, LockName};
use super::queue::{Family, Mode, Waiter};

pub use memory::MemoryBackend;

/// A store of locks: the contract between [`queue`](super::judge) and the world.
///
/// The law for an implementor. Each method is one atomic step of the store, but for `changed`,
/// and may be called again with the same arguments: the answer is then the present one, and
/// nothing happens twice. A future that is dropped may or may not have taken its step. An error
/// says by its [`BackendErrorKind`](super::BackendErrorKind) whether the step was taken.
///
/// **Entries.** A holder and a waiter are entries of a name, each with its holder id, mode,
/// priority and metadata, and a lease: the entry is gone once its TTL has passed since the last
/// step that began or renewed it, by the store's clock. An entry that is gone blocks nobody.
///
/// **Grants.** Who may hold is what [`judge`](super::judge) says of the entries at that instant.
/// A grant carries a fencing token greater than that of any earlier grant of the name, taken in
/// the step that grants, and the lowest token among the holders at that instant.
///
/// **Names.** Distinct names never meet: none is a prefix or a neighbour of another in the store.
///
/// Use it through `Arc<dyn LockBackend>` or by value; both forward.
pub trait LockBackend: fmt::Debug + Send + Sync + 'static {
    /// Grants the request if it may hold, and else enters it in the queue, or leaves nothing
    /// behind if it will not wait. One that will not wait overtakes no waiter, whatever its
    /// priority. If the holder id has an entry already, the answer is about that entry.
    ///
    /// # Errors
    /// *Indeterminate*: an entry may have been made; call `leave` to be sure it is gone.
    fn enqueue<'a>(&'a self, request: &'a Request)
    -> BoxFuture<'a, Result<Enqueued, BackendError>>;

    /// Returns once the answer to a `claim` may have become another than it was when `enqueue` or
    /// `claim` last answered this waiter; at once, if it has become so in between. May return
    /// without reason, and may miss that entries of others were gone without a word, so callers
    /// look again after [`Standing::recheck`] as well. Returns at once for an entry that is gone.
    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Grants a waiter's request if it may hold now. A holder's claim answers its grant again.
    ///
    /// # Errors
    /// *Indeterminate*: it may hold; claim again.
    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>>;

    /// Begins the leases of these entries anew, and answers for each, in order. Never makes an
    /// entry.
    ///
    /// # Errors
    /// *Indeterminate*: any of them may have been renewed; trust in none.
    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<Vec<Renewed>, BackendError>>;

    /// Ends a holder's entry, and answers whether there was one. Waiters that may hold now are
    /// told. Does nothing to another holder.
    ///
    /// # Errors
    /// *Indeterminate*: it may hold until its lease is over.
    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>>;

    /// Ends whatever entry this holder id has, waiter or holder, and sees to it that an `enqueue`
    /// of this id that is still under way leaves none beyond its TTL.
    ///
    /// # Errors
    /// *Indeterminate*: there may be an entry until its lease is over.
    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>>;

    /// Who holds and who waits, as of one instant.
    fn inspect<'a>(&'a self, name: &'a LockName)
    -> BoxFuture<'a, Result<Inspection, BackendError>>;

    /// Ends the entry of the holder with this fencing token, and answers whether there was one.
    /// The token is what an operator saw: a later holder is safe from a late command.
    ///
    /// # Errors
    /// *Indeterminate*: look again by `inspect`.
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
            ) -> BoxFuture<'a, Result<Vec<Renewed>, BackendError>> {
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

/// What names an entry in a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The lock.
    pub name: LockName,
    /// Whose entry.
    pub holder: HolderId,
    /// How long it lives without renewal.
    pub ttl: Duration,
}

/// A wish to hold.
#[derive(Clone, Debug)]
pub struct Request {
    /// The entry it is to become.
    pub entry: Entry,
    /// How to hold.
    pub mode: Mode,
    /// Larger goes first.
    pub priority: u8,
    /// Whether to wait where it may not hold at once.
    pub waits: bool,
    /// For whoever inspects the lock.
    pub metadata: Metadata,
}

/// Up to 1 KiB of text that a holder shows to whoever inspects the lock. `Debug` tells its length
/// only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Metadata(Arc<str>);

impl Metadata {
    /// The longest, in bytes: small enough to stand in every store beside the entry.
    pub const LEN_MAX: usize = 1024;

    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// [`MetadataError`] if it is longer than [`Metadata::LEN_MAX`].
    pub fn new(text: impl Into<Arc<str>>) -> Result<Self, MetadataError> {
        let text = text.into();
        match text.len() {
            len if len > Self::LEN_MAX => Err(MetadataError { len }),
            _ => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} bytes)", self.0.len())
    }
}

/// Metadata that is too long. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata of {len} bytes is longer than {} bytes", Metadata::LEN_MAX)]
pub struct MetadataError {
    len: usize,
}

/// Held from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What to show to the resource.
    pub pass: FencePass,
    /// The TTL in force, which may be longer than the one asked for.
    pub ttl: Duration,
}

/// Not held for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// After what time to look again even if nothing was heard: the shortest lease that stands
    /// in the way may be over then.
    pub recheck: Duration,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a grant that nobody knows of blocks others"]
pub enum Enqueued {
    /// It holds.
    Granted(Grant),
    /// It is in the queue.
    Waiting(Standing),
    /// It would have had to wait, and would not. Nothing is left of it.
    Held(Standing),
    /// The name is used as something else. Nothing is left of the request.
    Foreign(Family),
}

/// What became of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a grant that nobody knows of blocks others"]
pub enum Claimed {
    /// It holds.
    Granted(Grant),
    /// It still waits.
    Waiting(Standing),
    /// There is no such entry: its lease was over, or it was removed.
    Gone,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an entry that is gone must not be believed in"]
pub enum Renewed {
    /// It lives for this long from the step on.
    Alive {
        /// The TTL in force.
        ttl: Duration,
    },
    /// There is no such entry.
    Gone,
}

/// A lock at one instant.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Who holds, in the order of their grants.
    pub holders: Vec<Held>,
    /// Who waits, the next one first.
    pub waiters: Vec<Queued>,
}

/// A holder, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Who.
    pub holder: HolderId,
    /// How.
    pub mode: Mode,
    /// The grant's token and floor.
    pub pass: FencePass,
    /// How long its lease lives without renewal.
    pub remaining: Duration,
    /// What it said of itself.
    pub metadata: Metadata,
}

/// A waiter, as an operator sees it.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Who, how, and where in the queue.
    pub waiter: Waiter,
    /// How long its lease lives without renewal.
    pub remaining: Duration,
    /// What it said of itself.
    pub metadata: Metadata,
}
