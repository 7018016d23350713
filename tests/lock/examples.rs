//! The examples against real servers, and without one.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::server::etcd::EtcdServer;
use crate::server::free_port;
use crate::server::postgres::PostgresServer;
use crate::server::redis::RedisServer;
use crate::server::zookeeper::ZooKeeperServer;

/// Runs an example that cargo has built along with the tests.
fn example(name: &str, url: &str) -> Output {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let output = Command::new(path).arg(url).output();
    output.expect("it is built: run `cargo build --all-features --examples` first")
}

/// It prints three pages under the lock; and where no server answers, what to start.
fn works(name: &str, url: &str, port: u16) {
    let output = example(name, url);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("page 3"), "{printed}");
    assert!(printed.contains("held up to now: true"), "{printed}");
    let nobody = url.replace(&port.to_string(), &free_port().to_string());
    let output = example(name, &nobody);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(printed.contains("start a server"), "{printed}");
}

#[tokio::test]
async fn etcd_lock_runs_and_says_what_to_start() {
    let server = EtcdServer::start().await;
    works("etcd_lock", &server.url(), server.port());
}

#[tokio::test]
async fn postgres_lock_runs_and_says_what_to_start() {
    let server = PostgresServer::start();
    works("postgres_lock", &server.url(), server.port());
}

#[tokio::test]
async fn redis_lock_runs_and_says_what_to_start() {
    let server = RedisServer::start(&[]).await;
    works("redis_lock", &server.url(), server.port());
}

#[tokio::test]
async fn zookeeper_lock_runs_and_says_what_to_start() {
    let server = ZooKeeperServer::start().await;
    works("zookeeper_lock", &server.url(), server.port());
}
