//! The way to the server.

use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::{Connect, tokio_postgres as client};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{Tls, provide_cryptography};

use super::backoff::Backoff;
use super::certificates::{NoWay, connector};
use super::failure::is_of_tls;

/// How long one address may take to accept a connection, unless the URL says otherwise.
const ADDRESS_MAX: Duration = Duration::from_secs(1);

/// For how long the server's system may leave what was sent without acknowledgement.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The client's own default for the idle time before it asks whether the server is still there.
const KEEPALIVE_DEFAULT: Duration = Duration::from_secs(2 * 60 * 60);

pub(crate) type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// What leads to a connection. Cloning shares the pauses between failures.
#[derive(Clone)]
pub(crate) struct Way {
    config: Config,
    tls: MakeRustlsConnect,
    backoff: Backoff,
}

impl Way {
    pub(crate) async fn new(url: &str, tls: Option<&Tls>) -> Result<Self, NoWay> {
        // The client's error may quote the URL, and the password with it.
        let parsed = url.parse::<Config>();
        let mut config = parsed.map_err(|_| NoWay("the URL was not understood"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(NoWay("the URL names no host"));
        }
        if tls.is_some() {
            if config.get_ssl_mode() == SslMode::Disable {
                return Err(NoWay("TLS is asked for, and the URL says sslmode=disable"));
            }
            config.ssl_mode(SslMode::Require);
        }
        complete(&mut config);
        provide_cryptography();
        let tls = connector(config.get_ssl_mode(), tls).await?;
        Ok(Self {
            config,
            tls,
            backoff: Backoff::default(),
        })
    }

    /// Opens a connection, after a pause if the last try failed.
    pub(crate) async fn open(&self) -> Result<(Client, Driver), tokio_postgres::Error> {
        if let Some(pause) = self.backoff.pause() {
            sleep(pause).await;
        }
        let opened = self.open_now().await;
        match opened {
            Ok(_) => self.backoff.reset(),
            Err(_) => self.backoff.failed(),
        }
        opened
    }

    async fn open_now(&self) -> Result<(Client, Driver), tokio_postgres::Error> {
        let opened = self.config.connect(self.tls.clone()).await;
        match opened {
            // As libpq has it: who prefers TLS takes a connection without, where it fails.
            Err(error) if self.config.get_ssl_mode() == SslMode::Prefer && is_of_tls(&error) => {
                let mut plain = self.config.clone();
                plain.ssl_mode(SslMode::Disable);
                plain.connect(self.tls.clone()).await
            }
            opened => opened,
        }
    }
}

/// Sets what the URL leaves open.
fn complete(config: &mut Config) {
    let addresses = config.get_hosts().len().max(1);
    if addresses > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        // The others may be its replicas.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let addresses = u32::try_from(addresses).unwrap_or(u32::MAX);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(ADDRESS_MAX / addresses);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_MAX);
    }
    if config.get_keepalives_idle() == KEEPALIVE_DEFAULT {
        config.keepalives_idle(SILENCE_MAX);
        config.keepalives_interval(SILENCE_MAX);
    }
    if config.get_application_name().is_none() {
        config.application_name("tripod");
    }
}

/// For the pool.
impl Connect for Way {
    fn connect(
        &self,
        _: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), client::Error>> + Send + '_>>
    {
        Box::pin(async move {
            let (client, driver) = self.open().await?;
            let task = tokio::spawn(async move {
                // Whoever asks next is told that the connection is closed.
                let _ = driver.await;
            });
            Ok((client, task))
        })
    }
}
