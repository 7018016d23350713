//! TLS as the client takes it.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::Tls;

/// Why this URL, or these certificates, lead nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoWay(pub(super) &'static str);

/// What makes a connection secure, if `mode` wants that.
pub(super) async fn connector(
    mode: SslMode,
    tls: Option<&Tls>,
) -> Result<MakeRustlsConnect, NoWay> {
    let given = tls.and_then(Tls::roots);
    let roots = match given {
        Some(pem) => parsed(pem).ok_or(NoWay("no certificate of an authority"))?,
        None if mode == SslMode::Disable => RootCertStore::empty(),
        // It reads files.
        None => tokio::task::spawn_blocking(system)
            .await
            .unwrap_or_else(|_| RootCertStore::empty()),
    };
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let config = match tls.and_then(Tls::identity) {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(&identity.chain).collect::<Result<_, _>>();
            let chain: Vec<_> = chain.map_err(|_| NoWay("no certificate of the client"))?;
            let key = PrivateKeyDer::from_pem_slice(&identity.key);
            let key = key.map_err(|_| NoWay("no private key of the client"))?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|_| NoWay("the private key is not of the client's certificate"))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn parsed(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// The authorities that the system trusts; those that cannot be read are passed over.
fn system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}
