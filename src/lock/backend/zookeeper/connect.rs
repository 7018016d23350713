//! The way to the servers.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use tokio::runtime::Handle;
use zookeeper_client::{Error, TlsOptions};

use crate::future::BoxFuture;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::tls::{Tls, provide_cryptography};

use super::ZooKeeperBackend;
use super::address::Address;
use super::failure::failure;
use super::keeper::OPEN_TIME_MAX;
use super::session::{Config, Session};

/// The TTL that the handle asks for unless it is told otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// The shortest: a session has to be opened within its timeout. Servers seldom agree to as little.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The longest: the client tells the server in milliseconds, 31 bits; a day is more than enough.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Where files of the authorities that a system trusts are, by distribution.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A connection to be awaited: see [`ZooKeeperBackend::connect`].
///
/// # Cancel safety
/// Safe: dropped, it leaves at most a session without nodes, which ends by itself.
#[derive(Clone)]
#[must_use = "nothing is connected until it is awaited"]
pub struct ConnectZooKeeper {
    url: String,
    timeout: Duration,
    tls: Option<Tls>,
    user: Option<(String, String)>,
}

impl ConnectZooKeeper {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            timeout: TIMEOUT_DEFAULT,
            tls: None,
            user: None,
        }
    }

    /// How long the servers wait for a word of this process before they free what it holds: the TTL of
    /// every lock of this backend, whatever shorter TTL is asked for; 30 s unless said otherwise, the
    /// TTL that the handle asks for unless *it* is told otherwise. A longer TTL is refused, so raise
    /// both together.
    ///
    /// The servers have the last word: between two and twenty of their ticks, 4 s to 40 s with a tick
    /// of 2 s, unless `minSessionTimeout` and `maxSessionTimeout` say otherwise. All servers must have
    /// the same limits, and `minSessionTimeout` must not be under two ticks. To choose: several
    /// times the longest pause of this process and the longest election of a leader that are to be
    /// survived; others wait that long when this process dies. From 1 s to a day.
    ///
    /// It is agreed on once, when the session is opened. Servers that are restarted with a lower
    /// `maxSessionTimeout` hold to it the sessions that they take over, and leases here stay as they were:
    /// after such a change restart the clients too.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Speaks TLS, whatever the URL says, and trusts and shows what is said here. With
    /// `zookeeper+tls://` and without this, the system's authorities are trusted, from the usual files
    /// of Unix systems or the one that `SSL_CERT_FILE` names. All certificates must be for the name
    /// in the URL.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Authenticates by digest, and keeps everybody else from what is created: from locks, and from
    /// the node that they are under and each node above it, if they were not there before: make those
    /// that others are to use beforehand. The server knows no users of its own:
    /// a wrong password makes another user, who may not touch what the right one created. The name must
    /// not be empty and not have a colon. Without TLS, the password goes over the network as it is.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    fn config(self) -> Result<Config, BackendError> {
        let address = Address::parse(&self.url).map_err(rejected)?;
        if self.timeout < TIMEOUT_MIN || self.timeout > TIMEOUT_MAX {
            return Err(rejected("a session timeout must be from 1 s to a day"));
        }
        let user = match self.user {
            Some((name, _)) if name.is_empty() || name.contains(':') => {
                return Err(rejected(
                    "a user's name must not be empty and not have a colon",
                ));
            }
            user => user.map(|(name, password)| format!("{name}:{password}")),
        };
        let tls = match self.tls {
            None if !address.tls => None,
            tls => Some(options(&tls.unwrap_or_default())?),
        };
        Ok(Config {
            servers: address.servers,
            chroot: address.chroot,
            timeout: self.timeout,
            tls,
            user,
        })
    }
}

impl IntoFuture for ConnectZooKeeper {
    type Output = Result<ZooKeeperBackend, BackendError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let config = self.config()?;
            // The client spawns its tasks here, and panics where there is no runtime.
            let runtime = Handle::try_current();
            let runtime = runtime.map_err(|_| rejected("there is no tokio runtime"))?;
            let session = Session::open(&config, OPEN_TIME_MAX).await;
            let session = session.map_err(unconnected)?;
            Ok(ZooKeeperBackend::new(config, session, runtime))
        })
    }
}

impl fmt::Debug for ConnectZooKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold what belongs into `user`.
        f.debug_struct("ConnectZooKeeper")
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

fn rejected(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::new(BackendErrorKind::Rejected, Verb::Connect).with_source(why)
}

fn unconnected(error: Error) -> BackendError {
    failure(error, Verb::Connect, false)
}

fn options(tls: &Tls) -> Result<TlsOptions, BackendError> {
    provide_cryptography();
    let roots = match tls.roots() {
        Some(roots) => roots.to_vec(),
        None => authorities().ok_or_else(|| {
            rejected("no file of the system's authorities was found: see `Tls::with_roots`")
        })?,
    };
    let text = |pem: Vec<u8>| String::from_utf8(pem).map_err(|_| rejected("PEM must be text"));
    let mut options = TlsOptions::new()
        .with_pem_ca(&text(roots)?)
        .map_err(unconnected)?;
    if let Some(identity) = tls.identity() {
        let (chain, key) = (identity.chain.clone(), identity.key.clone());
        let with_identity = options.with_pem_identity(&text(chain)?, &text(key)?);
        options = with_identity.map_err(|_| rejected("the identity is not PEM"))?;
    }
    Ok(options)
}

fn authorities() -> Option<Vec<u8>> {
    let named = std::env::var_os("SSL_CERT_FILE").and_then(|path| std::fs::read(path).ok());
    named.or_else(|| AUTHORITIES.iter().find_map(|path| std::fs::read(path).ok()))
}
