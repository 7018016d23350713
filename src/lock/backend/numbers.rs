//! What the numbers in an answer mean, where a store answers in numbers: they came from a server,
//! and are not trusted.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::Lease;
use crate::lock::queue::{Family, Mode, Permits};

use super::{Grant, Standing};

/// An answer that the store cannot have given, or an entry that it cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("the store answered what was not understood")]
pub(super) struct Garbled;

/// A refusal that the trait has no word for.
#[derive(Debug, thiserror::Error)]
#[error("the id has an entry in another mode")]
pub(super) struct OtherMode;

/// A number as a store's answers have it. None is less than zero.
pub(super) trait Number {
    fn unsigned(self) -> Option<u64>;
}

impl Number for i64 {
    fn unsigned(self) -> Option<u64> {
        self.try_into().ok()
    }
}

impl Number for &str {
    fn unsigned(self) -> Option<u64> {
        self.parse().ok()
    }
}

pub(super) fn number<T: TryFrom<u64>>(number: impl Number) -> Result<T, Garbled> {
    let number = number.unsigned().ok_or(Garbled)?;
    T::try_from(number).map_err(|_| Garbled)
}

pub(super) fn micros(time: impl Number) -> Result<Duration, Garbled> {
    Ok(Duration::from_micros(number(time)?))
}

pub(super) fn lease(ttl: impl Number, sent: Instant) -> Result<Lease, Garbled> {
    Ok(Lease::new(sent, micros(ttl)?))
}

pub(super) fn pass<N: Number>(token: N, floor: N) -> Result<FencePass, Garbled> {
    let [token, floor] = [number(token)?, number(floor)?].map(FencingToken::new);
    FencePass::shared(token, floor).map_err(|_| Garbled)
}

pub(super) fn grant<N: Number>(
    token: N,
    floor: N,
    ttl: N,
    sent: Instant,
) -> Result<Grant, Garbled> {
    Ok(Grant::new(pass(token, floor)?, lease(ttl, sent)?))
}

pub(super) fn standing<N: Number>(ttl: N, recheck: N, sent: Instant) -> Result<Standing, Garbled> {
    Ok(Standing::new(lease(ttl, sent)?, micros(recheck)?))
}

/// What a name is used as: permits of so many, or readers and writers, which is 0.
pub(super) fn family(of: impl Number) -> Result<Family, Garbled> {
    let of: u32 = number(of)?;
    Ok(NonZeroU32::new(of).map_or(Family::ReaderWriter, |of| Family::Permits { of }))
}

pub(super) fn permits<N: Number>(n: N, of: N) -> Result<Mode, Garbled> {
    let positive = |figure| NonZeroU32::new(number(figure)?).ok_or(Garbled);
    let permits = Permits::new(positive(n)?, positive(of)?);
    permits.map(Mode::Permits).map_err(|_| Garbled)
}
