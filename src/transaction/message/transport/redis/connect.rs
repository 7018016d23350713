//! The way to queues on Redis.

use std::fmt;
use std::sync::Arc;

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::RedisTransport;
use super::failure::of_connecting;
use super::link::Link;
use crate::future::BoxFuture;
use crate::tls::{Tls, provide_cryptography};
use crate::transaction::message::error::TransportError;
use crate::transaction::message::transport::Terms;

/// A connection to Redis that is about to be made; await it.
///
/// # Errors
/// *Unavailable* if the server is not reached, or is a replica; *refused* if the URL is wrong, or the
/// server refuses the user, shows a certificate that is not trusted, is older than 7, or may evict
/// keys.
///
/// # Cancel safety
/// Safe: nothing is stored.
#[must_use = "a connection is made when it is awaited"]
pub struct ConnectRedis {
    url: String,
    tls: Option<Tls>,
    credentials: Option<(String, String)>,
    terms: Terms,
}

impl RedisTransport {
    /// Connects to the server of this URL: `redis://[user:password@]host[:port][/database]`, or
    /// `rediss://` for TLS. Lost connections are made again, for as long as the transport lives.
    pub fn connect(url: impl Into<String>) -> ConnectRedis {
        ConnectRedis {
            url: url.into(),
            tls: None,
            credentials: None,
            terms: Terms::new(),
        }
    }
}

impl ConnectRedis {
    /// On these terms. All who use the server's queues keep to the same.
    pub fn terms(mut self, terms: Terms) -> Self {
        self.terms = terms;
        self
    }

    /// Whom to trust, and who we are; for `rediss://` URLs only. At first: the certificate
    /// authorities that the system trusts, and no certificate of our own.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The user and the password; the user is `default` where there is only a password. At first:
    /// those of the URL.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    async fn open(self) -> Result<RedisTransport, TransportError> {
        let link = Link::connect(self.info()?).await?;
        Ok(RedisTransport {
            link: Arc::new(link),
            terms: self.terms,
        })
    }

    fn info(&self) -> Result<ConnectionInfo, TransportError> {
        // The client's error may quote the URL, and the password with it.
        let wrong = |_| TransportError::refused("the URL was not understood");
        let mut info = self.url.as_str().into_connection_info().map_err(wrong)?;
        if let Some((user, password)) = &self.credentials {
            let settings = info.redis_settings().clone();
            let settings = settings.set_username(user).set_password(password);
            info = info.set_redis_settings(settings);
        }
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            provide_cryptography();
        }
        let Some(tls) = &self.tls else {
            return Ok(info);
        };
        let client = Client::build_with_tls(info, certificates(tls)?).map_err(of_connecting)?;
        Ok(client.get_connection_info().clone())
    }
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, TransportError> {
    let is_empty = |pem: &[u8]| CertificateDer::pem_slice_iter(pem).next().is_none();
    let chain = tls.identity().map(|identity| identity.chain.as_slice());
    if [tls.roots(), chain].into_iter().flatten().any(is_empty) {
        let why = "where certificates were expected there are none in PEM";
        return Err(TransportError::refused(why));
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

impl IntoFuture for ConnectRedis {
    type Output = Result<RedisTransport, TransportError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl fmt::Debug for ConnectRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRedis")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}
