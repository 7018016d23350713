//! Certificates for servers on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Directory;

/// An authority of our own, and a certificate by it for `localhost` and 127.0.0.1 that serves
/// both sides of a connection.
pub(crate) struct Certificates(Directory);

impl Certificates {
    pub(crate) fn new() -> Self {
        let certificates = Self(Directory::new());
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        let usage = "extendedKeyUsage=serverAuth,clientAuth";
        let extensions = certificates.path("extensions");
        std::fs::write(extensions, format!("{names}\n{usage}\n")).unwrap();
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            let command = command.current_dir(certificates.0.path());
            let output = command.args(arguments.split(' ')).output();
            let output = output.expect("openssl starts: install the package openssl");
            assert!(output.status.success(), "{arguments}: {output:?}");
        };
        openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
        );
        openssl(
            "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        );
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem",
        );
        certificates
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    /// Where everything is, for a server that keeps its own copy.
    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// The authority's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// The server's private key.
    pub(crate) fn key(&self) -> PathBuf {
        self.path("server.key")
    }
}
