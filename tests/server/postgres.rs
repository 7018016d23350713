//! A `PostgreSQL` server, and its own client.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use super::certificates::Certificates;
use super::{Directory, Process, free_port, listens};

/// Whom the server runs as where the test runs as root, which it refuses.
const NOBODY: &str = "65534";

/// Whoever is not `postgres` shows a password.
const PASSWORDS: &str = "host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// Whoever comes, comes by TLS, but for the test's own client.
const TLS_ONLY: &str = "hostssl all all 127.0.0.1/32 trust
hostnossl postgres postgres 127.0.0.1/32 trust
hostnossl plain all 127.0.0.1/32 trust
";

pub(crate) struct PostgresServer {
    port: u16,
    process: Option<Process>,
    directory: Directory,
    settings: Vec<String>,
}

impl PostgresServer {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(&["fsync=off"])
    }

    /// Starts one with these settings beside the usual.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let mut server = Self::prepare(settings);
        server.restart();
        server
    }

    /// Starts one that asks everybody but `postgres` for a password.
    pub(crate) fn start_with_passwords() -> Self {
        let mut server = Self::prepare(&["fsync=off"]);
        server.allow(PASSWORDS);
        server.restart();
        server
    }

    /// Starts one that speaks TLS, and speaks to nobody without, but for database `plain`.
    pub(crate) fn start_with_tls(certificates: &Certificates) -> Self {
        let files = ["ssl_cert_file=server.pem", "ssl_key_file=server.key"];
        let settings = ["fsync=off", "ssl=on", "ssl_ca_file=ca.pem"];
        let mut server = Self::prepare(&[&settings[..], &files].concat());
        for file in ["server.pem", "server.key", "ca.pem"] {
            let copy = server.data().join(file);
            std::fs::copy(certificates.directory().join(file), &copy).unwrap();
            run(Command::new("chmod").arg("600").arg(&copy));
            if is_root() {
                run(Command::new("chown").arg(NOBODY).arg(&copy));
            }
        }
        server.allow(TLS_ONLY);
        server.restart();
        server
    }

    fn prepare(settings: &[&str]) -> Self {
        let (port, directory) = (free_port(), Directory::new());
        if is_root() {
            run(Command::new("chown").arg(NOBODY).arg(directory.path()));
        }
        let server = Self {
            port,
            process: None,
            directory,
            settings: settings.iter().map(|&setting| setting.into()).collect(),
        };
        copy(template(), &server.data());
        server
    }

    fn allow(&self, whom: &str) {
        std::fs::write(self.data().join("pg_hba.conf"), whom).unwrap();
    }

    /// From now on whoever comes by TLS shows a certificate.
    pub(crate) fn require_certificates(&self) {
        self.allow(&TLS_ONLY.replacen("trust", "trust clientcert=verify-ca", 1));
        self.query("SELECT pg_reload_conf()");
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Of a server that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        self.url_of_database("postgres")
    }

    pub(crate) fn url_of_database(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) fn url_of_user(&self, user: &str, password: &str) -> String {
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/postgres",
            self.port
        )
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
        // The others follow when they see that their parent is gone; until then they share memory
        // that a new server wants.
        for _ in 0..3000 {
            if !works_in(&self.data()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server's processes do not end");
    }

    /// Stops it or lets it go on, all of its processes.
    pub(crate) fn signal(&self, signal: &str) {
        let processes = processes_in(&self.data());
        run(Command::new("kill").arg(signal).args(processes));
    }

    /// Starts it, on the same port and directory.
    pub(crate) fn restart(&mut self) {
        let mut postgres = command("postgres", is_root());
        let port = self.port.to_string();
        postgres.arg("-D").arg(self.data()).args(["-p", &port]);
        let always = ["listen_addresses=127.0.0.1", "unix_socket_directories="];
        let settings = self.settings.iter().map(String::as_str);
        for setting in always.into_iter().chain(settings) {
            postgres.args(["-c", setting]);
        }
        self.process = Some(Process::start(postgres, "postgresql"));
        for _ in 0..3000 {
            if listens(self.port) && self.try_query("SELECT 1").status.success() {
                return;
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

    /// Ends all connections, and returns when they have ended: a pooler would give them out again.
    pub(crate) fn end_connections(&self) {
        let others = "FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        self.query(&format!("SELECT pg_terminate_backend(pid) {others}"));
        for _ in 0..3000 {
            if self.query(&format!("SELECT count(*) {others}")) == ["0"] {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("connections do not end");
    }

    /// Whether the server does what these statements say.
    pub(crate) fn allows(&self, sql: &str) -> bool {
        self.try_query(sql).status.success()
    }

    fn try_query(&self, sql: &str) -> Output {
        output(self.client().args(["-c", sql]))
    }

    /// A client that runs this meanwhile.
    pub(crate) fn meanwhile(&self, sql: &str) -> Process {
        let mut psql = self.client();
        psql.args(["-c", sql]);
        Process::start(psql, "postgresql")
    }

    fn client(&self) -> Command {
        let mut psql = command("psql", false);
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        psql.args(["-U", "postgres", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql
    }
}

/// A directory of data that no server has used yet. To make one takes as long as all else about a
/// test, so it is kept with what cargo builds, and copied.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        // Another version wants another one, and so does another owner.
        let version = find("initdb").to_string_lossy().replace('/', "-");
        let name = format!("data-of{version}-{}", is_root());
        let template = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if template.exists() {
            return template;
        }
        let directory = Directory::new();
        if is_root() {
            run(Command::new("chown").arg(NOBODY).arg(directory.path()));
        }
        let data = directory.path().join("data");
        let mut initdb = command("initdb", is_root());
        let options = "-U postgres -A trust -N -E UTF8 --no-locale";
        initdb.arg("-D").arg(&data).args(options.split(' '));
        run(&mut initdb);
        // Other processes find all of it or nothing.
        let part = template.with_extension(std::process::id().to_string());
        copy(&data, &part);
        if std::fs::rename(&part, &template).is_err() {
            assert!(template.exists(), "{} cannot be made", template.display());
            let _ = std::fs::remove_dir_all(&part);
        }
        template
    })
}

/// Copies a directory with its owner and permissions.
fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// The processes whose directory this is.
fn processes_in(data: &Path) -> Vec<OsString> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let here = processes.filter(|process| {
        let works_in = std::fs::read_link(process.path().join("cwd"));
        works_in.is_ok_and(|directory| directory == data)
    });
    here.map(|process| process.file_name()).collect()
}

fn works_in(data: &Path) -> bool {
    !processes_in(data).is_empty()
}

pub(super) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).stdout == b"0\n"
}

/// A program of the server's, as nobody if it is to be.
pub(super) fn command(program: &str, as_nobody: bool) -> Command {
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
