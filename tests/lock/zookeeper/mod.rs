//! Locks on `ZooKeeper`, against real servers.

mod access;
mod law;
mod protocol;
mod sessions;

use std::time::Duration;

use tokio::time::sleep;
use tripod::lock::{Entry, HolderId, LockName, Locks, Request, ZooKeeperBackend};
use zookeeper_client::Client;

use crate::server::zookeeper::ZooKeeperServer;

async fn store(server: &ZooKeeperServer) -> ZooKeeperBackend {
    ZooKeeperBackend::connect(server.url()).await.unwrap()
}

async fn locks(server: &ZooKeeperServer) -> Locks {
    Locks::new(store(server).await)
}

/// A client that goes past the backend.
async fn raw(server: &ZooKeeperServer) -> Client {
    let address = format!("127.0.0.1:{}", server.port());
    Client::connect(&address).await.unwrap()
}

fn name(name: &str) -> LockName {
    LockName::new(name).unwrap()
}

fn request(lock: &str, id: u64) -> Request {
    let entry = Entry::new(name(lock), HolderId::new(7, id));
    Request::new(entry, Duration::from_secs(2)).unwrap()
}

/// Looks again and again, for ten seconds at most.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if is_so().await {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
    panic!("not within 10 s: {what}");
}

/// One of the numbers that the server tells of itself.
async fn counted(server: &ZooKeeperServer, what: &str) -> u64 {
    let told = server.says("mntr").await;
    let mut lines = told.lines();
    let line = lines.find_map(|line| line.strip_prefix(what)?.trim().parse().ok());
    line.unwrap_or(u64::MAX)
}
