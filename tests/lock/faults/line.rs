//! What processes write down, a line each: it survives them.

use std::str::FromStr;

use crate::names::Use;

/// What a worker did or saw. Times are those of `clock`; each was read before what follows from
/// it, so that a pause makes no false witness.
#[derive(Clone, Debug)]
pub enum Saw {
    /// It asks for a lock.
    Asks { name: usize, of: Use },
    /// It was granted: the line's time was read after the answer.
    Granted { token: u64, floor: u64 },
    /// It believes in its lease until then.
    Believes { until: u64 },
    /// It was told that its lease is lost: by its deadline, or because the entry was removed.
    Lost { removed: bool },
    /// It stops believing, for it asks to release now.
    Releases,
    /// The answer to that: whether it was held, or nothing definite.
    Released { held: Option<bool> },
    /// It drops the guard now.
    Drops,
    /// It has nothing: dropped on the way, timed out, or the store failed.
    Nothing { why: Why },
    /// It asked the store to release or renew what it no longer holds: whether that did anything.
    Meddled { changed: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Dropped,
    TimedOut,
    Unavailable,
    Indeterminate,
    /// What is wrong in any weather.
    Wrong,
}

/// A line of a worker's: which of its tasks, when, what.
#[derive(Clone, Debug)]
pub struct Line {
    pub task: usize,
    pub at: u64,
    pub saw: Saw,
}

impl Line {
    pub fn write(&self) {
        let saw = match &self.saw {
            Saw::Asks { name, of } => format!("asks {name} {}", of.letter()),
            Saw::Granted { token, floor } => format!("granted {token} {floor}"),
            Saw::Believes { until } => format!("believes {until}"),
            Saw::Lost { removed } => format!("lost {}", u8::from(*removed)),
            Saw::Releases => "releases".to_owned(),
            Saw::Released { held } => {
                format!("released {}", held.map_or(2, u8::from))
            }
            Saw::Drops => "drops".to_owned(),
            Saw::Nothing { why } => format!("nothing {}", *why as u8),
            Saw::Meddled { changed } => format!("meddled {}", u8::from(*changed)),
        };
        println!("{} {} {saw}", self.task, self.at);
    }

    /// A line as it was written; none if the writer was killed in its midst.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let task = number(words.next())?;
        let at = number(words.next())?;
        let saw = match words.next()? {
            "asks" => Saw::Asks {
                name: number(words.next())?,
                of: Use::of_letter(words.next()?)?,
            },
            "granted" => Saw::Granted {
                token: number(words.next())?,
                floor: number(words.next())?,
            },
            "believes" => Saw::Believes {
                until: number(words.next())?,
            },
            "lost" => Saw::Lost {
                removed: words.next()? == "1",
            },
            "releases" => Saw::Releases,
            "released" => Saw::Released {
                held: match words.next()? {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                },
            },
            "drops" => Saw::Drops,
            "nothing" => Saw::Nothing {
                why: *Why::ALL.get(number::<usize>(words.next())?)?,
            },
            "meddled" => Saw::Meddled {
                changed: words.next()? == "1",
            },
            _ => return None,
        };
        Some(Self { task, at, saw })
    }
}

impl Why {
    pub const ALL: [Self; 5] = [
        Self::Dropped,
        Self::TimedOut,
        Self::Unavailable,
        Self::Indeterminate,
        Self::Wrong,
    ];
}

pub fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}
