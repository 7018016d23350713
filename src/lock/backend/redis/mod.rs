//! Locks on Redis.

mod answer;
mod cluster;
mod connect;
mod failure;
mod link;
mod live;
mod place;
mod servers;
mod slots;
mod step;
mod subscription;
mod topology;

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::future::BoxFuture;
use crate::lock::fence::FencingToken;
use crate::lock::name::{HolderId, LockName};

use super::numbers::Garbled;
use super::{
    BackendError, BackendErrorKind, Claimed, Enqueued, Entry, Inspection, LockBackend, Renewed,
    Request, Verb,
};
use failure::Failure;
use link::Answer;
use servers::Servers;
use step::Step;
use subscription::Subscription;

pub use connect::ConnectRedis;

/// Locks on Redis, version 7 or later: a server, the master that sentinels name, or a cluster.
///
/// Each step is one script on the one key of a lock: one round trip.
/// Waiters are told by a message to their client's channel.
///
/// The clock is the server's, of the time of day: if it jumps, leases end early or late. Fencing
/// tokens are microseconds of that clock, or one more than the last if that is more.
///
/// # What a server can lose
/// Without `appendfsync always` a server that is killed can lose what it has acknowledged, fencing
/// tokens included. At a failover what was not replicated is lost, whatever is synced: a lock may be
/// granted while its holder believes in it, and only the time of day makes fencing tokens rise. A
/// master that was cut off from its sentinels or its cluster goes on granting until it learns of its
/// successor. `min-replicas-to-write` and a short `min-replicas-max-lag` make these times short; a
/// server that refuses a step for want of replicas is *unavailable*.
///
/// # What a user of the server must be allowed
/// ```text
/// ACL SETUSER locks on >password ~tripod:* &tripod:* +info +ping +subscribe +evalsha +script|load
///     +time +hget +hgetall +hset +hdel +pexpireat +publish
/// ```
/// and in a cluster `+cluster|slots +asking`. The sentinels' own users, if they have any, need
/// `+sentinel|get-master-addr-by-name`.
pub struct RedisBackend {
    servers: Servers,
    subscription: Subscription,
}

impl RedisBackend {
    /// Takes a step, and reads the answer.
    async fn take<T>(
        &self,
        verb: Verb,
        step: &Step,
        read: impl FnOnce(&[String], Instant) -> Result<T, Garbled>,
    ) -> Result<T, BackendError> {
        understood(verb, self.servers.call(step).await, read)
    }
}

fn understood<T>(
    verb: Verb,
    answer: Result<Answer, Failure>,
    read: impl FnOnce(&[String], Instant) -> Result<T, Garbled>,
) -> Result<T, BackendError> {
    let answer = answer.map_err(|failure| failure.into_error(verb))?;
    let corrupt = |garbled| BackendError::new(BackendErrorKind::Corrupt, verb).with_source(garbled);
    read(&answer.words, answer.sent).map_err(corrupt)
}

fn id(holder: HolderId) -> String {
    holder.to_string()
}

/// A step of this entry.
fn step(entry: &Entry, verb: &str) -> Step {
    let mut step = Step::new(entry.name(), verb);
    step.arg(id(entry.holder()));
    step
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
            let mode = answer::letters(request.mode());
            let channel = self.subscription.channel();
            let channel = if request.waits() { channel } else { "" };
            let mut step = step(request.entry(), "enqueue");
            step.arg(format!("{mode}|{}", request.priority()))
                .arg(micros(request.ttl()))
                .arg(channel)
                .arg(request.metadata().as_str());
            let enqueued = self.take(Verb::Enqueue, &step, answer::enqueued).await?;
            if matches!(enqueued, Ok(Enqueued::Granted(_))) {
                // Others of this process may listen for an entry that was asked for again.
                self.subscription.bells().ring(request.entry().holder());
            }
            enqueued.map_err(|other| {
                BackendError::new(BackendErrorKind::Rejected, Verb::Enqueue).with_source(other)
            })
        })
    }

    fn changed<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            // What is told from here on is heard; what happened before is seen by looking.
            let listener = self.subscription.bells().listen(entry.holder());
            let rung = listener.rung();
            let step = step(entry, "peek");
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            if !self.take(Verb::Changed, &step, read).await? {
                rung.await;
            }
            Ok(())
        })
    }

    fn claim<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<Claimed, BackendError>> {
        Box::pin(async move {
            let step = step(entry, "claim");
            let claimed = self.take(Verb::Claim, &step, answer::claimed).await?;
            if !matches!(claimed, Claimed::Waiting(_)) {
                // Others of this process may listen for the same entry.
                self.subscription.bells().ring(entry.holder());
            }
            Ok(claimed)
        })
    }

    fn renew<'a>(
        &'a self,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Vec<Result<Renewed, BackendError>>> {
        Box::pin(async move {
            let steps: Vec<Step> = entries.iter().map(|entry| step(entry, "renew")).collect();
            let answers = self.servers.each(&steps).await.into_iter();
            let renewed = |answer| understood(Verb::Renew, answer, answer::renewed);
            answers.map(renewed).collect()
        })
    }

    fn release<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<bool, BackendError>> {
        Box::pin(async move {
            let step = step(entry, "release");
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            self.take(Verb::Release, &step, read).await
        })
    }

    fn leave<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let step = step(entry, "leave");
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
            let mut step = Step::new(name, "inspect");
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
            let mut step = Step::new(name, "force_release");
            step.arg(token.as_u64());
            let read = |answer: &[String], _| answer::yes_or_no(answer);
            self.take(Verb::ForceRelease, &step, read).await
        })
    }
}
