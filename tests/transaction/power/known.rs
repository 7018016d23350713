//! What a child was told is durable, and what the next one finds.

use std::collections::BTreeMap;

use super::child::{LANES, WINDOW};

/// How a message begins that tells of a loss.
pub const LOST: &str = "lost";

/// For each lane, the last append that was acknowledged.
#[derive(Debug, Default)]
pub struct Known {
    acknowledged: BTreeMap<u64, u64>,
    found: BTreeMap<u64, u64>,
    pub acks: u64,
    /// Appends that nobody was told of, and that were durable.
    pub untold: u64,
}

impl Known {
    /// Takes a line that a child wrote. Answers whether it says that the log is open.
    pub fn hear(&mut self, said: &str) -> Result<bool, String> {
        let words: Vec<_> = said.split(' ').collect();
        match words.as_slice() {
            ["found", lane, first, last] => self.find(parse(lane)?, parse(first)?, parse(last)?)?,
            ["ack", lane, number] => self.acknowledge(parse(lane)?, parse(number)?)?,
            ["open"] => {
                self.open()?;
                return Ok(true);
            }
            _ => return Err(said.to_owned()),
        }
        Ok(false)
    }

    /// The lane's window, which must be whole.
    fn find(&mut self, lane: u64, first: u64, last: u64) -> Result<(), String> {
        if last + 1 - first != last.min(WINDOW) {
            return Err(format!("lane {lane} holds {first} to {last}: no window"));
        }
        self.found.insert(lane, last);
        Ok(())
    }

    /// All was found that there is: no less than was acknowledged, and no more than one append
    /// for each lane, whose acknowledgement was on its way.
    fn open(&mut self) -> Result<(), String> {
        let mut found = std::mem::take(&mut self.found);
        for lane in 0..LANES {
            let found = found.remove(&lane).unwrap_or(0);
            let known = self.acknowledged.entry(lane).or_default();
            if found < *known {
                return Err(format!(
                    "{LOST}: lane {lane} ends at {found}, {known} was acknowledged"
                ));
            }
            if found > *known + 1 {
                return Err(format!("lane {lane} ends at {found} after {known}"));
            }
            self.untold += found - *known;
            *known = found;
        }
        Ok(())
    }

    fn acknowledge(&mut self, lane: u64, number: u64) -> Result<(), String> {
        self.acks += 1;
        let known = self.acknowledged.entry(lane).or_default();
        if *known + 1 != number {
            return Err(format!("lane {lane} acknowledges {number} out of turn"));
        }
        *known = number;
        Ok(())
    }
}

fn parse(number: &str) -> Result<u64, String> {
    number.parse().map_err(|_| format!("no number: {number}"))
}
