//! What a case plays with: names, parties and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::conformance::Failure;
use crate::lock::backend::{Entry, Inspection, LockBackend};
use crate::lock::name::{HolderId, LockName};

use super::Fixture;
use super::client::Silence;
use super::party::Party;

pub(super) struct Scene<'a> {
    fixture: &'a dyn Fixture,
    silence: Silence,
    clients: [Arc<dyn LockBackend>; 2],
    /// The case's own clients, and what the fixture knows them as.
    own: Mutex<Vec<[Arc<dyn LockBackend>; 2]>>,
    /// At random, so that names and ids are not those of another run on the same store.
    run: u64,
    case: u32,
    names: AtomicU64,
    parties: AtomicU64,
    /// What the case may leave behind.
    entries: Mutex<Vec<(Arc<dyn LockBackend>, Entry)>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        fixture: &'a dyn Fixture,
        clients: &[Arc<dyn LockBackend>; 2],
        run: u64,
        case: u32,
    ) -> Self {
        let silence = Silence::default();
        Self {
            fixture,
            clients: clients.clone().map(|client| silence.client(client)),
            silence,
            own: Mutex::default(),
            run,
            case,
            names: AtomicU64::new(0),
            parties: AtomicU64::new(0),
            entries: Mutex::default(),
        }
    }

    /// A name that nobody has used.
    pub(super) fn name(&self) -> Result<LockName, Failure> {
        let count = self.names.fetch_add(1, Ordering::Relaxed);
        Ok(LockName::new(format!(
            "conformance/{}/{count}",
            self.number()
        ))?)
    }

    /// Text that no other case has, nor any other run.
    pub(super) fn number(&self) -> String {
        format!("{:016x}.{}", self.run, self.case)
    }

    /// At random for each run.
    pub(super) fn seed(&self) -> u64 {
        self.run
    }

    /// One who wants this lock, exclusively, with a TTL that outlasts the case. Parties come
    /// through two clients in turn, so that nearly every case crosses from one to the other.
    pub(super) fn party(&self, name: &LockName) -> Result<Party, Failure> {
        // Longer than a case waits for things to be over, thrice; and some.
        self.party_for(name, self.ttl() * 8 + self.fixture.slack() * 4)
    }

    /// One whose lease is as short as the store can keep it.
    pub(super) fn brief(&self, name: &LockName) -> Result<Party, Failure> {
        self.party_for(name, self.ttl())
    }

    /// One with this TTL.
    pub(super) fn party_for(&self, name: &LockName, ttl: Duration) -> Result<Party, Failure> {
        let [near, far] = &self.clients;
        let count = self.parties.fetch_add(1, Ordering::Relaxed);
        let client = if count.is_multiple_of(2) { near } else { far };
        self.enter(client, name, ttl, count)
    }

    /// One whose lease is as short as the store can keep it, by a client of the case's own.
    pub(super) fn brief_by(
        &self,
        client: &Arc<dyn LockBackend>,
        name: &LockName,
    ) -> Result<Party, Failure> {
        let count = self.parties.fetch_add(1, Ordering::Relaxed);
        self.enter(client, name, self.ttl(), count)
    }

    fn enter(
        &self,
        client: &Arc<dyn LockBackend>,
        name: &LockName,
        ttl: Duration,
        count: u64,
    ) -> Result<Party, Failure> {
        let holder = HolderId::new(self.run, u64::from(self.case) << 32 | count);
        let entry = Entry::new(name.clone(), holder);
        self.entries
            .lock()
            .push((Arc::clone(client), entry.clone()));
        Party::new(Arc::clone(client), entry, ttl)
    }

    /// Another client.
    pub(super) async fn connect(&self) -> Result<Arc<dyn LockBackend>, Failure> {
        let connected = self.fixture.connect().await;
        let store = connected.inspect_err(|error| self.silence.note(error))?;
        let client = self.silence.client(Arc::clone(&store));
        self.own.lock().push([Arc::clone(&client), store]);
        Ok(client)
    }

    /// A client of all cases.
    pub(super) fn client(&self) -> &Arc<dyn LockBackend> {
        let [_, far] = &self.clients;
        far
    }

    /// Ends the session of a client of the case's own. What it left is not tidied up by it.
    pub(super) async fn sever(&self, client: Arc<dyn LockBackend>) {
        let lives = |other: &Arc<dyn LockBackend>| !Arc::ptr_eq(other, &client);
        self.entries.lock().retain(|(other, _)| lives(other));
        let own = std::mem::take(&mut *self.own.lock());
        let (severed, own): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|[other, _]| !lives(other));
        *self.own.lock() = own;
        for [_, store] in &severed {
            self.fixture.sever(store).await;
        }
    }

    /// Whether a call was not answered.
    pub(super) fn was_silence(&self) -> bool {
        self.silence.was()
    }

    pub(super) async fn inspect(&self, name: &LockName) -> Result<Inspection, Failure> {
        Ok(self.client().inspect(name).await?)
    }

    /// The shortest TTL, by which cases count time.
    pub(super) fn ttl(&self) -> Duration {
        self.fixture.ttl_min()
    }

    /// The longest that a brief party's entry may live without renewal.
    pub(super) fn life_max(&self) -> Duration {
        self.ttl() * 2 + self.fixture.slack()
    }

    /// How long a waiter may take to hear of a change.
    pub(super) fn patience(&self) -> Duration {
        self.life_max()
    }

    /// After what time a case counts as one that never ends.
    pub(super) fn time_max(&self) -> Duration {
        // A busy server's time is added to the store's own.
        self.ttl() * 20 + self.fixture.slack() * 5 + Duration::from_secs(10)
    }

    /// A part of the shortest TTL.
    pub(super) async fn pause(&self, tenths: u32) {
        sleep(self.ttl() * tenths / 10).await;
    }

    /// Until entries of brief parties that nobody renewed since are gone.
    pub(super) async fn outlast(&self) {
        sleep(self.life_max()).await;
    }

    /// When entries of brief parties that began by `began` must be gone.
    pub(super) fn gone_by(&self, began: Instant) -> Instant {
        began + self.life_max()
    }

    /// Removes what the case left.
    pub(super) async fn tidy(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        let leaving = entries.iter().map(|(client, entry)| client.leave(entry));
        // It is only tidiness: leases end by themselves.
        drop(timeout(self.ttl(), join_all(leaving)).await);
    }
}
