//! The names of nodes: what an entry is stands in its name, so that one list of a lock's children
//! tells who holds and who waits, as of one instant.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::lock::name::HolderId;
use crate::lock::queue::{Mode, Permits};

/// An entry, as its name tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) holder: HolderId,
    pub(super) mode: Mode,
    pub(super) priority: u8,
    /// Whose it is: the session that it ends with.
    pub(super) session: i64,
    /// How long that session lives when nothing is heard of it.
    pub(super) ttl: Duration,
}

/// Whether it holds or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Granted by comparing with this state of the lock.
    Holds(State),
    /// Entered as this one in the server's count.
    Waits(i32),
}

/// A state of a lock's own node: each grant and each arrival makes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The transaction that made the node: one that is made again begins its versions anew. 0
    /// where that is the grant's own transaction.
    pub(super) made: i64,
    pub(super) version: i32,
}

impl Child {
    /// The name of a holder, granted by comparing with this state.
    pub(super) fn holding(&self, state: State) -> String {
        let (made, version) = (hex(state.made), i64::from(state.version) & 0xffff_ffff);
        format!("h-{self}-{made}-{version:x}")
    }

    /// What the name of a waiter begins with; the server appends its count.
    pub(super) fn waiting(&self) -> String {
        format!("w-{self}-")
    }

    pub(super) fn parse(name: &str) -> Option<(Self, Place)> {
        let mut fields = name.splitn(10, '-');
        let kind = fields.next()?;
        let mode = mode(fields.next()?, fields.next()?, fields.next()?)?;
        let priority = u8::from_str_radix(fields.next()?, 16).ok()?;
        let holder = u128::from_str_radix(fields.next()?, 16).ok()?;
        let session = unhex(fields.next()?)?;
        let ttl = u64::from_str_radix(fields.next()?, 16).ok()?;
        let child = Self {
            holder: HolderId::from_u128(holder),
            mode,
            priority,
            session,
            ttl: Duration::from_millis(ttl),
        };
        let (place, last) = (fields.next()?, fields.next());
        let place = match (kind, last) {
            ("h", Some(version)) => {
                let version = u32::from_str_radix(version, 16).ok()?;
                let version = i32::from_ne_bytes(version.to_ne_bytes());
                Place::Holds(State {
                    made: unhex(place)?,
                    version,
                })
            }
            // Past 2^31 arrivals the server counts from -2^31, or no further.
            ("w", Some(count)) if place.is_empty() => {
                Place::Waits(format!("-{count}").parse().ok()?)
            }
            ("w", None) => Place::Waits(place.parse().ok()?),
            _ => return None,
        };
        Some((child, place))
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, n, of) = match self.mode {
            Mode::Exclusive => ("x", 0, 0),
            Mode::Shared => ("s", 0, 0),
            Mode::Permits(permits) => ("p", permits.n().get(), permits.of().get()),
        };
        let (priority, holder, session) = (self.priority, self.holder, hex(self.session));
        let ttl = self.ttl.as_millis();
        write!(
            f,
            "{letter}-{n:x}-{of:x}-{priority:x}-{holder}-{session}-{ttl:x}"
        )
    }
}

fn mode(letter: &str, n: &str, of: &str) -> Option<Mode> {
    let number = |text| u32::from_str_radix(text, 16).ok();
    match (letter, number(n)?, number(of)?) {
        ("x", 0, 0) => Some(Mode::Exclusive),
        ("s", 0, 0) => Some(Mode::Shared),
        ("p", n, of) => {
            let permits = Permits::new(NonZeroU32::new(n)?, NonZeroU32::new(of)?);
            permits.map(Mode::Permits).ok()
        }
        _ => None,
    }
}

/// Without a sign, which would be a field of its own.
fn hex(number: i64) -> String {
    format!("{number:x}")
}

fn unhex(text: &str) -> Option<i64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    Some(i64::from_ne_bytes(number.to_ne_bytes()))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::*;

    fn child(mode: Mode) -> Child {
        Child {
            holder: HolderId::from_u128(u128::MAX - 5),
            mode,
            priority: 255,
            session: i64::MIN + 9,
            ttl: Duration::from_secs(30),
        }
    }

    #[test]
    fn names_tell_what_was_named() {
        let permits = Permits::new(NonZeroU32::new(3).unwrap(), NonZeroU32::MAX).unwrap();
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits(permits)] {
            let child = child(mode);
            for (made, version) in [(0, 0), (i64::MAX, i32::MAX), (7, -1), (7, i32::MIN)] {
                let state = State { made, version };
                let parsed = Child::parse(&child.holding(state));
                assert_eq!(parsed, Some((child, Place::Holds(state))));
            }
            for (count, text) in [
                (0, "0000000000"),
                (i32::MAX, "2147483647"),
                (i32::MIN, "-2147483648"),
            ] {
                let parsed = Child::parse(&format!("{}{text}", child.waiting()));
                assert_eq!(parsed, Some((child, Place::Waits(count))));
            }
        }
    }

    #[test]
    fn what_was_not_named_here_is_not_understood() {
        let name = child(Mode::Exclusive).holding(State {
            made: 1,
            version: 1,
        });
        for end in 0..name.len() - 1 {
            let cut = name.get(..end).unwrap();
            assert!(Child::parse(cut).is_none_or(|(_, place)| {
                matches!(place, Place::Holds(state) if state.made != 1)
            }));
        }
        for other in ["", "h", "lock-0000000001", "w-x-1-0-0-0-0-0-0000000001"] {
            assert_eq!(Child::parse(other), None);
        }
    }
}
