//! A Redis server, its replica, and the sentinels that look after them.

use std::process::Command;

use super::redis::RedisServer;
use super::{Directory, Process, free_port};

/// What the sentinels call the master.
pub(crate) const MASTER: &str = "locks";

/// The password of the servers.
pub(crate) const DATA_PASSWORD: &str = "canary-data";

/// The password of the sentinels.
pub(crate) const WATCH_PASSWORD: &str = "canary-watch";

/// Two servers with a password, and three sentinels with another. Two of them agree on a failover.
pub(crate) struct RedisSentinels {
    pub(crate) master: RedisServer,
    pub(crate) replica: RedisServer,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    port: u16,
    _process: Process,
    _directory: Directory,
}

impl RedisSentinels {
    /// Starts them, and waits until they know of one another.
    pub(crate) async fn start() -> Self {
        let passwords = [
            "--requirepass",
            DATA_PASSWORD,
            "--masterauth",
            DATA_PASSWORD,
        ];
        let master = RedisServer::start(&passwords).await;
        let follows = format!("127.0.0.1 {}", master.port());
        let of = ["--replicaof", follows.as_str()];
        let replica = RedisServer::start(&[&passwords[..], &of].concat()).await;
        let replica = replica.with_password(DATA_PASSWORD);
        let link = "master_link_status:up";
        replica.wait_for("INFO replication", link).await;
        let sentinels = (0..3).map(|_| Sentinel::start(master.port())).collect();
        let all = Self {
            master: master.with_password(DATA_PASSWORD),
            replica,
            sentinels,
        };
        for sentinel in &all.sentinels {
            let known = format!(
                "status=ok,address=127.0.0.1:{},slaves=1,sentinels=3",
                all.master.port()
            );
            sentinel.wait_for("INFO sentinel", &known).await;
        }
        all
    }

    /// The sentinels' URLs, with their password.
    pub(crate) fn urls(&self) -> Vec<String> {
        let url = |port| format!("redis://:{WATCH_PASSWORD}@127.0.0.1:{port}");
        self.sentinels
            .iter()
            .map(|sentinel| url(sentinel.port))
            .collect()
    }

    /// Waits until the sentinels say that the replica is the master.
    pub(crate) async fn wait_for_failover(&self) {
        for sentinel in &self.sentinels {
            let port = self.replica.port().to_string();
            let command = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}");
            sentinel.wait_for(&command, &port).await;
        }
    }
}

impl Sentinel {
    fn start(master: u16) -> Self {
        let (port, directory) = (free_port(), Directory::new());
        let file = directory.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\n\
             bind 127.0.0.1\n\
             dir {}\n\
             requirepass {WATCH_PASSWORD}\n\
             sentinel sentinel-pass {WATCH_PASSWORD}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel auth-pass {MASTER} {DATA_PASSWORD}\n\
             sentinel down-after-milliseconds {MASTER} 1000\n\
             sentinel failover-timeout {MASTER} 3000\n",
            directory.path().display(),
        );
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new("redis-sentinel");
        command.arg(&file);
        Self {
            port,
            _process: Process::start(command, "redis-sentinel"),
            _directory: directory,
        }
    }

    async fn wait_for(&self, command: &str, expected: &str) {
        let mut printed = String::new();
        for _ in 0..600 {
            let mut ask = Command::new("redis-cli");
            ask.args(["--no-auth-warning", "-a", WATCH_PASSWORD]);
            ask.args(["-p", &self.port.to_string()])
                .args(command.split(' '));
            let output = ask
                .output()
                .expect("redis-cli starts: install the package redis-tools");
            printed = String::from_utf8_lossy(&output.stdout).into_owned();
            if printed.contains(expected) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{command} does not come to say {expected}: {printed}");
    }
}
