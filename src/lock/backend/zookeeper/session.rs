//! A session, and what is known of its life.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use zookeeper_client::{
    Acls, Client, CreateMode, Error, MultiWriteError, SessionInfo, SessionState, TlsOptions,
};

use crate::lock::lease::Lease;

use super::proof::{Asked, Proofs};

/// How long a server may keep silent before another one is tried. For short sessions the client
/// takes two fifths of the session's timeout.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// How to open a session.
#[derive(Clone)]
pub(super) struct Config {
    /// `host:port`, separated by commas.
    pub(super) servers: String,
    /// The path of the node that everything is under.
    pub(super) chroot: String,
    pub(super) timeout: Duration,
    pub(super) tls: Option<TlsOptions>,
    /// `name:password`
    pub(super) user: Option<String>,
}

impl Config {
    /// Who may touch what is created.
    pub(super) fn acls(&self) -> Acls<'static> {
        if self.user.is_some() {
            Acls::creator_all()
        } else {
            Acls::anyone_all()
        }
    }

    async fn connect(&self, session: Option<SessionInfo>) -> Result<Client, Error> {
        let mut connector = Client::connector()
            .with_session_timeout(self.timeout)
            .with_connection_timeout(SILENCE_MAX)
            .with_fail_eagerly();
        if let Some(user) = &self.user {
            connector = connector.with_auth("digest", user.as_bytes());
        }
        if let Some(session) = session {
            connector = connector.with_session(session);
        }
        match self.tls.clone() {
            Some(tls) => connector.with_tls(tls).secure_connect(&self.servers).await,
            None => connector.connect(&self.servers).await,
        }
    }
}

/// A session that was opened. It is closed with the last who has it.
pub(super) struct Session {
    pub(super) client: Client,
    /// What the server agreed to: the TTL of all leases of this session.
    pub(super) ttl: Duration,
    /// Whether the server is no member of an ensemble.
    is_alone: bool,
    proofs: Mutex<Proofs>,
}

impl Session {
    /// Opens a session by one of the servers, and makes the node that everything is under.
    pub(super) async fn open(config: &Config, limit: Duration) -> Result<Self, Error> {
        let opened = timeout(limit, Self::open_unbounded(config)).await;
        opened.unwrap_or(Err(Error::Timeout))
    }

    async fn open_unbounded(config: &Config) -> Result<Self, Error> {
        let sent = Instant::now();
        let client = config.connect(None).await?;
        // Fails for a user who may not, and on a server that is too old. One who may not make the node
        // may use it if it is there.
        let mut found = client.get_data(&config.chroot).await;
        if matches!(found, Err(Error::NoNode)) {
            let directory = CreateMode::Persistent.with_acls(config.acls());
            client.mkdir(&config.chroot, &directory).await?;
            found = client.get_data(&config.chroot).await;
        }
        found?;
        client.list_ephemerals(&config.chroot).await?;
        let ttl = client.session_timeout();
        let is_alone = is_alone(&client).await;
        // A session lasts two ticks at least, unless the servers are told otherwise.
        let lag = if is_alone { Duration::ZERO } else { ttl / 4 };
        Ok(Self {
            client,
            ttl,
            is_alone,
            proofs: Mutex::new(Proofs::new(sent, lag)),
        })
    }

    /// Closes a session that this process has lost sight of, so that others need not wait for what
    /// was entered by it.
    pub(super) async fn close_lost(config: &Config, lost: SessionInfo, limit: Duration) {
        // Dropped, the client closes the session. That it is over already is as good.
        drop(timeout(limit, config.connect(Some(lost))).await);
    }

    pub(super) fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// The lease that all entries of this session share.
    pub(super) fn lease(&self) -> Lease {
        Lease::new(self.proofs.lock().proved(), self.ttl)
    }

    pub(super) fn asking(&self) -> Asked {
        self.proofs.lock().asking(Instant::now())
    }

    /// Takes note that a transaction was committed, or that a server that stands alone has answered.
    pub(super) fn answered(&self, asked: Asked) {
        self.proofs.lock().answered(asked, Instant::now());
    }

    /// Proves that it lives: in an ensemble by a transaction, though it changes nothing, for a leader
    /// that was deposed and does not know it yet answers all else.
    pub(super) async fn prove(&self, chroot: &str) -> Result<(), Error> {
        let asked = self.asking();
        if self.is_alone {
            self.client.sync(chroot).await?;
        } else {
            let mut writes = self.client.new_multi_writer();
            writes.add_check_version(chroot, -1)?;
            match writes.commit().await.map_err(MultiWriteError::into) {
                // That it is not there is agreed on by a transaction too.
                Ok(_) | Err(Error::NoNode) => {}
                Err(error) => return Err(error),
            }
        }
        self.answered(asked);
        Ok(())
    }

    /// Whether what is sent now has a connection to go by. It is a hint: what is sent without one waits
    /// in the client's memory, and may reach the server long after its caller has given up.
    pub(super) fn is_connected(&self) -> bool {
        self.client.state() == SessionState::SyncConnected
    }

    /// Ends when the state of the connection changes, or has changed from `before`.
    pub(super) async fn changed(&self, before: SessionState) {
        let mut watcher = self.client.state_watcher();
        if self.client.state() == before {
            watcher.changed().await;
        }
    }
}

/// Whether the server is no member of an ensemble: then it is its own leader.
async fn is_alone(client: &Client) -> bool {
    match client.get_config().await {
        Ok((members, _)) => !members.windows(7).any(|window| window == b"server."),
        // A member has this node, even where it may not be read.
        Err(error) => error == Error::NoNode,
    }
}
