//! Who may hold next: the one rule of every backend.
//!
//! Pure: no I/O, no clock, no randomness. A backend shows it who holds and who waits, as the
//! store has them at one instant, and does what it says.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use super::name::HolderId;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Alone.
    Exclusive,
    /// Together with other shared holders: a reader.
    Shared,
    /// Some permits of a semaphore. `n` above `of` is refused before anything is sent.
    Permits {
        /// How many permits.
        n: NonZeroU32,
        /// How many there are in all; everybody who uses the name must say the same.
        of: NonZeroU32,
    },
}

/// What a name is used as. While anyone holds or waits, it is used as one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Exclusive and shared.
    ReaderWriter,
    /// Permits of this many.
    Permits {
        /// How many there are in all.
        of: NonZeroU32,
    },
}

impl Mode {
    /// What a name must be used as for this mode.
    #[must_use]
    pub fn family(self) -> Family {
        match self {
            Self::Exclusive | Self::Shared => Family::ReaderWriter,
            Self::Permits { of, .. } => Family::Permits { of },
        }
    }

    /// Whether two may not hold at once, permits aside, which are counted.
    fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Shared, Self::Shared) | (Self::Permits { .. }, Self::Permits { .. }) => false,
            (Self::Exclusive | Self::Shared | Self::Permits { .. }, _) => true,
        }
    }

    fn permits(self) -> u64 {
        match self {
            Self::Exclusive | Self::Shared => 0,
            Self::Permits { n, .. } => u64::from(n.get()),
        }
    }
}

/// Someone in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    /// Who.
    pub holder: HolderId,
    /// How it wants to hold.
    pub mode: Mode,
    /// Larger goes first.
    pub priority: u8,
    /// When it came, as the store counts; among equal priorities, smaller goes first.
    pub arrival: u64,
}

impl Waiter {
    /// The queue's order: by priority, then by arrival.
    #[must_use]
    pub fn order(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.priority), self.arrival)
    }
}

/// What may be done with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may hold now.
    Admit,
    /// It has to wait.
    Wait,
    /// The name is used as something else.
    Foreign(Family),
}

/// Whether a candidate may hold.
///
/// - Nobody who holds is displaced: it waits for every holder that its mode excludes, and for
///   permits enough.
/// - Nobody is overtaken by one further back whose mode it excludes; of permits, nobody at all
///   is overtaken, so that a large request is not starved by small ones.
///
/// `waiters` are those to respect: for one who waits, all (those behind it are passed over here);
/// for one who will not wait, all, with `candidate.order()` last, since it may overtake nobody.
/// The candidate itself is ignored where it is among them. O(holders + waiters).
pub fn judge(
    candidate: &Waiter,
    holders: impl IntoIterator<Item = Mode>,
    waiters: impl IntoIterator<Item = Waiter>,
) -> Verdict {
    let mut admit = true;
    let mut taken = 0_u64;
    for mode in holders {
        if mode.family() != candidate.mode.family() {
            return Verdict::Foreign(mode.family());
        }
        taken += mode.permits();
        admit &= !candidate.mode.excludes(mode);
    }
    for waiter in waiters
        .into_iter()
        .filter(|waiter| waiter.holder != candidate.holder)
    {
        if waiter.mode.family() != candidate.mode.family() {
            return Verdict::Foreign(waiter.mode.family());
        }
        let ahead = waiter.order() < candidate.order();
        let counts =
            matches!(candidate.mode, Mode::Permits { .. }) || candidate.mode.excludes(waiter.mode);
        admit &= !(ahead && counts);
    }
    if let Mode::Permits { n, of } = candidate.mode {
        admit &= taken + u64::from(n.get()) <= u64::from(of.get());
    }
    if admit { Verdict::Admit } else { Verdict::Wait }
}
