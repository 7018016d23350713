//! A Redis server.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::certificates::Certificates;
use super::clock::Clock;
use super::{Directory, Process, free_port};

pub(crate) struct RedisServer {
    port: u16,
    process: Option<Process>,
    directory: Directory,
    options: Vec<String>,
    /// Options of `redis-cli`, to connect with.
    client: Vec<String>,
    scheme: &'static str,
    environment: Vec<(&'static str, PathBuf)>,
}

impl RedisServer {
    /// Starts one with these options beside the usual, and waits until it listens.
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::start_with(options, None).await
    }

    /// Starts one that goes by this clock.
    pub(crate) async fn start_with_clock(options: &[&str], clock: &Clock) -> Self {
        let mut server = Self::start(options).await;
        server.environment = clock.environment().into();
        server.restart().await;
        server
    }

    /// Starts one that speaks TLS and nothing else, and asks its clients for a certificate if
    /// `tls-auth-clients` does not say otherwise.
    pub(crate) async fn start_tls(certificates: &Certificates, options: &[&str]) -> Self {
        Self::start_with(options, Some(certificates)).await
    }

    pub(crate) async fn start_with(options: &[&str], tls: Option<&Certificates>) -> Self {
        let port = free_port();
        let mut server = Self {
            port,
            process: None,
            directory: Directory::new(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            client: vec!["-p".to_owned(), port.to_string()],
            scheme: "redis",
            environment: Vec::new(),
        };
        let port = port.to_string();
        if let Some(certificates) = tls {
            let path = |path: PathBuf| path.display().to_string();
            let (authority, key) = (path(certificates.authority()), path(certificates.key()));
            let certificate = path(certificates.certificate());
            let (authority, key, certificate) = (&*authority, &*key, &*certificate);
            let ours = ["--port", "0", "--tls-port", &port];
            server.add(&ours, &["--tls"]);
            let files = ["--tls-ca-cert-file", authority, "--tls-key-file", key];
            server.add(&files, &["--cacert", authority, "--key", key]);
            let file = ["--tls-cert-file", certificate];
            server.add(&file, &["--cert", certificate]);
            server.scheme = "rediss";
        } else {
            server.add(&["--port", &port], &[]);
        }
        server.restart().await;
        server
    }

    fn add(&mut self, options: &[&str], client: &[&str]) {
        let owned = |options: &[&str]| options.iter().map(|&option| option.to_owned()).collect();
        let (options, client): (Vec<String>, Vec<String>) = (owned(options), owned(client));
        self.options.extend(options);
        self.client.extend(client);
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it without ending it, as a debugger would.
    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("it runs");
        process.signal(signal);
    }

    /// Starts it again, on the same port and directory.
    pub(crate) async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"])
            .arg("--dir")
            .arg(self.directory.path())
            .args(&self.options)
            .envs(self.environment.iter().map(|(key, value)| (key, value)));
        self.process = Some(Process::start(command, "redis-server"));
        for _ in 0..3000 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not listen on {}", self.port);
    }

    /// Of a server that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    pub(crate) fn url_of_user(&self, password: &str) -> String {
        self.url_with(&format!(":{password}"))
    }

    /// With this `user:password`.
    pub(crate) fn url_with(&self, credentials: &str) -> String {
        format!("{}://{credentials}@127.0.0.1:{}", self.scheme, self.port)
    }

    /// What the server's own client prints for this command.
    pub(crate) fn ask(&self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        self.ask_words(&words)
    }

    pub(crate) fn ask_words(&self, words: &[&str]) -> String {
        self.run(words, Stdio::null())
    }

    /// What the server's own client prints for these commands, a line each.
    pub(crate) fn ask_all(&self, commands: &str) -> String {
        let file = self.directory.path().join("commands");
        std::fs::write(&file, commands).unwrap();
        self.run(&[], std::fs::File::open(file).unwrap().into())
    }

    fn run(&self, words: &[&str], commands: Stdio) -> String {
        let mut command = Command::new("redis-cli");
        command.args(&self.client).args(words).stdin(commands);
        let output = command.output();
        let output = output.expect("redis-cli starts: install the package redis-tools");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until the client prints something that holds this.
    pub(crate) async fn wait_for(&self, command: &str, expected: &str) {
        let mut printed = String::new();
        for _ in 0..600 {
            printed = self.ask(command);
            if printed.contains(expected) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{command} does not come to say {expected}: {printed}");
    }

    /// Asks with this password from now on.
    pub(crate) fn with_password(self, password: &str) -> Self {
        self.with_client(&["--no-auth-warning", "-a", password])
    }

    /// Asks with these options of `redis-cli` from now on.
    pub(crate) fn with_client(mut self, options: &[&str]) -> Self {
        self.add(&[], options);
        self
    }
}
