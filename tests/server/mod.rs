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

use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A port that nobody listens on just now. Not one of those that the system gives to clients, which
/// might have it when a server is started again, even if a cluster adds its 10,000 to it. Processes
/// begin at different ones.
pub(crate) fn free_port() -> u16 {
    const PORTS: Range<u32> = 10_000..22_000;
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let number = std::process::id().wrapping_mul(997).wrapping_add(count);
        let port = PORTS.start + number % (PORTS.end - PORTS.start);
        let port = u16::try_from(port).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether anybody does. A client that asks in vain takes far more of the machine.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
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
