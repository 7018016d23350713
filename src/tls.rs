//! TLS to a store.

use std::fmt;

/// Whom to trust, and who we are, towards a store that speaks TLS. At first: the certificate
/// authorities that the system trusts, and no certificate of our own. `Debug` tells neither.
#[derive(Clone, Default)]
pub struct Tls {
    roots: Option<Vec<u8>>,
    identity: Option<Identity>,
}

/// A certificate chain and its private key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Tls {
    /// Trust in the system's authorities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these authorities, certificates in PEM, and no others. What is no certificate makes
    /// the connection fail as *rejected*.
    #[must_use]
    pub fn with_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Shows this certificate chain to the server, with its private key, both in PEM.
    #[must_use]
    pub fn with_identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let (chain, key) = (chain.into(), key.into());
        self.identity = Some(Identity { chain, key });
        self
    }

    pub(crate) fn roots(&self) -> Option<&[u8]> {
        self.roots.as_deref()
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Sees to it that clients that ask for the provider of cryptography of the process find one: they
/// panic where there is none, or where other crates brought several. One that the program chose
/// stays.
pub(crate) fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
