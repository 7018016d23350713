//! The constructor.

use std::fmt;
use std::future::IntoFuture;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions, Txn, TxnOp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::future::BoxFuture;
use crate::lock::backend::BackendError;
use crate::tls::{Tls, provide_cryptography};

use super::EtcdBackend;
use super::keys::{Prefix, is_of};
use super::link::{Link, TIMEOUT};
use super::store::Store;
use super::trouble::Trouble;

/// The oldest version that is served.
const VERSION_MIN: (u32, u32) = (3, 4);

/// A connection to etcd that is being made; await it. See
/// [`EtcdBackend::connect`](super::EtcdBackend::connect).
#[must_use = "nothing is connected until it is awaited"]
pub struct ConnectEtcd {
    urls: String,
    prefix: String,
    tls: Option<Tls>,
    user: Option<(String, String)>,
}

impl ConnectEtcd {
    pub(super) fn new(urls: &str) -> Self {
        Self {
            urls: urls.to_owned(),
            prefix: "tripod".to_owned(),
            tls: None,
            user: None,
        }
    }

    /// Whom to trust, and who we are, on `https://`. At first: the system's authorities, and no
    /// certificate of our own. With `http://`, it is refused.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The user to connect as; at first none. The server must have authentication enabled. The
    /// user needs to read and write the keys below [`prefix`](Self::prefix).
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// What the keys of all locks stand below; at first `tripod`. All who share locks must say the
    /// same. 1 to 128 letters, digits and `-_./` of ASCII, the last of them no slash.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    async fn connect(self) -> Result<EtcdBackend, Trouble> {
        let prefix = Prefix::new(&self.prefix);
        let prefix = prefix.ok_or_else(|| Trouble::rejected("the prefix is not allowed"))?;
        let endpoints = endpoints(&self.urls)?;
        let mut options = ConnectOptions::new();
        let encrypted = endpoints.iter().filter(|url| url.starts_with("https://"));
        match (encrypted.count(), self.tls) {
            (0, None) => {}
            (some, tls) if some == endpoints.len() => {
                options = options.with_tls(settings(&tls.unwrap_or_default()));
            }
            (0, Some(_)) => return Err(Trouble::rejected("TLS is for https:// only")),
            _ => return Err(Trouble::rejected("either all URLs are https://, or none")),
        }
        if let Some((name, password)) = self.user {
            options = options.with_user(name, password);
        }
        let link = Link::new(endpoints, options);
        let closed = CancellationToken::new();
        let store = Store::new(prefix, link, closed.clone());
        // Each server gets its try; one that does not answer takes its time.
        let mut tried = Err(Trouble::rejected("no endpoint"));
        for _ in 0..store.link.endpoints() {
            tried = store.try_out().await;
            if tried.as_ref().map_or_else(Trouble::is_rejected, |()| true) {
                break;
            }
        }
        tried.map(|()| EtcdBackend::new(store, closed))
    }
}

impl IntoFuture for ConnectEtcd {
    type Output = Result<EtcdBackend, BackendError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.connect().await.map_err(Trouble::at_connect) })
    }
}

impl fmt::Debug for ConnectEtcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectEtcd").finish_non_exhaustive()
    }
}

impl Store {
    /// Asks the server for its version, and whether we may do what locks take; changes nothing.
    async fn try_out(&self) -> Result<(), Trouble> {
        let until = Instant::now() + TIMEOUT;
        let used = self.link.used(until).await?;
        let mut client = used.client.clone();
        let status = self.link.ask(&used, until, client.status()).await?;
        let mut numbers = status.version().split('.').map(str::parse);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => return Err(Trouble::rejected("the server's version is not understood")),
        };
        if version < VERSION_MIN {
            return Err(Trouble::rejected("the server is older than etcd 3.4"));
        }
        let all = self.prefix.all();
        // No key was put at a revision below 0; what is asked for is allowed or refused all the
        // same.
        let never = [is_of(all.from(), -1)];
        let put = TxnOp::put(all.from(), Vec::new(), None);
        let txn = Txn::new()
            .when(never)
            .and_then([put])
            .or_else([all.count()]);
        self.take(txn, until).await.map(drop)
    }
}

/// The servers' URLs, without what the client does not take.
fn endpoints(urls: &str) -> Result<Vec<String>, Trouble> {
    let urls: Vec<String> = urls.split(',').map(|url| url.trim().to_owned()).collect();
    for url in &urls {
        let address = url.strip_prefix("http://").or(url.strip_prefix("https://"));
        match address {
            Some(address) if address.contains('@') => {
                return Err(Trouble::rejected("a URL with a user: say it by `user`"));
            }
            Some(address) if !address.is_empty() => {}
            _ => return Err(Trouble::rejected("a URL is neither http:// nor https://")),
        }
    }
    Ok(urls)
}

fn settings(tls: &Tls) -> TlsOptions {
    provide_cryptography();
    let options = TlsOptions::new();
    let options = match tls.roots() {
        Some(pem) => options.ca_certificate(Certificate::from_pem(pem)),
        None => options.with_enabled_roots(),
    };
    match tls.identity() {
        Some(identity) => options.identity(Identity::from_pem(&identity.chain, &identity.key)),
        None => options,
    }
}
