//! The steps, each atomic on the server.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{RedisResult, Value, aio::MultiplexedConnection};

use crate::transaction::message::envelope::Message;
use crate::transaction::message::queue::QueueName;
use crate::transaction::message::transport::{Receipt, Terms};

type Code = LazyLock<redis::Script>;

/// Where there is room.
static SEND: Code = LazyLock::new(|| {
    redis::Script::new(
        "if redis.call('XLEN', KEYS[1]) + redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[1]) then
            return 0
        end
        redis.call('XADD', KEYS[1], '*', 'm', ARGV[2])
        return 1",
    )
});

static TAKE: Code = LazyLock::new(|| redis::Script::new(include_str!("take.lua")));

static BURY: Code = LazyLock::new(|| redis::Script::new(include_str!("bury.lua")));

/// Sets the idle time of the last delivery; neither counts it again nor looks who has it.
static POSTPONE: Code = LazyLock::new(|| {
    redis::Script::new(
        "local pending = redis.pcall('XPENDING', KEYS[1], 'tripod', ARGV[1], ARGV[1], 1)
        if pending.err then
            if string.find(pending.err, 'NOGROUP', 1, true) then
                return 0
            end
            return pending
        end
        if not pending[1] or tonumber(pending[1][4]) ~= tonumber(ARGV[2]) then
            return 0
        end
        return #redis.call('XCLAIM', KEYS[1], 'tripod', 'tripod', 0, ARGV[1], 'IDLE', ARGV[3],
            'JUSTID')",
    )
});

static ACKNOWLEDGE: Code = LazyLock::new(|| {
    redis::Script::new(
        "redis.call('XACK', KEYS[1], 'tripod', unpack(ARGV))
        return redis.call('XDEL', KEYS[1], unpack(ARGV))",
    )
});

static DEAD: Code = LazyLock::new(|| {
    redis::Script::new("return redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[1])")
});

/// All but the number of deliveries, which stands first.
static REDRIVE: Code = LazyLock::new(|| {
    redis::Script::new(
        "local entry = redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])[1]
        if not entry then
            return 0
        end
        redis.call('XADD', KEYS[1], '*', unpack(entry[2], 3))
        return redis.call('XDEL', KEYS[2], ARGV[1])",
    )
});

static DISCARD: Code =
    LazyLock::new(|| redis::Script::new("return redis.call('XDEL', KEYS[2], ARGV[1])"));

/// The streams of a queue.
pub(super) struct Keys {
    pub(super) queue: String,
    dead: String,
}

impl Keys {
    /// Both in one hash slot.
    pub(super) fn new(queue: &QueueName) -> Self {
        Self {
            queue: format!("tripod:queue:{{{queue}}}"),
            dead: format!("tripod:queue:{{{queue}}}:dead"),
        }
    }
}

/// A step on one queue.
pub(super) struct Script {
    code: &'static redis::Script,
    keys: [String; 2],
    args: Vec<Vec<u8>>,
}

impl Script {
    pub(super) fn send(keys: &Keys, terms: Terms, message: &Message) -> Self {
        let length_max = terms.length_max().to_string();
        Self::new(&SEND, keys)
            .arg(length_max)
            .arg(message.to_bytes())
    }

    pub(super) fn take(keys: &Keys, terms: Terms, count: usize) -> Self {
        Self::new(&TAKE, keys)
            .arg(terms.lease().as_millis().to_string())
            .arg(terms.deliveries_max().to_string())
            .arg(count.to_string())
    }

    pub(super) fn bury(keys: &Keys, ids: &[String]) -> Self {
        let script = Self::new(&BURY, keys);
        ids.iter()
            .fold(script, |script, id| script.arg(id.as_str()))
    }

    pub(super) fn postpone(keys: &Keys, receipt: &Receipt, idle: Duration) -> Self {
        Self::new(&POSTPONE, keys)
            .arg(receipt.id())
            .arg(receipt.deliveries().to_string())
            .arg(idle.as_millis().to_string())
    }

    pub(super) fn acknowledge(keys: &Keys, ids: &[&str]) -> Self {
        let script = Self::new(&ACKNOWLEDGE, keys);
        ids.iter().fold(script, |script, id| script.arg(*id))
    }

    pub(super) fn dead(keys: &Keys, count: usize) -> Self {
        Self::new(&DEAD, keys).arg(count.to_string())
    }

    pub(super) fn redrive(keys: &Keys, id: &str) -> Self {
        Self::new(&REDRIVE, keys).arg(id)
    }

    pub(super) fn discard(keys: &Keys, id: &str) -> Self {
        Self::new(&DISCARD, keys).arg(id)
    }

    fn new(code: &'static Code, keys: &Keys) -> Self {
        Self {
            code,
            keys: [keys.queue.clone(), keys.dead.clone()],
            args: Vec::new(),
        }
    }

    fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Loads it first where the server does not know it.
    pub(super) async fn run(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        let mut call = self.code.prepare_invoke();
        self.keys.iter().for_each(|key| {
            call.key(key);
        });
        for arg in &self.args {
            call.arg(arg.as_slice());
        }
        call.invoke_async(connection).await
    }
}
