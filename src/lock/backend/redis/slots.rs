//! Which server of a cluster has which slots.

use redis::Value;

/// The host and the port of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// `host:port` as a server of a cluster says it; without a host it means its own.
    pub(super) fn parse(text: &str, asked: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        let host = if matches!(host, "" | "?") {
            &asked.host
        } else {
            host
        };
        let host = host.to_owned();
        Some(Self { host, port })
    }
}

/// The masters, by slots.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Slots(Vec<Range>);

#[derive(Debug, PartialEq)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

impl Slots {
    /// What `CLUSTER SLOTS` said, asked of the server at this address.
    pub(super) fn parse(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let ranges = ranges.iter().map(|range| Range::parse(range, asked));
        let mut ranges = ranges.collect::<Option<Vec<Range>>>()?;
        ranges.sort_unstable_by_key(|range| range.first);
        Some(Self(ranges))
    }

    pub(super) fn master(&self, slot: u16) -> Option<&Address> {
        let up_to = self.0.partition_point(|range| range.first <= slot);
        let range = self.0.get(up_to.checked_sub(1)?)?;
        (slot <= range.last).then_some(&range.master)
    }

    /// Each master once.
    pub(super) fn masters(&self) -> Vec<Address> {
        let masters = self.0.iter().map(|range| range.master.clone());
        let mut masters: Vec<Address> = masters.collect();
        masters.sort_unstable();
        masters.dedup();
        masters
    }
}

impl Range {
    /// First slot, last slot, master, replicas.
    fn parse(range: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(range) = range else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = range.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return None;
        };
        let host: Option<String> = redis::from_redis_value_ref(host).ok()?;
        // Without a name of its own, or with one that is not known, it is reached as it was asked.
        let host = host.filter(|host| !host.is_empty() && host != "?");
        let host = host.unwrap_or_else(|| asked.host.clone());
        let port = u16::try_from(*port).ok()?;
        Some(Self {
            first: u16::try_from(*first).ok()?,
            last: u16::try_from(*last).ok()?,
            master: Address { host, port },
        })
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::{Address, Slots};

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let master = Value::Array(vec![host, Value::Int(port), Value::Nil]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn address(host: &str, port: u16) -> Address {
        let host = host.to_owned();
        Address { host, port }
    }

    #[test]
    fn a_slot_belongs_to_the_range_it_is_in_and_gaps_to_nobody() {
        let answer = Value::Array(vec![
            range(200, 300, text("b"), 2),
            range(0, 100, text("a"), 1),
            range(301, 301, Value::Nil, 3),
        ]);
        let slots = Slots::parse(&answer, &address("asked", 9)).unwrap_or_default();
        for (slot, master) in [
            (0, Some(address("a", 1))),
            (100, Some(address("a", 1))),
            (101, None),
            (200, Some(address("b", 2))),
            (301, Some(address("asked", 3))),
            (302, None),
        ] {
            assert_eq!(slots.master(slot), master.as_ref(), "{slot}");
        }
    }

    #[test]
    fn what_is_no_map_of_slots_is_refused() {
        let asked = address("asked", 9);
        for answer in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(-1, 5, text("a"), 1)]),
            Value::Array(vec![range(0, 70_000, text("a"), 1)]),
            Value::Array(vec![range(0, 1, text("a"), 70_000)]),
            Value::Array(vec![range(0, 1, Value::BulkString(vec![0xFF]), 1)]),
        ] {
            assert_eq!(Slots::parse(&answer, &asked), None, "{answer:?}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_at_the_one_that_was_asked() {
        let asked = address("asked", 9);
        assert_eq!(Address::parse(":7", &asked), Some(address("asked", 7)));
        assert_eq!(Address::parse("::1:7", &asked), Some(address("::1", 7)));
        assert_eq!(Address::parse("host", &asked), None);
        assert_eq!(Address::parse("host:port", &asked), None);
    }
}
