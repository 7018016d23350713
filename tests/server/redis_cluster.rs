//! A Redis Cluster.
#![allow(clippy::indexing_slicing, reason = "a cluster has three servers")]

use super::certificates::Certificates;
use super::redis::RedisServer;

/// A short time to be missing, so that a failover takes seconds; and a server that is missing
/// without a replica is no reason for the others to stop.
const OPTIONS: [&str; 6] = [
    "--cluster-enabled",
    "yes",
    "--cluster-require-full-coverage",
    "no",
    "--cluster-node-timeout",
    "2000",
];

/// Three servers that share the slots among them.
pub(crate) struct RedisCluster {
    pub(crate) servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts one, and waits until every server knows of all slots.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], None, &[]).await
    }

    /// With these options, over TLS, and with these options of `redis-cli`.
    pub(crate) async fn start_with(
        options: &[&str],
        tls: Option<&Certificates>,
        client: &[&str],
    ) -> Self {
        let options = [&OPTIONS, options].concat();
        let mut servers = Vec::new();
        for _ in 0..3 {
            let server = RedisServer::start_with(&options, tls).await;
            servers.push(server.with_client(client));
        }
        let cluster = Self { servers };
        let addresses = cluster.servers.iter().map(address);
        let addresses: Vec<String> = addresses.collect();
        let mut words = vec!["--cluster", "create"];
        words.extend(addresses.iter().map(String::as_str));
        words.push("--cluster-yes");
        cluster.manage(&words);
        cluster.wait_for("cluster_known_nodes:3").await;
        cluster
    }

    /// Starts a replica of the first server.
    pub(crate) async fn start_replica(&self) -> RedisServer {
        let replica = RedisServer::start(&OPTIONS).await;
        let [first, ..] = self.servers.as_slice() else {
            panic!("a cluster has servers");
        };
        let id = first.ask("CLUSTER MYID");
        let (new, known) = (address(&replica), address(first));
        let as_replica = ["--cluster-slave", "--cluster-master-id", &id];
        let words = [&["--cluster", "add-node", &new, &known][..], &as_replica].concat();
        self.manage(&words);
        self.wait_for("cluster_known_nodes:4").await;
        let link = "master_link_status:up";
        replica.wait_for("INFO replication", link).await;
        replica
    }

    fn manage(&self, words: &[&str]) {
        let [first, ..] = self.servers.as_slice() else {
            panic!("a cluster has servers");
        };
        let said = first.ask_words(words);
        assert!(said.contains("[OK]"), "{said}");
    }

    async fn wait_for(&self, known: &str) {
        for server in &self.servers {
            server.wait_for("CLUSTER INFO", "cluster_state:ok").await;
            server.wait_for("CLUSTER INFO", known).await;
        }
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(RedisServer::url).collect()
    }

    /// So many names of locks that this server has at first: the slots are cut in three.
    pub(crate) fn names(&self, owner: usize, count: usize) -> Vec<String> {
        // Twice as many as there are likely to be needed.
        let names: Vec<String> = (0..6 * count + 60).map(|i| format!("lock-{i}")).collect();
        let commands = names.iter().map(|name| format!("CLUSTER KEYSLOT {name}\n"));
        let slots = self.servers[0].ask_all(&commands.collect::<String>());
        let ours = slots.lines().map(|slot| match slot.parse().unwrap() {
            0..=5460 => 0,
            5461..=10922 => 1,
            _ => 2,
        });
        let ours = names.into_iter().zip(ours);
        let ours = ours.filter(|(_, at)| *at == owner).map(|(name, _)| name);
        let ours: Vec<String> = ours.take(count).collect();
        assert_eq!(ours.len(), count);
        ours
    }
}

fn address(server: &RedisServer) -> String {
    format!("127.0.0.1:{}", server.port())
}
