//! etcd: a transaction that puts a key under a lease, bare through the same client.

use criterion::Criterion;
use etcd_client::{Client, Compare, CompareOp, KvClient, PutOptions, Txn, TxnOp};
use tokio::runtime::Runtime;
use tripod::lock::{EtcdBackend, Locks};

use crate::medians::Medians;
use crate::server::etcd::EtcdServer;
use crate::{Runner, TTL, acquires, race, releases, timed};

const KEY: &str = "bare/orders/17";

/// Puts the key if there is none, or reads it.
async fn put(client: &mut KvClient, lease: i64) {
    let free = Compare::create_revision(KEY, CompareOp::Equal, 0);
    let options = PutOptions::new().with_lease(lease);
    let put = TxnOp::put(KEY, "holder", Some(options));
    let transaction = Txn::new().when([free]).and_then([put]);
    let transaction = transaction.or_else([TxnOp::get(KEY, None)]);
    assert!(client.txn(transaction).await.unwrap().succeeded());
}

/// Deletes it if it is there.
async fn delete(client: &mut KvClient) {
    let held = Compare::create_revision(KEY, CompareOp::Greater, 0);
    let transaction = Txn::new().when([held]);
    let transaction = transaction.and_then([TxnOp::delete(KEY, None)]);
    assert!(client.txn(transaction).await.unwrap().succeeded());
}

fn puts(client: &KvClient, lease: i64) -> Runner {
    let client = client.clone();
    Runner::new("transaction", move || {
        let mut client = client.clone();
        async move {
            let (took, ()) = timed(put(&mut client, lease)).await;
            delete(&mut client).await;
            took
        }
    })
}

fn deletes(client: &KvClient, lease: i64) -> Runner {
    let client = client.clone();
    Runner::new("transaction", move || {
        let mut client = client.clone();
        async move {
            put(&mut client, lease).await;
            timed(delete(&mut client)).await.0
        }
    })
}

pub(crate) fn bench(c: &mut Criterion, runtime: &Runtime) {
    let (_server, locks, client, lease) = runtime.block_on(async {
        let server = EtcdServer::start().await;
        let locks = Locks::new(EtcdBackend::connect(server.url()).await.unwrap());
        let mut client = Client::connect([server.url()], None).await.unwrap();
        // It outlives the bench.
        let ttl = i64::try_from(TTL.as_secs()).unwrap() * 100;
        let lease = client.lease_grant(ttl, None).await.unwrap().id();
        (server, locks, client.kv_client(), lease)
    });
    race(
        c,
        runtime,
        "etcd_acquire",
        vec![acquires(&locks), puts(&client, lease)],
    );
    race(
        c,
        runtime,
        "etcd_release",
        vec![releases(&locks), deletes(&client, lease)],
    );
}

pub(crate) fn report(medians: &Medians) {
    for group in ["etcd_acquire", "etcd_release"] {
        medians.ratio(group, "", ["tripod", "transaction"], "target: at most 1.15");
    }
}
