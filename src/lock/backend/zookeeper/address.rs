//! Where the servers are, and under what node everything is.

use rustls::pki_types::ServerName;

/// What the URL says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `host:port`, separated by commas, as the client takes it.
    pub(super) servers: String,
    /// The path of the node that everything is under.
    pub(super) chroot: String,
    pub(super) tls: bool,
}

/// A URL that is none. It does not tell the URL, which may hold what is secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    #[error("the URL does not begin with zookeeper:// or zookeeper+tls://")]
    Scheme,
    #[error("the URL must not name a user: see `user`")]
    User,
    #[error("the URL has a host or port that is none")]
    Server,
    #[error("the URL has a path that ZooKeeper does not take")]
    Path,
}

/// The node that everything is under unless the URL says otherwise.
const CHROOT: &str = "/tripod";

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = url.split_once("://").ok_or(AddressError::Scheme)?;
        let tls = match scheme {
            "zookeeper" => false,
            "zookeeper+tls" => true,
            _ => return Err(AddressError::Scheme),
        };
        let (servers, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if servers.contains('@') {
            return Err(AddressError::User);
        }
        let servers: Option<Vec<_>> = servers.split(',').map(server).collect();
        let path = path.strip_suffix('/').unwrap_or(path);
        let chroot = if path.is_empty() { CHROOT } else { path };
        if !is_path(chroot) {
            return Err(AddressError::Path);
        }
        Ok(Self {
            servers: servers.ok_or(AddressError::Server)?.join(","),
            chroot: chroot.to_owned(),
            tls,
        })
    }
}

/// A host and its port, 2181 where there is none. The client panics on a host that is no name when
/// it speaks TLS.
fn server(server: &str) -> Option<String> {
    let is_bare = server.starts_with('[') && server.ends_with(']');
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !is_bare => (host, port.parse().ok().filter(|port| *port > 0)?),
        Some(_) | None => (server, 2181_u16),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_address = bare.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = bare.is_none() && ServerName::try_from(host).is_ok() && !host.contains(':');
    (is_address || is_name).then(|| format!("{host}:{port}"))
}

/// Whether each part is a name that the server takes.
fn is_path(path: &str) -> bool {
    let plain = |part: &str| {
        let allowed = |c: char| c.is_ascii_graphic();
        !part.is_empty() && part != "." && part != ".." && part.chars().all(allowed)
    };
    let is_own = path == "/zookeeper" || path.starts_with("/zookeeper/");
    !is_own
        && path
            .strip_prefix('/')
            .is_some_and(|path| path.split('/').all(plain))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, String, bool) {
        let Address {
            servers,
            chroot,
            tls,
        } = Address::parse(url).unwrap();
        (servers, chroot, tls)
    }

    #[test]
    fn a_url_names_servers_and_a_chroot() {
        let is = |url, servers: &str, chroot: &str, tls| {
            assert_eq!(parsed(url), (servers.to_owned(), chroot.to_owned(), tls));
        };
        is("zookeeper://a", "a:2181", "/tripod", false);
        is(
            "zookeeper://a:1,b,10.0.0.1:3/",
            "a:1,b:2181,10.0.0.1:3",
            "/tripod",
            false,
        );
        is(
            "zookeeper+tls://[::1]:7,[::2]/x/y",
            "[::1]:7,[::2]:2181",
            "/x/y",
            true,
        );
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_told() {
        for url in [
            "",
            "canary",
            "redis://canary",
            "zookeeper://",
            "zookeeper://canary:0",
            "zookeeper://canary:70000",
            "zookeeper://canary:x",
            "zookeeper://canary,,b",
            "zookeeper://can ary",
            "zookeeper://::1:2181",
            "zookeeper://user:canary@host",
            "zookeeper://host//canary",
            "zookeeper://host/canary/../x",
            "zookeeper://host/zookeeper/canary",
            "zookeeper://host/can ary",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{url}");
        }
    }
}
