//! Fencing tokens, and the gate on the resource's side.

use std::fmt;

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
/// This one is for a value in memory. In a store of your own, keep the floor beside the value,
/// and let the statement that writes compare and raise it; in SQL:
///
/// ```sql
/// UPDATE account SET balance = $1, fence = GREATEST(fence, $3)  -- $3: the pass's floor
/// WHERE id = $2 AND fence <= $4                                  -- $4: the pass's token
/// -- no row changed: the writer is stale
/// ```
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
            return Err(Stale {
                token: pass.token,
                floor: self.floor,
            });
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

/// A write that came too late: a newer holder has been at the resource. Nothing was written; stop
/// and acquire the lock again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token} is below the floor {floor}")]
pub struct Stale {
    token: FencingToken,
    floor: FencingToken,
}

impl Stale {
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
