//! Servers that a test starts for itself: on loopback, on a free port, in a directory of their own.

pub(crate) mod certificates;
#[cfg(feature = "redis")]
pub(crate) mod clock;
#[cfg(all(feature = "etcd", feature = "conformance"))]
pub(crate) mod etcd;
#[cfg(feature = "mysql")]
pub(crate) mod mariadb;
#[cfg(all(feature = "postgres", feature = "conformance"))]
pub(crate) mod pgbouncer;
pub(crate) mod postgres;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(all(feature = "redis", feature = "conformance"))]
pub(crate) mod redis_cluster;
#[cfg(all(feature = "redis", feature = "conformance"))]
pub(crate) mod redis_sentinel;
pub(crate) mod wire;
#[cfg(all(feature = "zookeeper", feature = "conformance"))]
pub(crate) mod zookeeper;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on just now; low enough that a cluster may add its 10,000 to it.
pub(crate) fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}

/// A directory that goes with its owner.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tripod-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with its owner.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it, or says what to install.
    pub(crate) fn start(mut command: Command, package: &str) -> Self {
        let program = command.get_program().to_owned();
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match command.spawn() {
            Ok(child) => Self(child),
            Err(error) => {
                panic!(
                    "{} does not start ({error}): install the package {package}",
                    program.display()
                )
            }
        }
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -s {signal} {}", self.0.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{signal}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
