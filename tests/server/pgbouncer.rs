//! A pooler before a `PostgreSQL` server.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::postgres::{PostgresServer, command, is_root};
use super::{Directory, Process, free_port};

/// A server connection belongs to a client for a transaction only.
pub(crate) struct PgBouncer {
    port: u16,
    _process: Process,
    _directory: Directory,
}

impl PgBouncer {
    /// Starts one with few server connections, and waits until it listens.
    pub(crate) fn start(server: &PostgresServer) -> Self {
        let (port, directory) = (free_port(), Directory::new());
        let file = directory.path().join("pgbouncer.ini");
        let users = directory.path().join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
            [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
            auth_type = trust\nauth_file = {}\npool_mode = transaction\nserver_reset_query =\n\
            default_pool_size = 4\nmax_client_conn = 1000\n",
            server.port(),
            users.display(),
        );
        std::fs::write(&file, settings).unwrap();
        // Debian keeps it where only root looks.
        let debian = "/usr/sbin/pgbouncer";
        let program = if Path::new(debian).exists() {
            debian
        } else {
            "pgbouncer"
        };
        let mut pgbouncer = command(program, is_root());
        pgbouncer.arg(&file);
        let process = Process::start(pgbouncer, "pgbouncer");
        for _ in 0..3000 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Self {
                    port,
                    _process: process,
                    _directory: directory,
                };
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the pooler does not listen on {port}: is the package pgbouncer installed?");
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}
