//! An etcd server.

use std::process::Command;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, GetOptions, Identity, Permission, PermissionType,
    TlsOptions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::certificates::Certificates;
use super::{Directory, Process, free_port};

/// gRPC's code for a request without the password that is asked for.
const INVALID_ARGUMENT: i32 = 3;

pub(crate) struct EtcdServer {
    port: u16,
    peer_port: u16,
    process: Option<Process>,
    directory: Directory,
    /// With TLS: whose certificate it shows, and whether it asks for one.
    certificates: Option<(Certificates, bool)>,
}

impl EtcdServer {
    /// Starts one, and waits until it is ready.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one that speaks TLS, and lets in only whom the authority vouches for if it `asks`.
    pub(crate) async fn start_tls(asks: bool) -> Self {
        Self::start_with(Some((Certificates::new(), asks))).await
    }

    async fn start_with(certificates: Option<(Certificates, bool)>) -> Self {
        let mut server = Self {
            port: free_port(),
            peer_port: free_port(),
            process: None,
            directory: Directory::new(),
            certificates,
        };
        server.restart().await;
        server
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same ports and directory.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.peer_port));
        let mut command = Command::new("etcd");
        command
            .arg("--data-dir")
            .arg(self.directory.path().join("data"));
        for (option, value) in [
            ("--name", "t"),
            ("--logger", "zap"),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", &format!("t={peer}")),
        ] {
            command.args([option, value]);
        }
        if let Some((certificates, asks)) = &self.certificates {
            command.arg("--cert-file").arg(certificates.certificate());
            command.arg("--key-file").arg(certificates.key());
            if *asks {
                let authority = certificates.authority();
                command.arg("--trusted-ca-file").arg(authority);
                command.arg("--client-cert-auth");
            }
        }
        self.process = Some(Process::start(command, "etcd-server"));
        for _ in 0..3000 {
            if let Ok(mut client) = self.try_client(None).await {
                let answer = timeout(Duration::from_secs(1), client.get("a", None)).await;
                let ready = match answer {
                    Ok(Ok(_)) => true,
                    // Where a password is asked for, that is an answer too.
                    Ok(Err(etcd_client::Error::GRpcStatus(status))) => {
                        status.code() as i32 == INVALID_ARGUMENT
                    }
                    Ok(Err(_)) | Err(_) => false,
                };
                if ready {
                    return;
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not answer on {}", self.port);
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.certificates.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Of a server that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates.as_ref().unwrap().0
    }

    /// Its own client.
    pub(crate) async fn client(&self, user: Option<(&str, &str)>) -> Client {
        self.try_client(user).await.unwrap()
    }

    async fn try_client(&self, user: Option<(&str, &str)>) -> Result<Client, etcd_client::Error> {
        let mut options = ConnectOptions::new();
        if let Some((certificates, _)) = &self.certificates {
            let read = |path| std::fs::read(path).unwrap();
            let authority = Certificate::from_pem(read(certificates.authority()));
            let own =
                Identity::from_pem(read(certificates.certificate()), read(certificates.key()));
            let tls = TlsOptions::new().ca_certificate(authority).identity(own);
            options = options.with_tls(tls);
        }
        if let Some((name, password)) = user {
            options = options.with_user(name, password);
        }
        Client::connect([self.url()], Some(options)).await
    }

    /// Asks for a password from now on: `root` may do everything with `root_password`, and `user`
    /// what is below `tripod/` with `password`.
    pub(crate) async fn ask_for_passwords(&self, root_password: &str, user: &str, password: &str) {
        let mut client = self.client(None).await;
        client.user_add("root", root_password, None).await.unwrap();
        client.user_grant_role("root", "root").await.unwrap();
        client.role_add("locks").await.unwrap();
        let below = Permission::new(PermissionType::Readwrite, "tripod/").with_prefix();
        client.role_grant_permission("locks", below).await.unwrap();
        client.user_add(user, password, None).await.unwrap();
        client.user_grant_role(user, "locks").await.unwrap();
        client.auth_enable().await.unwrap();
    }

    /// All keys there are.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let all = GetOptions::new().with_all_keys().with_keys_only();
        let found = self.client(None).await.get("", Some(all)).await.unwrap();
        let keys = found
            .kvs()
            .iter()
            .map(|kv| kv.key_str().unwrap().to_owned());
        keys.collect()
    }

    /// The sum of what the server counts under this name and label.
    pub(crate) async fn counted(&self, name: &str, label: &str) -> f64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = "GET /metrics HTTP/1.0\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(label));
        let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        numbers.sum()
    }
}
