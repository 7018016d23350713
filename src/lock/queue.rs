//! Who may hold next: the one rule of every store of locks.
//!
//! Pure: no I/O, no clock, no randomness. A store shows it who holds and who waits, as they are
//! at one instant, and does what it says.

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
    /// Some permits of a semaphore.
    Permits(Permits),
}

/// Some permits out of all that there are; never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permits {
    n: NonZeroU32,
    of: NonZeroU32,
}

impl Permits {
    /// `n` permits of `of`. Everybody who uses the name must say the same `of`.
    ///
    /// # Errors
    /// [`PermitsError`] for more than there are: they could never be had.
    pub fn new(n: NonZeroU32, of: NonZeroU32) -> Result<Self, PermitsError> {
        if n > of {
            return Err(PermitsError {
                n: n.get(),
                of: of.get(),
            });
        }
        Ok(Self { n, of })
    }

    /// How many.
    #[must_use]
    pub fn n(self) -> NonZeroU32 {
        self.n
    }

    /// How many there are in all.
    #[must_use]
    pub fn of(self) -> NonZeroU32 {
        self.of
    }
}

/// More permits than there are, or none. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{n} permits of {of} cannot be had")]
pub struct PermitsError {
    pub(super) n: u32,
    pub(super) of: u32,
}

/// What a name is used as. While anyone holds or waits, it is used as one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Exclusive and shared.
    ReaderWriter,
    /// Permits.
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
            Self::Permits(permits) => Family::Permits { of: permits.of },
        }
    }

    /// Whether two may not hold at once, permits aside, which are counted.
    fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Shared, Self::Shared) | (Self::Permits(_), Self::Permits(_)) => false,
            (Self::Exclusive | Self::Shared | Self::Permits(_), _) => true,
        }
    }

    fn permits(self) -> u64 {
        match self {
            Self::Exclusive | Self::Shared => 0,
            Self::Permits(permits) => u64::from(permits.n.get()),
        }
    }
}

/// Someone who wants to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waiter {
    holder: HolderId,
    mode: Mode,
    priority: u8,
    arrival: u64,
}

impl Waiter {
    /// One with this place in the queue: larger priorities first, then smaller arrivals, as the
    /// store counts them, and should the store count two alike, the smaller id.
    #[must_use]
    pub fn new(holder: HolderId, mode: Mode, priority: u8, arrival: u64) -> Self {
        Self {
            holder,
            mode,
            priority,
            arrival,
        }
    }

    /// Who.
    #[must_use]
    pub fn holder(&self) -> HolderId {
        self.holder
    }

    /// How it wants to hold.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The queue's order.
    #[must_use]
    pub fn order(&self) -> (Reverse<u8>, u64, HolderId) {
        (Reverse(self.priority), self.arrival, self.holder)
    }
}

/// What may be done with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the rule has no effect by itself"]
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
/// - One who `waits` passes nobody ahead in the queue whose mode it excludes, and with permits
///   nobody at all, so that a large request is not starved by small ones.
/// - One who does not wait passes no waiter, wherever it would stand in the queue.
///
/// The candidate itself is passed over where it is among the `waiters`. O(holders + waiters).
pub fn judge(
    candidate: &Waiter,
    waits: bool,
    holders: impl IntoIterator<Item = Mode>,
    waiters: impl IntoIterator<Item = Waiter>,
) -> Verdict {
    let mut admit = true;
    let mut taken = 0_u64;
    for mode in holders {
        if mode.family() != candidate.mode.family() {
            return Verdict::Foreign(mode.family());
        }
        taken = taken.saturating_add(mode.permits());
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
        let in_line =
            matches!(candidate.mode, Mode::Permits(_)) || candidate.mode.excludes(waiter.mode);
        admit &= waits && !(ahead && in_line);
    }
    if let Mode::Permits(Permits { n, of }) = candidate.mode {
        admit &= taken.saturating_add(u64::from(n.get())) <= u64::from(of.get());
    }
    if admit { Verdict::Admit } else { Verdict::Wait }
}

/// How many of the `waiters`, given in the queue's order, may hold now: whom to tell after a step
/// that ended an entry or granted permits. They are the first ones, for whoever has to wait keeps
/// all behind waiting. O(holders × answer).
#[must_use]
pub fn heirs(
    holders: &(impl IntoIterator<Item = Mode> + Clone),
    waiters: impl IntoIterator<Item = Waiter>,
) -> usize {
    let mut ahead = None;
    let admitted = waiters.into_iter().take_while(|waiter| {
        // Heirs ahead are all in the mode of the last of them.
        let verdict = judge(waiter, true, holders.clone(), ahead);
        ahead = Some(*waiter);
        verdict == Verdict::Admit
    });
    admitted.count()
}
