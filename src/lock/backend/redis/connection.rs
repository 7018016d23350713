//! A connection to one server, or to a cluster of them.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, SendError};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisError,
    RedisResult, ScriptInvocation, ServerErrorKind, Value,
};

use crate::lock::backend::BackendErrorKind;

/// How long a server may take to accept a connection, and to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest pause between two tries to connect. The client draws each at random.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) enum Connection {
    Server(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects to a server, and hears what is published under `channel`.
    pub(super) async fn server(
        url: &str,
        channel: &str,
        heard: impl Fn(Heard) + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let settings = info.redis_settings().clone();
        let info = info
            .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3))
            .set_tcp_settings(tcp());
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(Some(TIMEOUT))
            .set_max_delay(RECONNECT_MAX)
            .set_push_sender(sender(heard))
            .set_automatic_resubscription();
        let client = Client::open(info)?;
        let mut manager = ConnectionManager::new_with_config(client, config).await?;
        manager.subscribe(channel).await?;
        Ok(Self::Server(manager))
    }

    /// Connects to a cluster by some of its servers.
    pub(super) async fn cluster(
        urls: Vec<String>,
        channel: &str,
        heard: impl Fn(Heard) + Send + Sync + 'static,
    ) -> RedisResult<Self> {
        let client = ClusterClientBuilder::new(urls)
            .connection_timeout(TIMEOUT)
            .response_timeout(TIMEOUT)
            .tcp_settings(tcp())
            .use_protocol(ProtocolVersion::RESP3)
            .push_sender(sender(heard))
            .build()?;
        let mut cluster = client.get_async_connection().await?;
        cluster.subscribe(channel).await?;
        Ok(Self::Cluster(cluster))
    }

    pub(super) async fn call(&self, call: &ScriptInvocation<'_>) -> RedisResult<Vec<String>> {
        match self.clone() {
            Self::Server(mut connection) => call.invoke_async(&mut connection).await,
            Self::Cluster(mut connection) => call.invoke_async(&mut connection).await,
        }
    }

    /// What `INFO` says of a section.
    pub(super) async fn info(&self, section: &str) -> RedisResult<String> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        match self.clone() {
            Self::Server(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => {
                let any = redis::cluster_routing::RoutingInfo::SingleNode(
                    redis::cluster_routing::SingleNodeRoutingInfo::Random,
                );
                let value = connection.route_command(command, any).await?;
                redis::from_redis_value(value).map_err(RedisError::from)
            }
        }
    }
}

/// A connection on which nothing is acknowledged for as long as an answer may take is given up.
fn tcp() -> TcpSettings {
    let settings = TcpSettings::default();
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(TIMEOUT);
    settings
}

/// What is heard from a server.
pub(super) enum Heard<'a> {
    /// A message.
    Message(&'a [u8]),
    /// The connection was lost or made anew: messages may have been missed.
    Gap,
}

fn sender(
    heard: impl Fn(Heard) + Send + Sync + 'static,
) -> impl Fn(PushInfo) -> Result<(), SendError> + Send + Sync + 'static {
    move |push| {
        tell(&push, &heard);
        Ok(())
    }
}

fn tell(push: &PushInfo, heard: &impl Fn(Heard)) {
    if push.kind == PushKind::Message {
        if let [_, Value::BulkString(message)] = push.data.as_slice() {
            heard(Heard::Message(message));
        }
    } else if matches!(push.kind, PushKind::Disconnection | PushKind::Subscribe) {
        heard(Heard::Gap);
    }
}

/// What an error of the client lets the caller conclude. A script that fails half-way is not undone,
/// and the client of a cluster sends again what may have been done, and tells of the last failure
/// only: so little is definite.
pub(super) fn conclude(error: &RedisError) -> BackendErrorKind {
    use BackendErrorKind::{Corrupt, Indeterminate, Rejected, Unavailable};
    match error.kind() {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported => Rejected,
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Corrupt,
        ErrorKind::Io if error.is_connection_refusal() => Unavailable,
        // Said before anything is run.
        ErrorKind::Server(ServerErrorKind::BusyLoading) => Unavailable,
        ErrorKind::Io | _ => Indeterminate,
    }
}
