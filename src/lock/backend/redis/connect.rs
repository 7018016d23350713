//! The way to a store on Redis.

use std::fmt;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::future::BoxFuture;
use crate::lock::backend::{BackendError, BackendErrorKind, Verb};
use crate::tls::{Tls, provide_cryptography};

use super::RedisBackend;
use super::cluster::Cluster;
use super::failure::Failure;
use super::link::Link;
use super::place::{Place, Sentinels};
use super::servers::Servers;
use super::slots::Address;
use super::subscription::Subscription;
use super::topology::at;

/// A connection to Redis that is about to be made; await it.
///
/// # Errors
/// *Unavailable* if no server can be reached, or none is a master now; *rejected* if a URL is wrong,
/// or a server refuses the user, shows a certificate that is not trusted, is older than 7, or may
/// evict keys (`maxmemory-policy` must be `noeviction`).
///
/// # Cancel safety
/// Safe: nothing is stored.
#[must_use = "a connection is made when it is awaited"]
pub struct ConnectRedis {
    to: To,
    tls: Option<Tls>,
    credentials: Option<(String, String)>,
}

enum To {
    Server(String),
    Cluster(Vec<String>),
    Sentinel { urls: Vec<String>, master: String },
}

impl RedisBackend {
    /// Connects to the server of this URL: `redis://[user:password@]host[:port][/database]`, or
    /// `rediss://` for TLS.
    pub fn connect(url: impl Into<String>) -> ConnectRedis {
        ConnectRedis::new(To::Server(url.into()))
    }

    /// Connects to the cluster that the servers of these URLs belong to. One that answers is
    /// enough; the others are learnt from it. All URLs carry the same user and password, and are
    /// `rediss://` if one is.
    pub fn connect_cluster(urls: impl IntoIterator<Item = impl Into<String>>) -> ConnectRedis {
        let urls = urls.into_iter().map(Into::into).collect();
        ConnectRedis::new(To::Cluster(urls))
    }

    /// Connects to the master that the sentinels of these URLs know by this name, and after a
    /// failover to its successor. The URLs carry the users and passwords of the sentinels; those of
    /// the master are [`credentials`](ConnectRedis::credentials). If the URLs are `rediss://` the
    /// master speaks TLS too. One sentinel that answers is enough.
    pub fn connect_sentinel(
        urls: impl IntoIterator<Item = impl Into<String>>,
        master: impl Into<String>,
    ) -> ConnectRedis {
        let urls = urls.into_iter().map(Into::into).collect();
        let master = master.into();
        ConnectRedis::new(To::Sentinel { urls, master })
    }
}

impl ConnectRedis {
    fn new(to: To) -> Self {
        Self {
            to,
            tls: None,
            credentials: None,
        }
    }

    /// Whom to trust, and who we are; for `rediss://` URLs only. At first: the certificate
    /// authorities that the system trusts, and no certificate of our own.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The user and the password for the servers that keep the locks; the user is `default` where
    /// there is only a password. At first: those of the URLs, or none behind sentinels, whose URLs
    /// carry their own.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    async fn connect(self) -> Result<RedisBackend, Failure> {
        let subscription = Subscription::new();
        let servers = match &self.to {
            To::Server(url) => {
                let info = self.with_credentials(self.info(url)?);
                let place = Place::Server(info);
                Servers::One(Link::connect(place, Some(subscription.clone())).await?)
            }
            To::Sentinel { urls, master } => {
                let place = Place::Sentinels(self.sentinels(urls, master)?);
                Servers::One(Link::connect(place, Some(subscription.clone())).await?)
            }
            To::Cluster(urls) => {
                let (node, seeds) = self.members(urls)?;
                let cluster = Cluster::connect(node, seeds, subscription.clone());
                Servers::Cluster(cluster.await?)
            }
        };
        Ok(RedisBackend {
            servers,
            subscription,
        })
    }

    fn sentinels(&self, urls: &[String], name: &str) -> Result<Sentinels, Failure> {
        let asked = self.infos(urls)?;
        let (first, _) = alike(&asked)?;
        // The credentials that a URL carries are a sentinel's.
        let address = first.addr().clone();
        let master = address.into_connection_info();
        let master = master.map_err(Failure::of_connecting)?;
        Ok(Sentinels {
            master: self.with_credentials(master),
            name: name.to_owned(),
            asked,
        })
    }

    fn members(&self, urls: &[String]) -> Result<(ConnectionInfo, Vec<Address>), Failure> {
        let infos = self.infos(urls)?;
        let (first, seeds) = alike(&infos)?;
        let settings = |info: &ConnectionInfo| {
            let settings = info.redis_settings();
            let text = |text: Option<&str>| text.map(str::to_owned);
            let user = text(settings.username());
            (user, text(settings.password()), settings.db())
        };
        if infos.iter().any(|info| settings(info) != settings(first)) {
            return wrong("the URLs of one cluster differ in more than host and port");
        }
        Ok((self.with_credentials(first.clone()), seeds))
    }

    fn infos(&self, urls: &[String]) -> Result<Vec<ConnectionInfo>, Failure> {
        urls.iter().map(|url| self.info(url)).collect()
    }

    fn info(&self, url: &str) -> Result<ConnectionInfo, Failure> {
        let wrong = |error| Failure::of_connecting(error).for_good();
        let info = url.into_connection_info().map_err(wrong)?;
        // What a server is asked once needs no other; connections that stay set their own.
        let settings = info.redis_settings().clone();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP2));
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            provide_cryptography();
        }
        let Some(tls) = &self.tls else {
            return Ok(info);
        };
        let client = Client::build_with_tls(info, certificates(tls)?).map_err(wrong)?;
        Ok(client.get_connection_info().clone())
    }

    fn with_credentials(&self, info: ConnectionInfo) -> ConnectionInfo {
        let Some((user, password)) = &self.credentials else {
            return info;
        };
        let settings = info.redis_settings().clone();
        let settings = settings.set_username(user).set_password(password);
        info.set_redis_settings(settings)
    }
}

impl IntoFuture for ConnectRedis {
    type Output = Result<RedisBackend, BackendError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let connected = self.connect().await;
            connected.map_err(|failure| failure.into_error(Verb::Connect))
        })
    }
}

impl fmt::Debug for ConnectRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRedis").finish_non_exhaustive()
    }
}

fn wrong<T>(why: &'static str) -> Result<T, Failure> {
    Err(Failure::new(BackendErrorKind::Rejected, why))
}

/// The first server of several, which must be there and reached like the others, and where all are.
fn alike(infos: &[ConnectionInfo]) -> Result<(&ConnectionInfo, Vec<Address>), Failure> {
    let Some(first) = infos.first() else {
        return wrong("no URL was given");
    };
    let mut addresses = Vec::new();
    for info in infos {
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            info.addr()
        else {
            return wrong("a URL has no host");
        };
        let (host, port) = (host.clone(), *port);
        let address = Address { host, port };
        if at(first, &address).addr() != info.addr() {
            return wrong("some URLs are for TLS, and some are not");
        }
        addresses.push(address);
    }
    Ok((first, addresses))
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, Failure> {
    let is_empty = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).next().is_none();
    let chain = tls.identity().map(|identity| identity.chain.as_slice());
    if [tls.roots(), chain].into_iter().flatten().any(is_empty) {
        return wrong("where certificates were expected there are none in PEM");
    }
    let client_tls = tls.identity().cloned().map(|identity| ClientTlsConfig {
        client_cert: identity.chain,
        client_key: identity.key,
    });
    let root_cert = tls.roots().map(<[u8]>::to_vec);
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}
