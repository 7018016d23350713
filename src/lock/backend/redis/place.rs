//! Where to connect to, which may be another server each time.

use std::sync::Arc;

use futures_util::future::select_ok;
use redis::ConnectionInfo;

use crate::lock::backend::BackendErrorKind;

use super::failure::Failure;
use super::live::Live;
use super::slots::Address;
use super::subscription::Subscription;
use super::topology::{Topology, ask_once, at};

pub(super) enum Place {
    /// This server, which has all locks.
    Server(ConnectionInfo),
    /// This server, which has some slots of a cluster.
    Member(ConnectionInfo),
    /// The master that sentinels name.
    Sentinels(Sentinels),
    /// Any master of a cluster.
    Cluster(Arc<Topology>),
}

pub(super) struct Sentinels {
    pub(super) asked: Vec<ConnectionInfo>,
    /// What the sentinels call the master.
    pub(super) name: String,
    /// The master as it is to be connected to, at whatever address.
    pub(super) master: ConnectionInfo,
}

impl Place {
    pub(super) async fn open(&self, subscription: Option<&Subscription>) -> Result<Live, Failure> {
        let live = match self {
            Self::Server(info) => Live::open(info, subscription).await?.alone()?,
            Self::Member(info) => Live::open(info, subscription).await?,
            Self::Sentinels(sentinels) => sentinels.open(subscription).await?,
            Self::Cluster(topology) => topology.open_any(subscription).await?,
        };
        if let Some(subscription) = subscription {
            live.subscribe(subscription).await?;
        }
        Ok(live)
    }
}

impl Sentinels {
    /// The first server that a sentinel names and that is a master. All are asked at once: one may
    /// hang, or name a master that no longer is.
    async fn open(&self, subscription: Option<&Subscription>) -> Result<Live, Failure> {
        let each = self.asked.iter().map(|sentinel| {
            Box::pin(async move {
                let master = self.master(sentinel).await?;
                Live::open(&master, subscription).await
            })
        });
        Ok(select_ok(each).await?.0)
    }

    async fn master(&self, sentinel: &ConnectionInfo) -> Result<ConnectionInfo, Failure> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let master: Option<(String, u16)> = ask_once(sentinel, &command).await?;
        let unknown = "the sentinels do not know a master of this name";
        let (host, port) =
            master.ok_or_else(|| Failure::new(BackendErrorKind::Rejected, unknown))?;
        Ok(at(&self.master, &Address { host, port }))
    }
}
