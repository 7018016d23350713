//! Locks on Redis.

mod answer;
mod connection;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{RedisError, Script, ScriptInvocation};
use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::{HolderId, LockName};

use super::bells::Bells;
use super::encoding::encoded;
use super::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed,
    Request, Verb,
};
use answer::Garbled;
use connection::{Connection, Heard, conclude};

/// Locks on a Redis server, or on a cluster of them; version 7 or later.
///
/// Each step is one script on the keys of one lock, which share a hash slot: one round trip.
/// Waiters are told by a message to their client's channel.
///
/// The clock is the server's, of the time of day: if it jumps, leases end early or late. Fencing
/// tokens are microseconds of that clock, or one more than the last if that is more. Without
/// `appendfsync always`, and at a failover, the server can lose what it has acknowledged, tokens
/// included.
pub struct RedisBackend {
    connection: Connection,
    bells: Arc<Bells>,
    channel: String,
    script: Script,
}

impl RedisBackend {
    /// Connects to the server of this URL: `redis://[user:password@]host[:port][/database]`, or
    /// `rediss://` for TLS.
    ///
    /// # Errors
    /// *Unavailable* if it cannot be reached; *rejected* if it refuses the
    /// user, is older than 7, or may evict keys: `maxmemory-policy` must be `noeviction`.
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub async fn connect(url: &str) -> Result<Self, BackendError> {
        let (bells, channel) = Self::prepare();
        let heard = listener(&bells);
        let topic = format!("tripod:{channel}");
        let connection = Connection::server(url, &topic, heard).await;
        Self::new(connection.map_err(failed)?, bells, channel).await
    }

    /// Connects to the cluster that the servers of these URLs belong to.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// Safe: nothing is stored.
    pub async fn connect_cluster(
        urls: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, BackendError> {
        let (bells, channel) = Self::prepare();
        let heard = listener(&bells);
        let urls = urls.into_iter().map(Into::into).collect();
        let topic = format!("tripod:{channel}");
        let connection = Connection::cluster(urls, &topic, heard).await;
        Self::new(connection.map_err(failed)?, bells, channel).await
    }

    fn prepare() -> (Arc<Bells>, String) {
        let channel = RandomState::new().hash_one(());
        (Arc::default(), format!("{channel:016x}"))
    }

    async fn new(
        connection: Connection,
        bells: Arc<Bells>,
        channel: String,
    ) -> Result<Self, BackendError> {
        let memory = connection.info("memory").await.map_err(failed)?;
        let server = connection.info("server").await.map_err(failed)?;
        let says = |info: &str, field: &str| {
            let mut lines = info.lines();
            let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            value.unwrap_or_default().to_owned()
        };
        let refuse = |why: &'static str| {
            Err(BackendError::new(BackendErrorKind::Rejected, Verb::Connect).with_source(why))
        };
        let version = says(&server, "redis_version");
        let major = version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        if major.is_none_or(|major: u32| major < 7) {
            return refuse("the server is older than Redis 7");
        }
        if says(&memory, "maxmemory_policy") != "noeviction" {
            return refuse("the server may evict keys: maxmemory-policy must be noeviction");
        }
        Ok(Self {
            connection,
            bells,
            channel,
            script: Script::new(include_str!("step.lua")),
        })
    }

    /// The script, on the keys of this name.
    fn step(&self, name: &LockName, verb: &str) -> ScriptInvocation<'_> {
        let key = key(name);
        let mut step = self.script.prepare_invoke();
        step.key(&key).key(format!("{key}:t")).arg(verb);
        step
    }

    async fn take<T>(
        &self,
        verb: Verb,
        step: &ScriptInvocation<'_>,
        read: impl FnOnce(&[String], Instant) -> Result<T, Garbled>,
    ) -> Result<T, BackendError> {
        let sent = Instant::now();
        let answer = self.connection.call(step).await;
        let answer = answer.map_err(|error| failure(error, verb))?;
        let corrupt =
            |garbled| BackendError::new(BackendErrorKind::Corrupt, verb).with_source(garbled);
        read(&answer, sent).map_err(corrupt)
    }
}

