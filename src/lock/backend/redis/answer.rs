//! What the script answers, as the trait has it.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::lock::backend::{
    Claimed, Enqueued, Grant, Held, Inspection, Metadata, Queued, Renewed, Standing,
};
use crate::lock::fence::{FencePass, FencingToken};
use crate::lock::lease::Lease;
use crate::lock::name::HolderId;
use crate::lock::queue::{Family, Mode, Permits, Waiter};

/// An answer that the script cannot have given, or an entry that it cannot have written.
#[derive(Debug, thiserror::Error)]
#[error("the store answered what was not understood")]
pub(super) struct Garbled;

/// A refusal that the trait has no word for.
#[derive(Debug, thiserror::Error)]
#[error("the id has an entry in another mode")]
pub(super) struct OtherMode;

/// What became of a request, or that it was refused.
pub(super) fn enqueued(
    answer: &[String],
    sent: Instant,
) -> Result<Result<Enqueued, OtherMode>, Garbled> {
    Ok(Ok(match words(answer).as_slice() {
        ["granted", token, floor, ttl] => Enqueued::Granted(grant(token, floor, ttl, sent)?),
        ["waiting", ttl, recheck] => Enqueued::Waiting(standing(ttl, recheck, sent)?),
        ["held"] => Enqueued::Held,
        ["foreign", of] => Enqueued::Foreign(family(of)?),
        ["rejected"] => return Ok(Err(OtherMode)),
        _ => return Err(Garbled),
    }))
}

pub(super) fn claimed(answer: &[String], sent: Instant) -> Result<Claimed, Garbled> {
    Ok(match words(answer).as_slice() {
        ["granted", token, floor, ttl] => Claimed::Granted(grant(token, floor, ttl, sent)?),
        ["waiting", ttl, recheck] => Claimed::Waiting(standing(ttl, recheck, sent)?),
        ["gone"] => Claimed::Gone,
        _ => return Err(Garbled),
    })
}

pub(super) fn renewed(answer: &[String], sent: Instant) -> Result<Renewed, Garbled> {
    Ok(match words(answer).as_slice() {
        ["alive", ttl] => Renewed::Alive(Lease::new(sent, micros(ttl)?)),
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
    let now: u64 = number(now)?;
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
    let [
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
    let metadata = Metadata::new(*metadata).map_err(|_| Garbled)?;
    match *kind {
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

fn number<T: std::str::FromStr>(word: &str) -> Result<T, Garbled> {
    word.parse().map_err(|_| Garbled)
}

fn micros(word: &str) -> Result<Duration, Garbled> {
    Ok(Duration::from_micros(number(word)?))
}

fn pass(token: &str, floor: &str) -> Result<FencePass, Garbled> {
    let [token, floor] = [number(token)?, number(floor)?].map(FencingToken::new);
    FencePass::shared(token, floor).map_err(|_| Garbled)
}

fn grant(token: &str, floor: &str, ttl: &str, sent: Instant) -> Result<Grant, Garbled> {
    let lease = Lease::new(sent, micros(ttl)?);
    Ok(Grant::new(pass(token, floor)?, lease))
}

fn standing(ttl: &str, recheck: &str, sent: Instant) -> Result<Standing, Garbled> {
    let lease = Lease::new(sent, micros(ttl)?);
    Ok(Standing::new(lease, micros(recheck)?))
}

/// What a name is used as: permits of so many, or readers and writers, which is 0.
fn family(of: &str) -> Result<Family, Garbled> {
    let of: u32 = number(of)?;
    Ok(NonZeroU32::new(of).map_or(Family::ReaderWriter, |of| Family::Permits { of }))
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
        "p" => {
            let n = NonZeroU32::new(number(n)?).ok_or(Garbled)?;
            let of = NonZeroU32::new(number(of)?).ok_or(Garbled)?;
            Permits::new(n, of).map(Mode::Permits).map_err(|_| Garbled)
        }
        _ => Err(Garbled),
    }
}
