//! A Redis server.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::clock::Clock;
use super::{Directory, Process, free_port};

pub(crate) struct RedisServer {
    port: u16,
    process: Option<Process>,
    directory: Directory,
    options: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl RedisServer {
    /// Starts one with these options beside the usual, and waits until it listens.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_in(options, Vec::new()).await
    }

    /// Starts one that goes by this clock.
    pub(crate) async fn start_with_clock(options: &[&str], clock: &Clock) -> Self {
        Self::start_in(options, clock.environment().into()).await
    }

    async fn start_in(options: &[&str], environment: Vec<(&'static str, PathBuf)>) -> Self {
        let mut server = Self {
            port: free_port(),
            process: None,
            directory: Directory::new(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            environment,
        };
        server.restart().await;
        server
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port and directory.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--daemonize", "no", "--dir"])
            .arg(self.directory.path())
            .args(&self.options)
            .envs(self.environment.iter().map(|(key, value)| (key, value)));
        self.process = Some(Process::start(command, "redis-server"));
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not listen on {}", self.port);
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Of a server that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url_of_user(&self, password: &str) -> String {
        format!("redis://:{password}@127.0.0.1:{}", self.port)
    }
}

/// Three servers that share the slots among them.
pub(crate) struct RedisCluster(Vec<RedisServer>);

impl RedisCluster {
    /// Starts one, and waits until every server knows of all slots.
    pub(crate) async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(RedisServer::start(&["--cluster-enabled", "yes"]).await);
        }
        let addresses = servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port));
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(addresses);
        let output = create.arg("--cluster-yes").output();
        let output = output.expect("redis-cli starts: install the package redis-tools");
        assert!(output.status.success(), "{output:?}");
        for server in &servers {
            server.wait_for_slots().await;
        }
        Self(servers)
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.0.iter().map(RedisServer::url).collect()
    }
}

impl RedisServer {
    async fn wait_for_slots(&self) {
        for _ in 0..500 {
            let mut info = Command::new("redis-cli");
            info.args(["-p", &self.port.to_string(), "cluster", "info"]);
            let output = info.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            if text.contains("cluster_state:ok") && text.contains("cluster_known_nodes:3") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the cluster does not come together");
    }
}
