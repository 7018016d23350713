//! `PostgreSQL`: one prepared upsert, bare through the same client.

use std::rc::Rc;

use criterion::Criterion;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};
use tripod::lock::{Locks, PostgresBackend};

use crate::medians::Medians;
use crate::server::postgres::PostgresServer;
use crate::{NAME, Runner, acquires, race, releases, timed};

const TABLE: &str = "CREATE TABLE bare (name bytea PRIMARY KEY, holder bytea, expires timestamptz)";
const UPSERT: &str = "INSERT INTO bare VALUES ($1, $2, clock_timestamp() + interval '30 s')
    ON CONFLICT (name) DO UPDATE SET holder = $2, expires = excluded.expires";

fn upserts(client: &Rc<(Client, Statement)>) -> Runner {
    let client = Rc::clone(client);
    Runner::new("upsert", move || {
        let client = Rc::clone(&client);
        async move {
            let (client, statement) = &*client;
            let (name, holder) = (NAME.as_bytes(), &b"0123456789abcdef"[..]);
            let (took, rows) = timed(client.execute(statement, &[&name, &holder])).await;
            assert_eq!(rows.unwrap(), 1);
            took
        }
    })
}

pub(crate) fn bench(c: &mut Criterion, runtime: &Runtime) {
    let (_server, locks, client) = runtime.block_on(async {
        // With its usual settings: each commit is synced.
        let server = PostgresServer::start_with(&[]);
        PostgresBackend::migrate(server.url()).await.unwrap();
        let locks = Locks::new(PostgresBackend::connect(server.url()).await.unwrap());
        let connected = tokio_postgres::connect(&server.url(), NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        client.batch_execute(TABLE).await.unwrap();
        let upsert = client.prepare(UPSERT).await.unwrap();
        (server, locks, Rc::new((client, upsert)))
    });
    race(
        c,
        runtime,
        "postgres_acquire",
        vec![acquires(&locks), upserts(&client)],
    );
    race(
        c,
        runtime,
        "postgres_release",
        vec![releases(&locks), upserts(&client)],
    );
}

pub(crate) fn report(medians: &Medians) {
    for group in ["postgres_acquire", "postgres_release"] {
        medians.ratio(group, "", ["tripod", "upsert"], "target: at most 1.25");
    }
}
