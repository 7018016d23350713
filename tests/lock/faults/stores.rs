//! The stores, as the harness starts, breaks and empties them.

use std::sync::Arc;
use std::time::Duration;

use tripod::BoxFuture;
use tripod::lock::{
    BackendError, EtcdBackend, LockBackend, PostgresBackend, RedisBackend, ZooKeeperBackend,
};

use crate::server::etcd::EtcdServer;
use crate::server::postgres::PostgresServer;
use crate::server::redis::RedisServer;
use crate::server::zookeeper::ZooKeeperServer;

/// A server that can be broken.
pub trait Server: Send {
    /// Where it listens, on this machine.
    fn port(&self) -> u16;

    /// How to reach it at this port.
    fn url(&self, port: u16) -> String;

    fn pid(&self) -> u32;

    /// Ends it as a failure would, at once.
    fn kill(&mut self);

    /// Starts it again where it was, and waits until it answers.
    fn restart(&mut self) -> BoxFuture<'_, ()>;

    /// What it keeps though nobody holds or waits, but for what the design says it may.
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>>;
}

/// Connects to whatever store this is.
pub async fn connect(url: &str, ttl: Duration) -> Result<Arc<dyn LockBackend>, BackendError> {
    let (scheme, _) = url.split_once("://").unwrap();
    Ok(match scheme {
        "http" => Arc::new(EtcdBackend::connect(url).await?),
        "postgres" => Arc::new(PostgresBackend::connect(url).await?),
        "redis" => Arc::new(RedisBackend::connect(url).await?),
        "zookeeper" => Arc::new(ZooKeeperBackend::connect(url).session_timeout(ttl).await?),
        other => panic!("no store for {other}"),
    })
}

macro_rules! server {
    ($server:ident, $url:literal, $restart:path, $leftovers:path) => {
        impl Server for $server {
            fn port(&self) -> u16 {
                $server::port(self)
            }

            fn url(&self, port: u16) -> String {
                format!($url, port)
            }

            fn pid(&self) -> u32 {
                $server::pid(self)
            }

            fn kill(&mut self) {
                $server::kill(self);
            }

            fn restart(&mut self) -> BoxFuture<'_, ()> {
                Box::pin($restart(self))
            }

            fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
                Box::pin($leftovers(self))
            }
        }
    };
}

server!(
    EtcdServer,
    "http://127.0.0.1:{}",
    EtcdServer::restart,
    EtcdServer::keys
);
server!(
    PostgresServer,
    "postgres://postgres@127.0.0.1:{}/postgres",
    restart_postgres,
    rows_on_postgres
);
server!(
    RedisServer,
    "redis://127.0.0.1:{}",
    RedisServer::restart,
    keys_on_redis
);
server!(
    ZooKeeperServer,
    "zookeeper://127.0.0.1:{}",
    ZooKeeperServer::restart,
    nodes_on_zookeeper
);

async fn restart_postgres(server: &mut PostgresServer) {
    server.restart();
}

async fn rows_on_postgres(server: &PostgresServer) -> Vec<String> {
    server.query("SELECT * FROM tripod.entry")
}

/// All but the last fencing token of each name, which goes within two days.
async fn keys_on_redis(server: &RedisServer) -> Vec<String> {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut ask = async |words: &[&str]| -> redis::Value {
        let mut command = redis::cmd(words[0]);
        let command = command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    };
    let keys: Vec<String> = redis::from_redis_value(ask(&["KEYS", "*"]).await).unwrap();
    let mut left = Vec::new();
    for key in keys {
        let fields = redis::from_redis_value(ask(&["HKEYS", &key]).await);
        let fields: Vec<String> = fields.unwrap();
        let lives: i64 = redis::from_redis_value(ask(&["TTL", &key]).await).unwrap();
        if fields != ["t"] || !(0..=2 * 86_400).contains(&lives) {
            left.push(format!("{key} with {fields:?} for {lives} s"));
        }
    }
    left
}

/// All but the containers, which the server removes once they have been empty for a while.
async fn nodes_on_zookeeper(server: &ZooKeeperServer) -> Vec<String> {
    let address = format!("127.0.0.1:{}", server.port());
    let client = zookeeper_client::Client::connect(&address).await.unwrap();
    let mut left = Vec::new();
    for container in client.list_children("/tripod").await.unwrap() {
        let path = format!("/tripod/{container}");
        match client.list_children(&path).await {
            Ok(nodes) => left.extend(nodes.iter().map(|node| format!("{path}/{node}"))),
            Err(zookeeper_client::Error::NoNode) => {}
            Err(error) => panic!("{path}: {error}"),
        }
    }
    left
}
