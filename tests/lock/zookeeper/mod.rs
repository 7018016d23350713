//! Locks on `ZooKeeper`, against real servers.

mod access;
mod law;
mod protocol;
mod sessions;

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::lock::{Entry, HolderId, LockName, Locks, Request, ZooKeeperBackend};
use zookeeper_client::Client;

use crate::scenario::{FAR, HANGS, connected};
use crate::server::zookeeper::ZooKeeperServer;

async fn store(server: &ZooKeeperServer) -> ZooKeeperBackend {
    connected(|| ZooKeeperBackend::connect(server.url())).await
}

async fn locks(server: &ZooKeeperServer) -> Locks {
    Locks::new(store(server).await)
}

async fn brief(port: u16, timeout: Duration) -> ZooKeeperBackend {
    let url = format!("zookeeper://127.0.0.1:{port}");
    connected(|| ZooKeeperBackend::connect(&url).session_timeout(timeout)).await
}

/// With a session so long that waiters are told, or do not learn of anything in time.
async fn patient(port: u16) -> Locks {
    Locks::new(brief(port, FAR).await)
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

/// Looks again and again.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = timeout(HANGS, looking).await;
    assert!(looked.is_ok(), "it does not come to pass: {what}");
}

/// One of the numbers that the server tells of itself.
async fn counted(server: &ZooKeeperServer, what: &str) -> u64 {
    let told = server.says("mntr").await;
    let mut lines = told.lines();
    let line = lines.find_map(|line| line.strip_prefix(what)?.trim().parse().ok());
    line.unwrap_or(u64::MAX)
}
