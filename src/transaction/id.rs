//! What names coordinators, transactions and branches.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use crate::chance::random_wide;

/// A coordinator: 128 random bits, drawn when its log was created and stored in it. It names the
/// log, not the process; no user supplies it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CoordinatorId(u128);

impl CoordinatorId {
    /// The id that these bits are. Draw them at random, once for each log.
    #[must_use]
    pub fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// Bits of the system's randomness.
    pub(super) fn random() -> Self {
        Self(random_wide())
    }

    /// Its bits, as logs and participants keep them.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CoordinatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many times a log has been opened: each opening is a later epoch, and what an earlier one
/// still does is refused. The first is 1; 64 bits do not run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    /// This epoch; there is none of 0.
    #[must_use]
    pub fn new(epoch: u64) -> Option<Self> {
        NonZeroU64::new(epoch).map(Self)
    }

    /// As a number.
    #[must_use]
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A transaction: its coordinator, the epoch in which it began, and its number there. Never used
/// again. Ordered by coordinator, then by age.
///
/// ```
/// use tripod::transaction::{CoordinatorId, Epoch, TransactionId};
///
/// let epoch = Epoch::new(3).ok_or("no epoch is 0")?;
/// let id = TransactionId::new(CoordinatorId::from_u128(7), epoch, 17);
/// assert_eq!(id.to_string().parse(), Ok(id)); // as an operator reads it in a log, and gives it back
/// assert!(format!("{id}_0").parse::<TransactionId>().is_err()); // that is a branch's
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId {
    coordinator: CoordinatorId,
    epoch: Epoch,
    sequence: u64,
}

impl TransactionId {
    /// The id of transaction number `sequence` of this coordinator's epoch.
    #[must_use]
    pub fn new(coordinator: CoordinatorId, epoch: Epoch, sequence: u64) -> Self {
        Self {
            coordinator,
            epoch,
            sequence,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn coordinator(self) -> CoordinatorId {
        self.coordinator
    }

    /// When it began.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        self.epoch
    }

    /// Its number in that epoch.
    #[must_use]
    pub fn sequence(self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            coordinator,
            epoch,
            sequence,
        } = self;
        write!(f, "{coordinator}_{:x}_{sequence:x}", epoch.as_u64())
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A participant's part of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId {
    transaction: TransactionId,
    number: u16,
}

impl BranchId {
    /// Branch `number` of this transaction, in the order of enlisting.
    #[must_use]
    pub fn new(transaction: TransactionId, number: u16) -> Self {
        Self {
            transaction,
            number,
        }
    }

    /// What it is a part of.
    #[must_use]
    pub fn transaction(self) -> TransactionId {
        self.transaction
    }

    /// Which part.
    #[must_use]
    pub fn number(self) -> u16 {
        self.number
    }
}

impl fmt::Display for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{:x}", self.transaction, self.number)
    }
}

impl fmt::Debug for BranchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CoordinatorId {
    type Err = CoordinatorIdError;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, CoordinatorIdError> {
        let id = u128::from_str_radix(text, 16).map(Self);
        let exact = id.ok().filter(|id| id.to_string() == text);
        exact.ok_or(CoordinatorIdError)
    }
}

impl FromStr for TransactionId {
    type Err = TransactionIdError;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, TransactionIdError> {
        let mut parts = text.splitn(3, '_');
        let mut part = || parts.next().ok_or(TransactionIdError);
        let coordinator = part()?.parse().map_err(|_| TransactionIdError)?;
        let epoch = u64::from_str_radix(part()?, 16).map_err(|_| TransactionIdError)?;
        let sequence = u64::from_str_radix(part()?, 16).map_err(|_| TransactionIdError)?;
        let epoch = Epoch::new(epoch).ok_or(TransactionIdError)?;
        let transaction = Self::new(coordinator, epoch, sequence);
        // Digits have several spellings; an id has one.
        if transaction.to_string() != text {
            return Err(TransactionIdError);
        }
        Ok(transaction)
    }
}

impl FromStr for BranchId {
    type Err = BranchIdError;

    /// Reads what [`Display`](fmt::Display) writes, and nothing else.
    fn from_str(text: &str) -> Result<Self, BranchIdError> {
        let (transaction, number) = text.rsplit_once('_').ok_or(BranchIdError)?;
        let transaction = transaction.parse().map_err(|_| BranchIdError)?;
        let number = u16::from_str_radix(number, 16).map_err(|_| BranchIdError)?;
        let branch = Self::new(transaction, number);
        if branch.to_string() != text {
            return Err(BranchIdError);
        }
        Ok(branch)
    }
}

/// Not the text of a coordinator's id. Nothing was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a coordinator's id")]
pub struct CoordinatorIdError;

/// Not the text of a transaction's id. Nothing was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a transaction's id")]
pub struct TransactionIdError;

/// Not the text of a branch's id. Nothing was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a branch's id")]
pub struct BranchIdError;
