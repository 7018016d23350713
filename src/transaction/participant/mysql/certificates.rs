//! TLS as the client takes it.

use mysql_async::{ClientIdentity, SslOpts};

use crate::tls::Tls;

/// What makes a connection secure.
pub(super) async fn options(tls: &Tls) -> SslOpts {
    let roots = match tls.roots() {
        Some(pem) => vec![pem.to_vec()],
        // It reads files.
        None => tokio::task::spawn_blocking(system)
            .await
            .unwrap_or_default(),
    };
    let roots = roots.into_iter().map(Into::into).collect();
    let identity = tls.identity().map(|identity| {
        ClientIdentity::new(identity.chain.clone().into(), identity.key.clone().into())
    });
    // The client brings authorities of its own, which are not those that the system trusts.
    let options = SslOpts::default().with_disable_built_in_roots(true);
    options
        .with_root_certs(roots)
        .with_client_identity(identity)
}

/// The authorities that the system trusts; those that cannot be read are passed over.
fn system() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs().certs;
    let mut store = rustls::RootCertStore::empty();
    let parsable = found
        .into_iter()
        .filter(|one| store.add(one.clone()).is_ok());
    parsable.map(|one| one.to_vec()).collect()
}
