//! One connection to one server, until it is lost.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, ProtocolVersion, PushInfo,
    PushKind, RedisError,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::lock::backend::BackendErrorKind;

use super::failure::Failure;
use super::subscription::Subscription;

/// How long a server may take to accept a connection and to be found fit, and to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// Dropping it, in any of its clones' calls, leaves it in order: an answer that nobody waits for is
/// skipped when it arrives.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    /// Told when it is of no more use.
    pub(super) gone: Arc<Notify>,
    /// How long the server took to answer, when it was connected.
    pub(super) round_trip: Duration,
    /// Whether the server is part of a cluster.
    is_member: bool,
}

impl Live {
    /// Connects to a server that can keep locks. What is published for the subscription is heard
    /// once [`subscribe`](Self::subscribe) was called.
    pub(super) async fn open(
        info: &ConnectionInfo,
        subscription: Option<&Subscription>,
    ) -> Result<Self, Failure> {
        let opened = timeout(TIMEOUT, async {
            let mut live = Self::connect(info, subscription).await?;
            let info: String = live.ask(redis::cmd("INFO")).await?;
            live.round_trip = live.ping().await?;
            live.is_member = says(&info, "cluster_enabled") == Some("1");
            fitness(&info)?;
            Ok(live)
        });
        opened.await.unwrap_or_else(|_| Err(too_late()))
    }

    async fn connect(
        info: &ConnectionInfo,
        subscription: Option<&Subscription>,
    ) -> Result<Self, Failure> {
        let settings = info.redis_settings().clone();
        let info = info
            .clone()
            .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3))
            .set_tcp_settings(tcp());
        let gone = Arc::new(Notify::new());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(None)
            .set_push_sender(hearing(&gone, subscription));
        let client = Client::open(info).map_err(Failure::of_connecting)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            connection: connection.await.map_err(Failure::of_connecting)?,
            gone,
            round_trip: Duration::ZERO,
            is_member: false,
        })
    }

    /// The same, unless the server has only a part of all slots.
    pub(super) fn alone(self) -> Result<Self, Failure> {
        if self.is_member {
            let why = "the server is part of a cluster: connect to it as one";
            return Err(Failure::new(BackendErrorKind::Rejected, why));
        }
        Ok(self)
    }

    pub(super) async fn subscribe(&self, subscription: &Subscription) -> Result<(), Failure> {
        let mut connection = self.connection.clone();
        let subscribed = timeout(TIMEOUT, connection.subscribe(subscription.topic())).await;
        let subscribed = subscribed.map_err(|_| too_late())?;
        subscribed.map_err(Failure::of_connecting)
    }

    /// How long the server takes to answer.
    pub(super) async fn ping(&self) -> Result<Duration, Failure> {
        let sent = Instant::now();
        let _: String = self.ask(redis::cmd("PING")).await?;
        Ok(sent.elapsed())
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Failure> {
        let mut connection = self.connection.clone();
        let answer = command.query_async(&mut connection).await;
        answer.map_err(Failure::of_connecting)
    }
}

/// What a server that is no place to keep locks is refused for. It is looked at anew for each
/// connection: another may have taken its place.
fn fitness(info: &str) -> Result<(), Failure> {
    let refuse = |kind, why| Err(Failure::new(kind, why));
    let version = says(info, "redis_version").and_then(|version| version.split('.').next());
    let version = version.and_then(|major| major.parse().ok());
    if version.is_none_or(|major: u32| major < 7) {
        let why = "the server is older than Redis 7";
        return refuse(BackendErrorKind::Rejected, why);
    }
    if says(info, "maxmemory_policy") != Some("noeviction") {
        let why = "the server may evict keys: maxmemory-policy must be noeviction";
        return refuse(BackendErrorKind::Rejected, why);
    }
    // Until it is made a master.
    if says(info, "role") != Some("master") {
        return refuse(BackendErrorKind::Unavailable, "the server is a replica");
    }
    Ok(())
}

/// The value of a field of `INFO`.
fn says<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
}

fn hearing(
    gone: &Arc<Notify>,
    subscription: Option<&Subscription>,
) -> impl Fn(PushInfo) -> Result<(), RedisError> + Send + Sync + 'static {
    let gone = Arc::clone(gone);
    let subscription = subscription.cloned();
    move |push| {
        if push.kind == PushKind::Disconnection {
            gone.notify_one();
        } else if let Some(subscription) = &subscription {
            subscription.hear(&push);
        }
        Ok(())
    }
}

fn too_late() -> Failure {
    let why = "the server took too long to accept a connection";
    Failure::new(BackendErrorKind::Unavailable, why)
}

/// Each request goes out at once. A connection on which nothing is acknowledged for as long as an
/// answer may take is given up.
fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(TIMEOUT);
    settings
}
