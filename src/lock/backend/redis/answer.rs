//! What the script answers, as the trait has it.

use std::time::Duration;

use tokio::time::Instant;

use crate::lock::backend::numbers::{
    Garbled, OtherMode, family, grant, lease, number, pass, permits, standing,
};
use crate::lock::backend::{Claimed, Enqueued, Held, Inspection, Metadata, Queued, Renewed};
use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Waiter};

/// What became of a request, or that it was refused.
pub(super) fn enqueued(
    answer: &[String],
    sent: Instant,
) -> Result<Result<Enqueued, OtherMode>, Garbled> {
    Ok(Ok(match words(answer).as_slice() {
        &["granted", token, floor, ttl] => Enqueued::Granted(grant(token, floor, ttl, sent)?),
        &["waiting", ttl, recheck] => Enqueued::Waiting(standing(ttl, recheck, sent)?),
        ["held"] => Enqueued::Held,
        &["foreign", of] => Enqueued::Foreign(family(of)?),
        ["rejected"] => return Ok(Err(OtherMode)),
        _ => return Err(Garbled),
    }))
}

pub(super) fn claimed(answer: &[String], sent: Instant) -> Result<Claimed, Garbled> {
    Ok(match words(answer).as_slice() {
        &["granted", token, floor, ttl] => Claimed::Granted(grant(token, floor, ttl, sent)?),
        &["waiting", ttl, recheck] => Claimed::Waiting(standing(ttl, recheck, sent)?),
        ["gone"] => Claimed::Gone,
        _ => return Err(Garbled),
    })
}

pub(super) fn renewed(answer: &[String], sent: Instant) -> Result<Renewed, Garbled> {
    Ok(match words(answer).as_slice() {
        &["alive", ttl] => Renewed::Alive(lease(ttl, sent)?),
        ["gone"] => Renewed::Gone,
        _ => return Err(Garbled),
    })
}

pub(super) fn yes_or_no(answer: &[String]) -> Result<bool, Garbled> {
    match words(answer).as_slice() {
        ["true"] => Ok(true),
        ["false"] => Ok(false),
        _ => Err(Garbled),
    }
}

pub(super) fn inspection(answer: &[String]) -> Result<Inspection, Garbled> {
    let [tag, now, entries @ ..] = answer else {
        return Err(Garbled);
    };
    let now: u64 = number(now.as_str())?;
    if tag != "entries" {
        return Err(Garbled);
    }
    let (mut holders, mut waiters) = (Vec::new(), Vec::new());
    for entry in entries.chunks(2) {
        let [id, packed] = entry else {
            return Err(Garbled);
        };
        match unpack(id, packed, now)? {
            Unpacked::Holder(held) => holders.push(held),
            Unpacked::Waiter(queued) => waiters.push(queued),
        }
    }
    Ok(Inspection::new(holders, waiters))
}

enum Unpacked {
    Holder(Held),
    Waiter(Queued),
}

fn unpack(id: &str, packed: &str, now: u64) -> Result<Unpacked, Garbled> {
    let fields: Vec<&str> = packed.splitn(12, '|').collect();
    let &[
        kind,
        mode,
        n,
        of,
        priority,
        arrival,
        expires,
        _ttl,
        token,
        floor,
        _channel,
        metadata,
    ] = fields.as_slice()
    else {
        return Err(Garbled);
    };
    let holder = u128::from_str_radix(id, 16).map_err(|_| Garbled)?;
    let holder = HolderId::from_u128(holder);
    let mode = self::mode(mode, n, of)?;
    let remaining = number::<u64>(expires)?.saturating_sub(now);
    let remaining = Duration::from_micros(remaining);
    let metadata = Metadata::new(metadata).map_err(|_| Garbled)?;
    match kind {
        "h" => {
            let pass = pass(token, floor)?;
            Ok(Unpacked::Holder(Held::new(
                holder, mode, pass, remaining, metadata,
            )))
        }
        "w" => {
            let waiter = Waiter::new(holder, mode, number(priority)?, number(arrival)?);
            Ok(Unpacked::Waiter(Queued::new(waiter, remaining, metadata)))
        }
        _ => Err(Garbled),
    }
}

fn words(answer: &[String]) -> Vec<&str> {
    answer.iter().map(String::as_str).collect()
}

/// A mode as the script has it: a letter, and how many permits of how many.
pub(super) fn letters(mode: Mode) -> String {
    match mode {
        Mode::Exclusive => "x|0|0".to_owned(),
        Mode::Shared => "s|0|0".to_owned(),
        Mode::Permits(permits) => format!("p|{}|{}", permits.n(), permits.of()),
    }
}

fn mode(letter: &str, n: &str, of: &str) -> Result<Mode, Garbled> {
    match letter {
        "x" => Ok(Mode::Exclusive),
        "s" => Ok(Mode::Shared),
        "p" => permits(n, of),
        _ => Err(Garbled),
    }
}
