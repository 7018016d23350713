//! The suite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::lock::conformance::{self, Fixture};
use tripod::lock::{BackendError, EtcdBackend, LockBackend};

use crate::scenario::settled;
use crate::server::etcd::EtcdServer;
use crate::server::wire::Wire;

/// A server, and the wire of each client to it, by the client's address.
struct Server {
    server: EtcdServer,
    wires: Mutex<HashMap<usize, Wire>>,
}

fn address(client: &Arc<dyn LockBackend>) -> usize {
    Arc::as_ptr(client).cast::<()>() as usize
}

impl Fixture for Server {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn LockBackend>, BackendError>> {
        Box::pin(async move {
            let wire = Wire::to(self.server.port()).await;
            let url = format!("http://127.0.0.1:{}", wire.port());
            let client =
                Arc::new(settled(|| EtcdBackend::connect(&url)).await?) as Arc<dyn LockBackend>;
            self.wires.lock().insert(address(&client), wire);
            Ok(client)
        })
    }

    fn ttl_min(&self) -> Duration {
        // Servers keep two seconds; a busy machine needs more for what comes between.
        Duration::from_secs(8)
    }

    fn slack(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn sever<'a>(&'a self, client: &'a Arc<dyn LockBackend>) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.wires.lock().get(&address(client)).unwrap().cut() })
    }
}

#[tokio::test]
async fn locks_on_etcd_obey_the_law() {
    let server = Server {
        server: EtcdServer::start().await,
        wires: Mutex::default(),
    };
    conformance::run(&server).await.into_result().unwrap();
}
