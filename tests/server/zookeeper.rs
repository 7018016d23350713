//! A `ZooKeeper` server, and an ensemble of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::certificates::Certificates;
use super::{Directory, Process, free_port};

const JARS: &str = "/usr/share/java";

pub(crate) struct ZooKeeperServer {
    port: u16,
    secure_port: Option<u16>,
    process: Option<Process>,
    directory: Directory,
    options: String,
    properties: Vec<String>,
    main: &'static str,
}

impl ZooKeeperServer {
    /// Starts one with a tick of half a second, and waits until it serves.
    pub(crate) async fn start() -> Self {
        let mut server = Self::prepare();
        server.restart().await;
        server
    }

    /// Starts one with these system properties of the JVM.
    pub(crate) async fn start_with(properties: &[&str]) -> Self {
        let mut server = Self::prepare();
        server.properties = properties.iter().map(|&text| text.to_owned()).collect();
        server.restart().await;
        server
    }

    /// Starts one that speaks TLS too, and demands a certificate of its clients if so told.
    pub(crate) async fn start_secure(certificates: &Certificates, client_auth: &str) -> Self {
        let mut server = Self::prepare();
        let port = free_port();
        let keys = server.directory.path().join("server.pem");
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let both = read(certificates.certificate()) + &read(certificates.key());
        std::fs::write(&keys, both).unwrap();
        let _ = write!(
            server.options,
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.type=PEM\nssl.keyStore.location={}\n\
             ssl.trustStore.type=PEM\nssl.trustStore.location={}\nssl.clientAuth={client_auth}\n",
            keys.display(),
            certificates.authority().display()
        );
        server.secure_port = Some(port);
        server.restart().await;
        server
    }

    fn prepare() -> Self {
        let (port, directory) = (free_port(), Directory::new());
        let options = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
             admin.enableServer=false\n4lw.commands.whitelist=*\nmaxClientCnxns=0\n\
             maxSessionTimeout=400000\nforceSync=no\n",
            directory.path().join("data").display()
        );
        Self {
            port,
            secure_port: None,
            process: None,
            directory,
            options,
            properties: Vec::new(),
            main: "org.apache.zookeeper.server.ZooKeeperServerMain",
        }
    }

    /// Ends it as a failure would, at once.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port and directory.
    pub(crate) async fn restart(&mut self) {
        self.launch();
        self.wait_until_it_serves().await;
    }

    fn launch(&mut self) {
        self.kill();
        let zookeeper = Path::new(JARS).join("zookeeper.jar");
        assert!(
            zookeeper.exists(),
            "{} is missing: install the package zookeeper",
            zookeeper.display()
        );
        let configuration = self.directory.path().join("zoo.cfg");
        std::fs::write(&configuration, &self.options).unwrap();
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(
            self.properties
                .iter()
                .map(|property| format!("-D{property}")),
        );
        command.arg("-cp").arg(class_path());
        command.arg(self.main).arg(configuration);
        self.process = Some(Process::start(command, "default-jre-headless"));
    }

    async fn wait_until_it_serves(&self) {
        for _ in 0..3000 {
            if self.says("srvr").await.contains("Mode: ") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not serve on {}", self.port);
    }

    /// What the server says to one of its words of four letters.
    pub(crate) async fn says(&self, word: &str) -> String {
        let asked = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(word.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = timeout(Duration::from_secs(2), asked).await;
        answer.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Of a server that runs.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("zookeeper://127.0.0.1:{}", self.port)
    }

    pub(crate) fn secure_url(&self) -> String {
        let port = self.secure_port.expect("it was started with TLS");
        format!("zookeeper+tls://127.0.0.1:{port}")
    }
}

/// What the server needs, TLS included.
fn class_path() -> String {
    let jars = std::fs::read_dir(JARS).into_iter().flatten().flatten();
    let names = jars.filter_map(|jar| jar.file_name().into_string().ok());
    let plain = |name: &String| !name.contains(|c: char| c.is_ascii_digit());
    let netty = names.filter(|name| name.starts_with("netty-") && plain(name));
    let needed = ["zookeeper.jar", "slf4j-simple.jar"].map(str::to_owned);
    let paths = needed.into_iter().chain(netty);
    let paths: Vec<_> = paths.map(|name| format!("{JARS}/{name}")).collect();
    paths.join(":")
}

/// Three servers, one of which leads.
pub(crate) struct ZooKeeperEnsemble(pub(crate) Vec<ZooKeeperServer>);

impl ZooKeeperEnsemble {
    pub(crate) async fn start() -> Self {
        let mut servers: Vec<_> = (0..3).map(|_| ZooKeeperServer::prepare()).collect();
        let mut members = "initLimit=20\nsyncLimit=10\n".to_owned();
        for number in 1..=3 {
            let (peer, election) = (free_port(), free_port());
            let _ = writeln!(members, "server.{number}=127.0.0.1:{peer}:{election}");
        }
        for (server, number) in servers.iter_mut().zip(1..) {
            server.options += &members;
            server.main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
            let data = server.directory.path().join("data");
            std::fs::create_dir_all(&data).unwrap();
            std::fs::write(data.join("myid"), format!("{number}\n")).unwrap();
            server.launch();
        }
        for server in &servers {
            server.wait_until_it_serves().await;
        }
        Self(servers)
    }

    /// Of those that follow, so that what clients say goes through another one.
    pub(crate) async fn port_of_a_follower(&self) -> u16 {
        for server in &self.0 {
            if server.says("srvr").await.contains("Mode: follower") {
                return server.port;
            }
        }
        panic!("nobody follows");
    }
}
