//! A `PostgreSQL` server, and its own client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use super::{Directory, Process, free_port};

/// Whom the server runs as where the test runs as root, which it refuses.
const NOBODY: &str = "65534";

pub(crate) struct PostgresServer {
    port: u16,
    _process: Process,
    _directory: Directory,
}

impl PostgresServer {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        let (port, directory) = (free_port(), Directory::new());
        let data = directory.path().join("data");
        let is_root = is_root();
        if is_root {
            run(Command::new("chown").arg(NOBODY).arg(directory.path()));
        }
        let mut initdb = command("initdb", is_root);
        initdb.arg("-D").arg(&data);
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
            "--no-locale",
        ]);
        run(&mut initdb);
        let mut postgres = command("postgres", is_root);
        postgres
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
        ] {
            postgres.args(["-c", setting]);
        }
        let process = Process::start(postgres, "postgresql");
        let server = Self {
            port,
            _process: process,
            _directory: directory,
        };
        for _ in 0..500 {
            if server.try_query("SELECT 1").status.success() {
                return server;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not answer on {port}");
    }

    /// What the server answers to these statements, a line each.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let output = self.try_query(sql);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        let answer = String::from_utf8(output.stdout).unwrap();
        answer.lines().map(str::to_owned).collect()
    }

    fn try_query(&self, sql: &str) -> Output {
        let mut psql = command("psql", false);
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        psql.args([
            "-U",
            "postgres",
            "-X",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
        ]);
        output(&mut psql)
    }
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).stdout == b"0\n"
}

/// A program of the server's, as nobody if it is to be.
fn command(program: &str, as_nobody: bool) -> Command {
    let program = find(program);
    if !as_nobody {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    command.arg(program);
    command
}

/// Debian keeps them apart, a directory for each version.
fn find(program: &str) -> OsString {
    let installed = std::fs::read_dir("/usr/lib/postgresql");
    let versions = installed.into_iter().flatten().flatten();
    let paths = versions.map(|version| version.path().join("bin").join(program));
    let newest = paths.filter(|path: &PathBuf| Path::exists(path)).max();
    newest.map_or_else(|| program.into(), PathBuf::into_os_string)
}

fn output(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => {
            panic!("{command:?} does not start ({error}): install the package postgresql")
        }
    }
}

fn run(command: &mut Command) {
    let output = output(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
