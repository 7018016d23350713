//! Fencing tokens, and the gate on the resource's side.

use std::convert::Infallible;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::future::BoxFuture;

/// A number that each grant of a lock carries, greater than that of any earlier grant of the same
/// name, across releases, expiries and restarts of the store.
///
/// 64 bits: a revision, a transaction id or a clock of microseconds, whatever the store counts
/// with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The token that a store gave as this number.
    #[must_use]
    pub fn new(token: u64) -> Self {
        Self(token)
    }

    /// The token as a number, to be stored beside what it protects.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for FencingToken {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a holder shows to a resource: its token, and the floor of its grant.
///
/// The floor is the lowest token among those who held when this one was granted, itself
/// included. For an exclusive holder it is its own token; readers admitted together have the
/// floor of the first, so that none of them shuts the others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FencePass {
    token: FencingToken,
    floor: FencingToken,
}

impl FencePass {
    /// The pass of one who holds alone.
    #[must_use]
    pub fn exclusive(token: FencingToken) -> Self {
        Self {
            token,
            floor: token,
        }
    }

    /// The pass of one who was granted `token` while others held, `floor` being the lowest token
    /// among all of them.
    ///
    /// # Errors
    /// [`FloorError`] for a floor above the token, which no store can have granted.
    pub fn shared(token: FencingToken, floor: FencingToken) -> Result<Self, FloorError> {
        if floor > token {
            return Err(FloorError { token, floor });
        }
        Ok(Self { token, floor })
    }

    /// The grant's token.
    #[must_use]
    pub fn token(self) -> FencingToken {
        self.token
    }

    /// The lowest token that may still write beside this grant.
    #[must_use]
    pub fn floor(self) -> FencingToken {
        self.floor
    }
}

/// A value that admits writes of current holders only: the resource's side of a lock.
///
/// A lock alone is advisory: a holder that was paused past its lease does not know that it is
/// late. The resource does, if it remembers the highest floor that it has seen and refuses
/// tokens below (M. Kleppmann: *How to do distributed locking*, 2016). Comparing and writing must
/// be one step, or a late write slips in between; so this type offers no bare check, and lends
/// the value for writing only inside the step. (A value that can be changed through a shared
/// reference, a `Mutex` say, escapes it: fence what is inside.)
///
/// This one is for a value in memory. For a store of your own there is [`FencedResource`].
///
/// ```
/// use tripod::lock::{FenceGate, FencePass, FencingToken};
///
/// let mut account = FenceGate::new(100);
/// let pass = |token| FencePass::exclusive(FencingToken::new(token));
/// account.write(pass(7), |balance| *balance += 10)?;
/// account.write(pass(8), |balance| *balance -= 50)?;
/// // The holder of token 7 wakes up, late.
/// assert!(account.write(pass(7), |balance| *balance = 0).is_err());
/// assert_eq!(*account.read(), 60);
/// # Ok::<(), tripod::lock::Stale>(())
/// ```
#[derive(Debug)]
pub struct FenceGate<T> {
    floor: FencingToken,
    value: T,
}

impl<T> FenceGate<T> {
    /// A gate that has seen nobody.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::resume(value, FencingToken(0))
    }

    /// A gate for a value that was stored with the highest floor it had seen.
    #[must_use]
    pub fn resume(value: T, floor: FencingToken) -> Self {
        Self { floor, value }
    }

    /// The value and its floor, to be stored together.
    #[must_use]
    pub fn into_parts(self) -> (T, FencingToken) {
        (self.value, self.floor)
    }

    /// The highest floor seen.
    #[must_use]
    pub fn floor(&self) -> FencingToken {
        self.floor
    }

    /// Lets the holder of `pass` write, if its token is at or above the highest floor seen, and
    /// raises the floor to that of the pass. A floor is raised even if `write` panics.
    ///
    /// # Errors
    /// [`Stale`] if a newer holder has been here; nothing was written.
    pub fn write<R>(
        &mut self,
        pass: FencePass,
        write: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Stale> {
        if pass.token < self.floor {
            return Err(Stale::new(pass.token, self.floor));
        }
        self.floor = self.floor.max(pass.floor);
        Ok(write(&mut self.value))
    }

    /// The value as it is. Reading is not fenced.
    #[must_use]
    pub fn read(&self) -> &T {
        &self.value
    }
}

/// A resource in a store of your own that admits writes of current holders only: what
/// [`FenceGate`] is for a value in memory, and what a `Mutex<FenceGate<T>>` implements.
///
/// # The law
///
/// Beside what it protects, the store keeps the highest floor that it has seen. In one atomic
/// step, `write` compares the pass's token with it; refuses if the token is below, and then changes
/// nothing; and else writes, and raises the floor to the pass's if that is higher. What is written
/// and the floor are durable together. A bare check before the write is no fence: a pause between
/// the two lets a late writer in.
///
/// In SQL it is one statement:
///
/// ```sql
/// UPDATE account
///    SET balance = $1, fence = GREATEST(fence, $2)  -- $2: the pass's floor
///  WHERE id = $3 AND fence <= $4                    -- $4: the pass's token
/// -- no row changed: the writer is stale
/// ```
pub trait FencedResource: Send + Sync {
    /// What is to be written.
    type Write: Send;
    /// How the store fails.
    type Error;

    /// Writes for the holder of `pass`, or refuses.
    ///
    /// # Errors
    /// [`FenceError::Stale`]: nothing was written, and nothing will be. [`FenceError::Store`]: as
    /// the store says.
    fn write(
        &self,
        pass: FencePass,
        write: Self::Write,
    ) -> BoxFuture<'_, Result<(), FenceError<Self::Error>>>;
}

/// Why a fenced write was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceError<E> {
    /// A newer holder has been there. Stop, and acquire the lock again.
    #[error("the writer's lock is another's by now")]
    Stale(#[from] Stale),
    /// The store failed, in a way of its own.
    #[error("the store of the resource failed")]
    Store(#[source] E),
}

impl<T: Send> FencedResource for Mutex<FenceGate<T>> {
    type Write = Box<dyn FnOnce(&mut T) + Send>;
    type Error = Infallible;

    fn write(
        &self,
        pass: FencePass,
        write: Self::Write,
    ) -> BoxFuture<'_, Result<(), FenceError<Infallible>>> {
        Box::pin(async move {
            // A writer that panicked has raised the floor before, as it should.
            let mut gate = self.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(gate.write(pass, write)?)
        })
    }
}

/// A write that came too late: a newer holder has been at the resource. Nothing was written; stop
/// and acquire the lock again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token} is below the floor {floor}")]
pub struct Stale {
    token: FencingToken,
    floor: FencingToken,
}

impl Stale {
    /// A write with this token, where the resource has seen this floor.
    #[must_use]
    pub fn new(token: FencingToken, floor: FencingToken) -> Self {
        Self { token, floor }
    }

    /// The token of the write.
    #[must_use]
    pub fn token(self) -> FencingToken {
        self.token
    }

    /// The highest floor that the resource has seen.
    #[must_use]
    pub fn floor(self) -> FencingToken {
        self.floor
    }
}

/// A floor above the token beside it. Nothing was created; what came from the store is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the floor {floor} is above the token {token}")]
pub struct FloorError {
    token: FencingToken,
    floor: FencingToken,
}
