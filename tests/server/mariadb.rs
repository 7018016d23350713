//! A `MariaDB` server, and its own client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::certificates::Certificates;
use super::{Directory, Process, free_port, listens};

/// Small enough to be made and copied in a moment.
const SMALL: [&str; 4] = [
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=32M",
    "--innodb-buffer-pool-dump-at-shutdown=OFF",
    "--skip-name-resolve",
];

pub(crate) struct MariadbServer {
    port: u16,
    process: Option<Process>,
    directory: Directory,
    settings: Vec<String>,
}

impl MariadbServer {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One that tests use together which tell their coordinators apart. It ends with the last.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<MariadbServer>> = Mutex::new(Weak::new());
        upgrade(&SHARED, Self::start)
    }

    /// Starts one with these settings beside the usual.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let mut server = Self {
            port: free_port(),
            process: None,
            directory: Directory::new(),
            settings: settings.iter().map(|&setting| setting.into()).collect(),
        };
        let template = Template::get();
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--sparse=always"]);
        copy.arg(template.0.path().join("data")).arg(server.data());
        run(&mut copy);
        hand_over(server.directory.path());
        server.restart();
        server
    }

    /// Starts one that speaks TLS too.
    pub(crate) fn start_with_tls(certificates: &Certificates) -> Self {
        let files = [
            ("ssl-cert", certificates.certificate()),
            ("ssl-key", certificates.key()),
            ("ssl-ca", certificates.authority()),
        ];
        let copies = Directory::new();
        let settings = files.map(|(setting, file)| {
            let copy = copies.path().join(setting);
            std::fs::copy(file, &copy).unwrap();
            format!("--{setting}={}", copy.display())
        });
        hand_over(copies.path());
        Self::start_with(&settings.each_ref().map(String::as_str))
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        self.url_of_user("root", "")
    }

    pub(crate) fn url_of_user(&self, user: &str, password: &str) -> String {
        format!("mysql://{user}:{password}@127.0.0.1:{}/test", self.port)
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        self.process.as_ref().unwrap().signal(signal);
    }

    /// Starts it, on the same port and directory.
    pub(crate) fn restart(&mut self) {
        let path = |name| self.directory.path().join(name).display().to_string();
        let mut mariadbd = command("mariadbd");
        mariadbd.args([
            "--no-defaults".into(),
            format!("--datadir={}", self.data().display()),
            format!("--socket={}", path("socket")),
            format!("--pid-file={}", path("pid")),
            "--bind-address=127.0.0.1".into(),
            format!("--port={}", self.port),
        ]);
        mariadbd.args(SMALL).args(&self.settings);
        self.process = Some(Process::start(mariadbd, "mariadb-server"));
        for _ in 0..1000 {
            if listens(self.port) && self.allows("SELECT 1") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not answer on {}", self.port);
    }

    /// What the server answers to these statements, a line each, and tabs between the columns.
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let output = self.try_query(sql);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {errors}");
        let answer = String::from_utf8_lossy(&output.stdout);
        answer.lines().map(str::to_owned).collect()
    }

    /// Whether the server does what these statements say.
    pub(crate) fn allows(&self, sql: &str) -> bool {
        self.try_query(sql).status.success()
    }

    fn try_query(&self, sql: &str) -> Output {
        let mut mariadb = Command::new("mariadb");
        mariadb.args(["--no-defaults", "--host=127.0.0.1", "--user=root"]);
        mariadb.args([&format!("--port={}", self.port), "--batch", "--raw"]);
        mariadb.args(["--skip-column-names", "--skip-ssl", "test", "-e", sql]);
        output(&mut mariadb)
    }
}

/// An empty data directory, which is copied: making one takes much longer. It goes with the last
/// who uses it.
struct Template(Directory);

impl Template {
    fn get() -> Arc<Self> {
        static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());
        upgrade(&TEMPLATE, Self::make)
    }

    fn make() -> Self {
        let directory = Directory::new();
        let data = directory.path().join("data");
        let temporary = directory.path().join("tmp");
        std::fs::create_dir(&data).unwrap();
        std::fs::create_dir(&temporary).unwrap();
        hand_over(directory.path());
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--skip-test-db", SMALL[0]]);
        install.arg("--auth-root-authentication-method=normal");
        install.arg(format!("--datadir={}", data.display()));
        install.arg(format!("--tmpdir={}", temporary.display()));
        if is_root() {
            install.arg("--user=mysql");
        }
        run(&mut install);
        std::fs::create_dir(data.join("test")).unwrap();
        hand_over(&data);
        Self(directory)
    }
}

/// What is shared, or a new one.
fn upgrade<T>(shared: &Mutex<Weak<T>>, make: impl FnOnce() -> T) -> Arc<T> {
    let mut shared = shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(there) = shared.upgrade() {
        return there;
    }
    let new = Arc::new(make());
    *shared = Arc::downgrade(&new);
    new
}

/// The server refuses to run as root, so it runs as the user that its package makes.
fn command(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=mysql", "--regid=mysql", "--clear-groups", program]);
    command
}

fn hand_over(path: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", "mysql:mysql"]).arg(path));
    }
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).stdout == b"0\n"
}

fn output(command: &mut Command) -> Output {
    match command.output() {
        Ok(output) => output,
        Err(error) => {
            panic!("{command:?} does not start ({error}): install the package mariadb-server")
        }
    }
}

fn run(command: &mut Command) {
    let output = output(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}
