//! The way to the store: a client of one of its servers, replaced when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use etcd_client::{
    Client, ConnectOptions, Error, KvClient, LeaseClient, Txn, TxnResponse, WatchClient,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::chance;

use super::trouble::Trouble;

/// How long a request may take, nearly every call in all, and a server to accept a connection.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

/// How long a request must have had before its silence is held against the connection that all
/// share. The renewals of the shortest leases have little more.
const FAIR: Duration = Duration::from_millis(400);

/// The longest pause before another connection is tried: short beside the shortest lease, which is
/// two seconds.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The longest pause after one failure: a few round trips.
const PAUSE_FIRST: Duration = Duration::from_millis(10);

/// How much a server may answer at once: a queue of tens of thousands.
const ANSWER_MAX: usize = 64 << 20;

/// How often a connection is probed while requests are under way. Servers refuse less than 5 s.
const PROBE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

pub(super) struct Link {
    endpoints: Vec<String>,
    options: ConnectOptions,
    place: Mutex<Place>,
    /// Since the last answer.
    failures: AtomicU32,
    joining: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Place {
    client: Option<Arc<Used>>,
    /// Counts clients; its endpoint goes by it.
    number: usize,
    not_before: Option<Instant>,
}

/// The client in use.
pub(super) struct Used {
    number: usize,
    pub(super) client: Client,
    kv: KvClient,
}

impl Used {
    pub(super) fn lease(&self) -> LeaseClient {
        self.client.lease_client()
    }

    pub(super) fn watch(&self) -> WatchClient {
        self.client.watch_client()
    }
}

impl Link {
    pub(super) fn new(endpoints: Vec<String>, options: ConnectOptions) -> Self {
        let options = options
            .with_connect_timeout(TIMEOUT)
            .with_keep_alive(PROBE.0, PROBE.1)
            // Servers end connections that are probed while idle.
            .with_keep_alive_while_idle(false)
            .with_require_leader(true)
            // Proofs of who we are end after some minutes, and when a server is started anew.
            .with_auto_token_refresh(true);
        Self {
            endpoints,
            options,
            place: Mutex::default(),
            failures: AtomicU32::new(0),
            joining: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// Takes a transaction.
    pub(super) async fn txn(&self, txn: Txn, until: Instant) -> Result<TxnResponse, Trouble> {
        let used = self.used(until).await?;
        let mut kv = used.kv.clone();
        self.ask(&used, until, kv.txn(txn)).await
    }

    /// Waits for the answer to a request, and takes note of whether one came.
    pub(super) async fn ask<T>(
        &self,
        used: &Used,
        until: Instant,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        let trouble = match timeout_at(until, request).await {
            Ok(Ok(answer)) => {
                if self.failures.load(Ordering::Relaxed) != 0 {
                    self.failures.store(0, Ordering::Relaxed);
                }
                return Ok(answer);
            }
            Ok(Err(error)) => Trouble::of(&error),
            Err(_) if until < begun + FAIR => return Err(Trouble::no_answer()),
            Err(_) => Trouble::no_answer(),
        };
        if trouble.is_of_the_way() {
            self.failed(used);
        }
        Err(trouble)
    }

    /// The client in use, or another one.
    pub(super) async fn used(&self, until: Instant) -> Result<Arc<Used>, Trouble> {
        if let Some(used) = self.current() {
            return Ok(used);
        }
        let out_of_time = |_| Trouble::unavailable("no connection was made in time");
        let joining = timeout_at(until, self.joining.lock()).await;
        let _joining = joining.map_err(out_of_time)?;
        if let Some(used) = self.current() {
            return Ok(used);
        }
        let (number, not_before) = {
            let place = self.place.lock();
            (place.number, place.not_before)
        };
        if let Some(not_before) = not_before {
            let paused = timeout_at(until, sleep_until(not_before)).await;
            paused.map_err(out_of_time)?;
        }
        let at = number.checked_rem(self.endpoints.len()).unwrap_or_default();
        let Some(endpoint) = self.endpoints.get(at) else {
            return Err(Trouble::rejected("no endpoint"));
        };
        let joining = Client::connect([endpoint], Some(self.options.clone()));
        let joined = match timeout_at(until, joining).await {
            Ok(joined) => joined.map_err(|error| Trouble::of(&error)),
            Err(elapsed) => Err(out_of_time(elapsed)),
        };
        match joined {
            Ok(client) => {
                let kv = client.kv_client().max_decoding_message_size(ANSWER_MAX);
                let used = Arc::new(Used { number, client, kv });
                self.place.lock().client = Some(Arc::clone(&used));
                Ok(used)
            }
            Err(trouble) => {
                self.pass_on(&mut self.place.lock());
                // Only who we are was told.
                Err(if trouble.is_rejected() {
                    trouble
                } else {
                    Trouble::unavailable(&trouble.to_string())
                })
            }
        }
    }

    fn current(&self) -> Option<Arc<Used>> {
        self.place.lock().client.clone()
    }

    /// Does without this client from now on.
    pub(super) fn failed(&self, used: &Used) {
        let mut place = self.place.lock();
        if place.number == used.number {
            self.pass_on(&mut place);
        }
    }

    /// The next server's turn. Once all have failed, a pause is made between one and another.
    fn pass_on(&self, place: &mut Place) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        place.client = None;
        place.number = place.number.wrapping_add(1);
        let servers = u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        let pauses = failures.checked_sub(servers.saturating_sub(1));
        let pauses = pauses.filter(|pauses| *pauses > 0);
        place.not_before = pauses.map(|pauses| Instant::now() + pause(pauses, PAUSE_MAX));
    }
}

/// How long to pause after so many failures.
pub(super) fn pause(failures: u32, longest: Duration) -> Duration {
    chance::pause(PAUSE_FIRST, failures.saturating_sub(1), longest)
}
