//! What the functions of the schema answer, as the trait has it.

use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::lock::backend::numbers::{
    OtherMode, family, grant, lease, micros, number, pass, permits, standing,
};
use crate::lock::backend::{Claimed, Enqueued, Held, Inspection, Metadata, Queued, Renewed};
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Waiter};

pub(super) use crate::lock::backend::numbers::Garbled;

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
            ttl => Some(Renewed::Alive(lease(ttl, sent)?)),
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
        let remaining = micros(column::<i64>(row, 8)?)?;
        let metadata = std::str::from_utf8(column(row, 9)?).map_err(|_| Garbled)?;
        let metadata = Metadata::new(metadata).map_err(|_| Garbled)?;
        match (column::<Option<i64>>(row, 6)?, column(row, 7)?) {
            (Some(token), Some(floor)) => {
                let pass = pass(token, floor)?;
                holders.push(Held::new(holder, mode, pass, remaining, metadata));
            }
            (None, None) => {
                let priority = number(i64::from(column::<i16>(row, 4)?))?;
                let arrival = number(column::<i64>(row, 5)?)?;
                let waiter = Waiter::new(holder, mode, priority, arrival);
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
        PERMITS => permits(n, of),
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
