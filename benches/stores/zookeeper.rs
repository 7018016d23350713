//! `ZooKeeper`: an ephemeral node created, and the children listed, bare through the same client.

use criterion::Criterion;
use tokio::runtime::Runtime;
use tripod::lock::{Locks, ZooKeeperBackend};
use zookeeper_client::{Acls, Client, CreateMode};

use crate::medians::Medians;
use crate::server::zookeeper::ZooKeeperServer;
use crate::{Runner, acquires, race, releases, timed};

const PARENT: &str = "/bare";
const NODE: &str = "/bare/holder";

async fn create(client: &Client) {
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create(NODE, b"", &options).await.unwrap();
}

async fn delete(client: &Client) {
    client.delete(NODE, None).await.unwrap();
}

fn creates(client: &Client) -> Runner {
    let client = client.clone();
    Runner::new("create_and_list", move || {
        let client = client.clone();
        async move {
            let both = async {
                create(&client).await;
                client.list_children(PARENT).await.unwrap()
            };
            let (took, nodes) = timed(both).await;
            assert_eq!(nodes.len(), 1);
            delete(&client).await;
            took
        }
    })
}

fn deletes(client: &Client) -> Runner {
    let client = client.clone();
    Runner::new("delete", move || {
        let client = client.clone();
        async move {
            create(&client).await;
            timed(delete(&client)).await.0
        }
    })
}

pub(crate) fn bench(c: &mut Criterion, runtime: &Runtime) {
    let (_server, locks, client) = runtime.block_on(async {
        let server = ZooKeeperServer::start().await;
        let locks = Locks::new(ZooKeeperBackend::connect(server.url()).await.unwrap());
        let address = format!("127.0.0.1:{}", server.port());
        let client = Client::connect(&address).await.unwrap();
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.create(PARENT, b"", &options).await.unwrap();
        (server, locks, client)
    });
    race(
        c,
        runtime,
        "zookeeper_acquire",
        vec![acquires(&locks), creates(&client)],
    );
    race(
        c,
        runtime,
        "zookeeper_release",
        vec![releases(&locks), deletes(&client)],
    );
}

pub(crate) fn report(medians: &Medians) {
    let create = ["tripod", "create_and_list"];
    medians.ratio("zookeeper_acquire", "", create, "target: at most 1.2");
    medians.ratio("zookeeper_release", "", ["tripod", "delete"], "no target");
}
