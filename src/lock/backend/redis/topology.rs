//! The servers of a cluster, as far as they are known.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    RedisResult, Value,
};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::lock::backend::BackendErrorKind;

use super::failure::Failure;
use super::live::{Live, TIMEOUT};
use super::slots::{Address, Slots};
use super::subscription::Subscription;

/// How many servers are tried at a time: one may hang, and one may be cut off from the others.
const TRIED_MAX: usize = 3;

pub(super) struct Topology {
    /// A server as it is to be connected to, at whatever address.
    node: ConnectionInfo,
    seeds: Vec<Address>,
    slots: watch::Sender<Slots>,
    /// Others are tried each time.
    turn: AtomicUsize,
}

impl Topology {
    pub(super) fn new(node: ConnectionInfo, seeds: Vec<Address>) -> Self {
        Self {
            node,
            seeds,
            slots: watch::Sender::default(),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn master(&self, slot: u16) -> Option<Address> {
        self.slots.borrow().master(slot).cloned()
    }

    /// The master that takes the slot over from this one. What was known before does not count.
    pub(super) async fn successor(&self, master: &Address, slot: u16) -> Address {
        let mut slots = self.slots.subscribe();
        loop {
            // The sender is ours, so that there is no error.
            let _ = slots.changed().await;
            let now = self.master(slot);
            if let Some(successor) = now.filter(|now| now != master) {
                return successor;
            }
        }
    }

    pub(super) fn masters(&self) -> Vec<Address> {
        self.slots.borrow().masters()
    }

    pub(super) fn info(&self, address: &Address) -> ConnectionInfo {
        at(&self.node, address)
    }

    /// Learns of the masters and their slots anew, from the first server that knows.
    pub(super) async fn refresh(&self) -> Result<(), Failure> {
        let each = self.some().into_iter().map(|asked| {
            Box::pin(async move {
                let mut command = redis::cmd("CLUSTER");
                command.arg("SLOTS");
                let answer: Value = ask_once(&self.info(&asked), &command).await?;
                let unknown = "the cluster's slots have no masters";
                let slots = Slots::parse(&answer, &asked);
                let slots = slots.filter(|slots| !slots.masters().is_empty());
                slots.ok_or_else(|| Failure::new(BackendErrorKind::Unavailable, unknown))
            })
        });
        let (slots, _) = select_ok(each).await?;
        self.slots.send_replace(slots);
        Ok(())
    }

    pub(super) async fn open_any(
        &self,
        subscription: Option<&Subscription>,
    ) -> Result<Live, Failure> {
        let each = self.some().into_iter().map(|address| {
            Box::pin(async move { Live::open(&self.info(&address), subscription).await })
        });
        Ok(select_ok(each).await?.0)
    }

    /// Some servers, others than the last time. Never none: there are seeds.
    fn some(&self) -> Vec<Address> {
        let mut all = self.masters();
        for seed in &self.seeds {
            if !all.contains(seed) {
                all.push(seed.clone());
            }
        }
        let skipped = self.turn.fetch_add(TRIED_MAX, Ordering::Relaxed) % all.len().max(1);
        let tried = TRIED_MAX.min(all.len());
        all.into_iter().cycle().skip(skipped).take(tried).collect()
    }
}

/// Asks a server over a connection for this alone.
pub(super) async fn ask_once<T: FromRedisValue>(
    info: &ConnectionInfo,
    command: &Cmd,
) -> Result<T, Failure> {
    let asked = timeout(TIMEOUT, async {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(TIMEOUT))
            .set_response_timeout(None);
        let client = Client::open(info.clone())?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        command.query_async(&mut connection.await?).await
    });
    let asked: RedisResult<T> = asked.await.map_err(|_| {
        let why = "the server took too long to answer";
        Failure::new(BackendErrorKind::Unavailable, why)
    })?;
    asked.map_err(Failure::of_connecting)
}

/// The same, at another address.
pub(super) fn at(info: &ConnectionInfo, address: &Address) -> ConnectionInfo {
    let Address { host, port } = address.clone();
    let address = if let ConnectionAddr::TcpTls {
        insecure,
        tls_params,
        ..
    } = info.addr().clone()
    {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure,
            tls_params,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    info.clone().set_addr(address)
}
