//! What the functions of the schema answer, as the trait has it.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::lock::backend::{
    Claimed, Enqueued, Grant, Held, Inspection, Metadata, Queued, Renewed, Standing,
};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::Lease;
use crate::lock::name::HolderId;
use crate::lock::queue::{Family, Mode, Permits, Waiter};

/// An answer that the functions cannot have given, or an entry that they cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("the store answered what was not understood")]
pub(super) struct Garbled;

/// A refusal that the trait has no word for.
#[derive(Debug, thiserror::Error)]
#[error("the id has an entry in another mode")]
pub(super) struct OtherMode;

/// What became of a request, or that it was refused.
pub(super) fn enqueued(
    rows: &[Row],
    sent: Instant,
) -> Result<Result<Enqueued, OtherMode>, Garbled> {
    Ok(Ok(match numbers(rows)?.as_slice() {
        &[1, token, floor, ttl] => Enqueued::Granted(grant(token, floor, ttl, sent)?),
        &[2, ttl, recheck] => Enqueued::Waiting(standing(ttl, recheck, sent)?),
        [3] => Enqueued::Held,
        &[4, of] => Enqueued::Foreign(family(of)?),
        [5] => return Ok(Err(OtherMode)),
        _ => return Err(Garbled),
    }))
}

pub(super) fn claimed(rows: &[Row], sent: Instant) -> Result<Claimed, Garbled> {
    Ok(match numbers(rows)?.as_slice() {
        &[1, token, floor, ttl] => Claimed::Granted(grant(token, floor, ttl, sent)?),
        &[2, ttl, recheck] => Claimed::Waiting(standing(ttl, recheck, sent)?),
        [6] => Claimed::Gone,
        _ => return Err(Garbled),
    })
}

/// For each entry what became of it, or that its row was locked.
pub(super) fn renewed(
    rows: &[Row],
    sent: Instant,
    entries: usize,
) -> Result<Vec<Option<Renewed>>, Garbled> {
    let answers = numbers(rows)?;
    if answers.len() != entries {
        return Err(Garbled);
    }
    let read = |answer| {
        Ok(match answer {
            -1 => Some(Renewed::Gone),
            -2 => None,
            ttl => Some(Renewed::Alive(Lease::new(sent, micros(ttl)?))),
        })
    };
    answers.into_iter().map(read).collect()
}

pub(super) fn yes_or_no(rows: &[Row]) -> Result<bool, Garbled> {
    let [row] = rows else {
        return Err(Garbled);
    };
    column(row, 0)
}

pub(super) fn inspection(rows: &[Row]) -> Result<Inspection, Garbled> {
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    for row in rows {
        let holder: [u8; 16] = column::<&[u8]>(row, 0)?.try_into().map_err(|_| Garbled)?;
        let holder = HolderId::from_u128(u128::from_be_bytes(holder));
        let mode = mode(column(row, 1)?, column(row, 2)?, column(row, 3)?)?;
        let remaining = micros(column(row, 8)?)?;
        let metadata = std::str::from_utf8(column(row, 9)?).map_err(|_| Garbled)?;
        let metadata = Metadata::new(metadata).map_err(|_| Garbled)?;
        match (column(row, 6)?, column(row, 7)?) {
            (Some(token), Some(floor)) => {
                let pass = pass(token, floor)?;
                holders.push(Held::new(holder, mode, pass, remaining, metadata));
            }
            (None, None) => {
                let priority = number::<u8>(column::<i16>(row, 4)?.into())?;
                let waiter = Waiter::new(holder, mode, priority, number(column(row, 5)?)?);
                waiters.push(Queued::new(waiter, remaining, metadata));
            }
            (Some(_), None) | (None, Some(_)) => return Err(Garbled),
        }
    }
    Ok(Inspection::new(holders, waiters))
}

/// A mode as the schema has it: a letter, and how many permits of how many.
pub(super) fn letters(mode: Mode) -> (i8, i64, i64) {
    match mode {
        Mode::Exclusive => (EXCLUSIVE, 0, 0),
        Mode::Shared => (SHARED, 0, 0),
        Mode::Permits(permits) => (
            PERMITS,
            i64::from(permits.n().get()),
            i64::from(permits.of().get()),
        ),
    }
}

// The client takes the type "char" as a signed byte.
const EXCLUSIVE: i8 = i8::from_ne_bytes([b'x']);
const SHARED: i8 = i8::from_ne_bytes([b's']);
const PERMITS: i8 = i8::from_ne_bytes([b'p']);

fn mode(letter: i8, n: i64, of: i64) -> Result<Mode, Garbled> {
    match letter {
        EXCLUSIVE => Ok(Mode::Exclusive),
        SHARED => Ok(Mode::Shared),
        PERMITS => {
            let n = NonZeroU32::new(number(n)?).ok_or(Garbled)?;
            let of = NonZeroU32::new(number(of)?).ok_or(Garbled)?;
            Permits::new(n, of).map(Mode::Permits).map_err(|_| Garbled)
        }
        _ => Err(Garbled),
    }
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Garbled> {
    row.try_get(at).map_err(|_| Garbled)
}

fn numbers(rows: &[Row]) -> Result<Vec<i64>, Garbled> {
    let [row] = rows else {
        return Err(Garbled);
    };
    column(row, 0)
}

fn number<T: TryFrom<i64>>(number: i64) -> Result<T, Garbled> {
    T::try_from(number).map_err(|_| Garbled)
}

fn micros(time: i64) -> Result<Duration, Garbled> {
    Ok(Duration::from_micros(number(time)?))
}

fn pass(token: i64, floor: i64) -> Result<FencePass, Garbled> {
    let [token, floor] = [number(token)?, number(floor)?].map(FencingToken::new);
    FencePass::shared(token, floor).map_err(|_| Garbled)
}

fn grant(token: i64, floor: i64, ttl: i64, sent: Instant) -> Result<Grant, Garbled> {
    let lease = Lease::new(sent, micros(ttl)?);
    Ok(Grant::new(pass(token, floor)?, lease))
}

fn standing(ttl: i64, recheck: i64, sent: Instant) -> Result<Standing, Garbled> {
    let lease = Lease::new(sent, micros(ttl)?);
    Ok(Standing::new(lease, micros(recheck)?))
}

/// What a name is used as: permits of so many, or readers and writers, which is 0.
fn family(of: i64) -> Result<Family, Garbled> {
    let of: u32 = number(of)?;
    Ok(NonZeroU32::new(of).map_or(Family::ReaderWriter, |of| Family::Permits { of }))
}