/// `tripod:{name}`, encoded so that the braces are the only ones and mark the hash slot.
fn key(name: &LockName) -> String {
    format!("tripod:{{{}}}", encoded(name, b"-_./"))
}

fn id(holder: HolderId) -> String {
    holder.to_string()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Rings the bells that messages are for.
fn listener(bells: &Arc<Bells>) -> impl Fn(Heard) + Send + Sync + 'static {
    let bells = Arc::clone(bells);
    move |heard| match heard {
        Heard::Message(message) => {
            let holder = std::str::from_utf8(message).ok();
            let holder = holder.and_then(|id| u128::from_str_radix(id, 16).ok());
            if let Some(holder) = holder {
                bells.ring(HolderId::from_u128(holder));
            }
        }
        Heard::Gap => bells.ring_all(),
    }
}

/// A failure to connect, which changes nothing in the store.
fn failed(error: RedisError) -> BackendError {
    let kind = if error.is_io_error() {
        BackendErrorKind::Unavailable
    } else if conclude(&error) == BackendErrorKind::Indeterminate {
        BackendErrorKind::Rejected
    } else {
        conclude(&error)
    };
    BackendError::new(kind, Verb::Connect).with_source(error)
}

fn failure(error: RedisError, verb: Verb) -> BackendError {
    BackendError::new(conclude(&error), verb).with_source(error)
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").finish_non_exhaustive()
    }
}

impl LockBackend for RedisBackend {
    fn enqueue<'a>(
        &'a self,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Enqueued, BackendError>> {
        Box::pin(async move {
            let (mode, n, of) = answer::letters(request.mode());
            let mut step = self.step(request.entry().name(), "enqueue");
            step.arg(id(request.entry().holder()))
                .arg(mode)
                .arg(n)
                .arg(of)
                .arg(request.priority())
                .arg(micros(request.ttl()))
                .arg(u8::from(request.waits()))
                .arg(&self.channel)
                .arg(request.metadata().as_str());
            let enqueued = self.take(Verb::Enqueue, &step, answer::enqueued).await?;
            enqueued.map_err(|other| {
                BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue).with_source(other)
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            // What is told from here on is heard; what happened before is seen by looking.
            let listener = self.bells.listen(entry.holder());
            let rung = listener.rung();
            let mut step = self.step(entry.name(), "peek");
            step.arg(id(entry.holder()));
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            if !self.take(Verb::Changed, &step, read).await? {
                rung.await;
            }
            Ok(())
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let mut step = self.step(entry.name(), "claim");
            step.arg(id(entry.holder()));
            let claimed = self.take(Verb::Claim, &step, answer::claimed).await?;
            if !matches!(claimed, Claimed::Waiting(_)) {
                // Others of this process may listen for the same entry.
                self.bells.ring(entry.holder());
            }
            Ok(claimed)
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        // The client sends what is asked at once in one go, to each server its part.
        let renew = async |entry: &Entry| {
            let mut step = self.step(entry.name(), "renew");
            step.arg(id(entry.holder()));
            self.take(Verb::Renew, &step, answer::renewed).await
        };
        Box::pin(async move { join_all(entries.iter().map(renew)).await })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let mut step = self.step(entry.name(), "release");
            step.arg(id(entry.holder()));
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            self.take(Verb::Release, &step, read).await
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let mut step = self.step(entry.name(), "leave");
            step.arg(id(entry.holder()));
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            self.take(Verb::Leave, &step, read).await?;
            Ok(())
        })
    }

    fn inspect<'a>(
        &'a self,
        name: &'a LockName,
    ) -> BoxFuture<'a, Result<Inspection, BackendError>> {
        Box::pin(async move {
            let mut step = self.step(name, "inspect");
            step.arg("");
            let read = |answer: &[String], _| answer::inspection(answer);
            self.take(Verb::Inspect, &step, read).await
        })
    }

    fn force_release<'a>(
        &'a self,
        name: &'a LockName,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let mut step = self.step(name, "force_release");
            step.arg(token.as_u64());
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            self.take(Verb::ForceRelease, &step, read).await
        })
    }
}
