//! The script, and calls of it.

use std::sync::LazyLock;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value};

use crate::lock::backend::encoding::encoded;
use crate::lock::name::LockName;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("step.lua")));

/// A call of the script on the key of one lock.
pub(super) struct Step {
    tag: String,
    command: Cmd,
}

impl Step {
    /// The key is `tripod:{name}`, encoded so that the braces are the only ones and mark the hash
    /// slot. One key is all that a lock has: of several, a slot that moves could have some.
    pub(super) fn new(name: &LockName, verb: &str) -> Self {
        let tag = encoded(name, b"-_./");
        let key = format!("tripod:{{{tag}}}");
        // Room for all that is told, so that it is not moved as it grows; but for long metadata.
        let mut command = Cmd::with_capacity(10, 192 + key.len());
        command.arg("EVALSHA").arg(SCRIPT.get_hash()).arg(1);
        command.arg(key).arg(verb);
        Self { tag, command }
    }

    pub(super) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.command.arg(arg);
        self
    }

    /// The hash slot of the key, in a cluster.
    pub(super) fn slot(&self) -> u16 {
        slot(self.tag.as_bytes())
    }

    /// Takes the step; loads the script first where the server does not know it.
    pub(super) async fn take(
        &self,
        connection: &mut MultiplexedConnection,
        asking: bool,
    ) -> RedisResult<Vec<String>> {
        let answer = self.send(connection, asking).await;
        match answer {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                SCRIPT.load_async(connection).await?;
                self.send(connection, asking).await
            }
            answer => answer,
        }
    }

    /// `ASKING` is for the very next command of the connection, so both go in one piece.
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        asking: bool,
    ) -> RedisResult<Vec<String>> {
        if !asking {
            return self.command.query_async(connection).await;
        }
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(self.command.clone());
        let answers = connection.send_packed_commands(&both, 0, 2).await?;
        let answer = answers.into_iter().nth(1).unwrap_or(Value::Nil);
        Ok(redis::from_redis_value(answer.extract_error()?)?)
    }
}

/// CRC-16 as XMODEM has it, modulo 16384: the Redis Cluster specification, "Key distribution model".
fn slot(tag: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in tag {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            let carry = crc & 0x8000 != 0;
            crc = crc << 1 ^ if carry { 0x1021 } else { 0 };
        }
    }
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::slot;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"user1000"), 3443);
    }
}
