//! Connections to the server: one that all share, and one for each who blocks.

use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ProtocolVersion, Value};
use tokio::time::{Instant, sleep_until, timeout};

use super::failure::{ends_connection, is_lost_group, of_call, of_connecting};
use super::script::{Keys, Script};
use crate::chance::pause;
use crate::transaction::message::error::TransportError;

/// How long the server may take to accept a connection and to be found fit, and to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Pauses between tries to connect that fail: the first at most, and any.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Connections that are kept for those who block next: one for each task that receives all the time
/// in a process of usual size.
const IDLE_MAX: usize = 32;

pub(super) struct Link {
    info: ConnectionInfo,
    shared: tokio::sync::Mutex<Shared>,
    idle: Mutex<Vec<MultiplexedConnection>>,
    pace: Mutex<Pace>,
}

/// The connection that all share, and which it is.
#[derive(Default)]
struct Shared {
    connection: Option<MultiplexedConnection>,
    number: u64,
}

/// When it may next be tried to connect.
#[derive(Default)]
struct Pace {
    failures: u32,
    not_before: Option<Instant>,
}

impl Link {
    /// A link over which a server was reached.
    pub(super) async fn connect(info: ConnectionInfo) -> Result<Self, TransportError> {
        let link = Self {
            info,
            shared: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            pace: Mutex::default(),
        };
        link.shared().await?;
        Ok(link)
    }

    /// Runs a step.
    pub(super) async fn run(&self, script: Script) -> Result<Value, TransportError> {
        let (mut connection, number) = self.shared().await?;
        let answer = timeout(TIMEOUT, script.run(&mut connection)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if ends_connection(&error) {
                    self.forget(number).await;
                }
                Err(of_call(error))
            }
            Err(_) => {
                self.forget(number).await;
                Err(TransportError::unknown("the server did not answer in time"))
            }
        }
    }

    /// Runs a command that blocks for this long, on a connection that nobody else has meanwhile.
    /// Dropped, the connection is closed, and the server told so.
    pub(super) async fn block(
        &self,
        command: Cmd,
        time: Duration,
    ) -> Result<Value, TransportError> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let answer = timeout(time + TIMEOUT, command.query_async(&mut connection)).await;
        let answer = match answer {
            Ok(Err(error)) if is_lost_group(&error) => Ok(Value::Nil),
            Ok(Err(error)) => Err(of_call(error)),
            Ok(Ok(answer)) => Ok(answer),
            Err(_) => Err(TransportError::unknown("the server did not answer in time")),
        };
        let mut idle = self.idle.lock();
        if answer.is_err() {
            // The others lead to the same server.
            idle.clear();
        } else if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        answer
    }

    /// The connection that all share, made if there is none.
    async fn shared(&self) -> Result<(MultiplexedConnection, u64), TransportError> {
        let connected = timeout(2 * TIMEOUT, async {
            let mut shared = self.shared.lock().await;
            if let Some(connection) = &shared.connection {
                return Ok((connection.clone(), shared.number));
            }
            let connection = self.open().await?;
            shared.number += 1;
            shared.connection = Some(connection.clone());
            Ok((connection, shared.number))
        });
        let late = |_| TransportError::unavailable("no connection in time");
        connected.await.map_err(late)?
    }

    /// Gives up a connection, unless another has taken its place.
    async fn forget(&self, number: u64) {
        let mut shared = self.shared.lock().await;
        if shared.number == number {
            shared.connection = None;
        }
    }

    /// A new connection, after a pause if the last try failed.
    async fn open(&self) -> Result<MultiplexedConnection, TransportError> {
        let not_before = self.pace.lock().not_before;
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        let opened = timeout(TIMEOUT, open(&self.info)).await;
        let late =
            |_| TransportError::unavailable("the server took too long to accept a connection");
        let opened = opened.map_err(late).flatten();
        let mut pace = self.pace.lock();
        if opened.is_ok() {
            *pace = Pace::default();
        } else {
            let wait = pause(PAUSES.0, pace.failures, PAUSES.1);
            pace.failures = pace.failures.saturating_add(1);
            pace.not_before = Some(Instant::now() + wait);
        }
        opened
    }
}

/// Connects to a server that can keep queues.
async fn open(info: &ConnectionInfo) -> Result<MultiplexedConnection, TransportError> {
    let settings = info.redis_settings().clone();
    let info = info
        .clone()
        .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP2))
        .set_tcp_settings(tcp());
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(TIMEOUT))
        .set_response_timeout(None);
    let client = Client::open(info).map_err(of_connecting)?;
    let connection = client.get_multiplexed_async_connection_with_config(&config);
    let mut connection = connection.await.map_err(of_connecting)?;
    let asked = redis::cmd("INFO");
    let info: String = asked
        .query_async(&mut connection)
        .await
        .map_err(of_connecting)?;
    fitness(&info)?;
    Ok(connection)
}

/// What a server that is no place to keep queues is refused for. It is looked at anew for each
/// connection: another may have taken its place.
fn fitness(info: &str) -> Result<(), TransportError> {
    let version = says(info, "redis_version").and_then(|version| version.split('.').next());
    let version = version.and_then(|major| major.parse().ok());
    if version.is_none_or(|major: u32| major < 7) {
        return Err(TransportError::refused("the server is older than Redis 7"));
    }
    if says(info, "maxmemory_policy") != Some("noeviction") {
        let why = "the server may evict keys: maxmemory-policy must be noeviction";
        return Err(TransportError::refused(why));
    }
    // Until it is made a master.
    if says(info, "role") != Some("master") {
        return Err(TransportError::unavailable("the server is a replica"));
    }
    Ok(())
}

/// The value of a field of `INFO`.
fn says<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
}

/// Each request goes out at once. A connection on which nothing is acknowledged for as long as an
/// answer may take is given up.
fn tcp() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(TIMEOUT);
    settings
}

/// Reads what is new, and waits for it.
pub(super) fn blocking_read(keys: &Keys, count: usize, wait: Duration) -> Cmd {
    let mut command = redis::cmd("XREADGROUP");
    // 0 would be for ever.
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    command.arg("GROUP").arg("tripod").arg("tripod");
    command.arg("COUNT").arg(count).arg("BLOCK").arg(wait_ms);
    command.arg("STREAMS").arg(&keys.queue).arg(">");
    command
}
