//! Locks on etcd, against a real server.

mod answers;
mod failures;
mod law;
mod secrets;
mod waiting;

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tripod::lock::{
    Claimed, Enqueued, EtcdBackend, Grant, HolderId, LockBackend, LockName, Locks, Mode, Permits,
    Request,
};

use crate::scenario::{HANGS, connected};
use crate::server::etcd::EtcdServer;
use crate::server::wire::Wire;

async fn backend(server: &EtcdServer) -> EtcdBackend {
    connected(|| EtcdBackend::connect(server.url())).await
}

async fn locks(server: &EtcdServer) -> Locks {
    Locks::new(backend(server).await)
}

/// A backend at the end of a wire.
async fn wired(server: &EtcdServer) -> (Wire, EtcdBackend) {
    let wire = Wire::to(server.port()).await;
    let url = format!("http://127.0.0.1:{}", wire.port());
    let backend = connected(|| EtcdBackend::connect(&url)).await;
    (wire, backend)
}

/// A wish of a new id for the lock `a`, with a lease that outlasts a test's pauses.
fn request(id: u64) -> Request {
    lasting(id, 30)
}

/// The same with a lease of as many seconds.
fn lasting(id: u64, secs: u64) -> Request {
    of("a", id, secs)
}

/// The same for another lock.
fn of(name: &str, id: u64, secs: u64) -> Request {
    let name = LockName::new(name).unwrap();
    let entry = tripod::lock::Entry::new(name, HolderId::new(id, 0));
    Request::new(entry, Duration::from_secs(secs)).unwrap()
}

fn permits(n: u32, of: u32) -> Mode {
    let number = |n| NonZeroU32::new(n).unwrap();
    Mode::Permits(Permits::new(number(n), number(of)).unwrap())
}

async fn granted(backend: &EtcdBackend, request: &Request) -> Grant {
    let answer = backend.enqueue(request).await.unwrap();
    let Enqueued::Granted(grant) = answer else {
        panic!("{answer:?}")
    };
    grant
}

async fn waits(backend: &EtcdBackend, request: &Request) {
    let answer = backend.enqueue(request).await.unwrap();
    assert!(matches!(answer, Enqueued::Waiting(_)), "{answer:?}");
}

async fn claims(backend: &EtcdBackend, request: &Request) -> Grant {
    let answer = backend.claim(request.entry()).await.unwrap();
    let Claimed::Granted(grant) = answer else {
        panic!("{answer:?}")
    };
    grant
}

/// Looks until it is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let looking = async {
        while !so().await {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let looked = timeout(HANGS, looking).await;
    assert!(looked.is_ok(), "it does not come to pass that {what}");
}
