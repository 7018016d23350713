//! The schema: who makes it, who may use it, and what does not do.

use std::error::Error;
use std::time::Duration;

use tripod::lock::{BackendError, BackendErrorKind, LockName, Locks, PostgresBackend, SchemaError};

use crate::scenario::{acquire_contend_lose_release, until_renewed};
use crate::server::postgres::PostgresServer;
use crate::told::told;

use super::{locks, server};

fn why(error: &BackendError) -> &SchemaError {
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
    error.source().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn a_schema_that_is_missing_or_newer_is_refused() {
    let server = PostgresServer::start();
    let error = PostgresBackend::connect(server.url()).await.unwrap_err();
    assert_eq!(*why(&error), SchemaError::Missing);
    assert!(told(&error).contains("migrate"), "{error:?}");
    PostgresBackend::migrate(server.url()).await.unwrap();
    server.query("DELETE FROM tripod.migration");
    let error = PostgresBackend::connect(server.url()).await.unwrap_err();
    assert_eq!(*why(&error), SchemaError::Missing);
    server.query("INSERT INTO tripod.migration VALUES (1), (7)");
    let newer = SchemaError::Newer { found: 7, known: 1 };
    let error = PostgresBackend::connect(server.url()).await.unwrap_err();
    assert_eq!(*why(&error), newer);
    let error = PostgresBackend::migrate(server.url()).await.unwrap_err();
    assert_eq!(*why(&error), newer);
    let versions = "SELECT version FROM tripod.migration ORDER BY version";
    assert_eq!(server.query(versions), ["1", "7"]);
}

#[tokio::test]
async fn many_may_migrate_at_once_and_again() {
    let server = PostgresServer::start();
    let migrations =
        (0..8).map(|_| tokio::spawn(PostgresBackend::migrate(server.url()).into_future()));
    for migration in migrations.collect::<Vec<_>>() {
        migration.await.unwrap().unwrap();
    }
    let guard = locks(&server).await.acquire("a").await.unwrap();
    PostgresBackend::migrate(server.url()).await.unwrap();
    assert_eq!(server.query("SELECT version FROM tripod.migration"), ["1"]);
    assert!(
        guard.release().await.unwrap(),
        "migrating again changes nothing"
    );
}

#[tokio::test]
async fn a_user_with_the_privileges_that_are_named_can_lock_and_no_more() {
    let server = server(&["fsync=off"]).await;
    server.query("CREATE ROLE locks LOGIN; CREATE ROLE nobody LOGIN");
    server.query(
        "GRANT USAGE ON SCHEMA tripod TO locks;
        GRANT SELECT ON tripod.migration TO locks;
        GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.entry TO locks;
        GRANT USAGE ON SEQUENCE tripod.fencing_token TO locks;",
    );
    let url = server.url_of_user("locks", "");
    let connect = async || Locks::new(PostgresBackend::connect(&url).await.unwrap());
    acquire_contend_lose_release(&connect().await, &connect().await).await;
    // It cannot set fencing tokens back, for one.
    let set = "SET ROLE locks; SELECT setval('tripod.fencing_token', 1)";
    assert!(!server.allows(set));
    let nobody = server.url_of_user("nobody", "");
    let error = PostgresBackend::connect(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
    let fresh = PostgresServer::start();
    fresh.query("CREATE ROLE nobody LOGIN");
    let nobody = fresh.url_of_user("nobody", "");
    let error = PostgresBackend::migrate(&nobody).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Rejected, "{error:?}");
}

#[tokio::test]
async fn a_stricter_isolation_is_refused_and_not_used() {
    let server = server(&["fsync=off", "default_transaction_isolation=repeatable read"]).await;
    let error = locks(&server).await.try_acquire("a").await.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        told.contains("Rejected") && told.contains("read committed"),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_unavailable() {
    let mut server = server(&["fsync=off"]).await;
    let locks = locks(&server).await;
    server.query("ALTER SYSTEM SET default_transaction_read_only = on");
    server.kill();
    server.restart();
    let error = PostgresBackend::connect(server.url()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    // The second try at the latest is by a connection that works.
    let _ = locks.try_acquire("a").await;
    let error = locks.try_acquire("a").await.unwrap_err();
    let told = format!("{error:?}");
    assert!(
        told.contains("Unavailable") && told.contains("read-only"),
        "{told}"
    );
}

#[tokio::test]
async fn a_server_that_took_no_writes_is_left() {
    let server = server(&["fsync=off"]).await;
    server.query("CREATE ROLE locks LOGIN SUPERUSER");
    let url = server.url_of_user("locks", "");
    let locks = Locks::new(PostgresBackend::connect(&url).await.unwrap());
    drop(locks.try_acquire("a").await.unwrap());
    // Of connections that are made from now on.
    server.query("ALTER ROLE locks SET default_transaction_read_only = on");
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'locks'");
    let mut told = String::new();
    for _ in 0..100 {
        if let Err(error) = locks.try_acquire("b").await {
            told = format!("{error:?}");
            if told.contains("read-only") {
                break;
            }
        }
    }
    assert!(told.contains("read-only"), "{told}");
    server.query("ALTER ROLE locks RESET default_transaction_read_only");
    // The one that listens asks now and then too, and may have opened another before.
    for _ in 0..3 {
        if locks
            .try_acquire("c")
            .await
            .is_ok_and(|guard| guard.is_some())
        {
            return;
        }
    }
    panic!("it stays with a connection that takes no writes");
}

#[tokio::test]
async fn of_several_servers_it_takes_one_that_takes_writes() {
    let replica = server(&["fsync=off", "default_transaction_read_only=on"]);
    let primary = server(&["fsync=off"]);
    let (replica, primary) = (replica.await, primary.await);
    let (first, second) = (replica.port(), primary.port());
    let url = format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres");
    let locks = Locks::new(PostgresBackend::connect(url).await.unwrap());
    let guard = locks.acquire("a").await.unwrap();
    assert_eq!(primary.query("SELECT count(*) FROM tripod.entry"), ["1"]);
    assert!(guard.release().await.unwrap());
}

/// What takes precedence over the server's own where a call is not of the very types.
const HOSTILE: &str = "SET ROLE mallory;
    CREATE FUNCTION public.taken(bigint, interval) RETURNS interval LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''taken''; END';
    CREATE OPERATOR public.* (LEFTARG = bigint, RIGHTARG = interval, FUNCTION = public.taken);
    CREATE FUNCTION public.taken(numeric, integer) RETURNS numeric LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''taken''; END';
    CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.taken);
    CREATE FUNCTION public.cardinality(bytea[]) RETURNS integer LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''taken''; END';
    CREATE FUNCTION public.array_fill(bigint, integer[]) RETURNS bigint[] LANGUAGE plpgsql
        AS 'BEGIN RAISE EXCEPTION ''taken''; END';";

#[tokio::test]
async fn functions_that_others_put_on_the_path_are_not_run() {
    let server = server(&["fsync=off"]).await;
    server.query("CREATE ROLE mallory; GRANT CREATE, USAGE ON SCHEMA public TO mallory");
    server.query(HOSTILE);
    let taken = "SET search_path = public; SELECT 1::bigint * interval '1 second'";
    assert!(!server.allows(taken), "the attack is none");
    // Even where the path has them before the server's own.
    for path in ["public", "public, pg_catalog"] {
        server.query(&format!("ALTER ROLE postgres SET search_path = {path}"));
        acquire_contend_lose_release(&locks(&server).await, &locks(&server).await).await;
        let locks = locks(&server).await;
        let ttl = Duration::from_secs(5);
        let guard = locks.acquire("a").ttl(ttl).await.unwrap();
        assert_eq!(
            locks.inspect(guard.name()).await.unwrap().holders().len(),
            1
        );
        until_renewed(&locks, 1).await;
        assert!(guard.release().await.unwrap());
    }
}

#[tokio::test]
async fn a_schema_of_somebody_else_is_not_taken_over() {
    let server = PostgresServer::start();
    server.query("CREATE ROLE mallory; GRANT CREATE ON DATABASE postgres TO mallory");
    server.query("SET ROLE mallory; CREATE SCHEMA tripod");
    let error = PostgresBackend::migrate(server.url()).await.unwrap_err();
    assert_eq!(*why(&error), SchemaError::Foreign);
    server.query("CREATE ROLE admin LOGIN IN ROLE mallory");
    let admin = server.url_of_user("admin", "");
    PostgresBackend::migrate(admin).await.unwrap();
}

/// A later version of the schema may, while an older one is in use.
#[tokio::test]
async fn a_function_that_answers_with_more_than_before_is_no_failure() {
    let server = server(&[]).await;
    let locks = locks(&server).await;
    let name = LockName::new("a").unwrap();
    let guard = locks.acquire(name.clone()).await.unwrap();
    locks.inspect(&name).await.unwrap();
    server.query(
        r"DO $do$ DECLARE before text := pg_get_functiondef('tripod.inspect(bytea)'::regprocedure);
        BEGIN
            DROP FUNCTION tripod.inspect(bytea);
            EXECUTE regexp_replace(replace(before, 'OUT metadata bytea', 'OUT metadata bytea, OUT more bigint'),
                'e\.metadata\s', 'e.metadata, 1::bigint ');
        END $do$",
    );
    for _ in 0..3 {
        assert_eq!(locks.inspect(&name).await.unwrap().holders().len(), 1);
    }
    assert!(guard.release().await.unwrap());
}
