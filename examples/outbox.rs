//! An order and the message that tells of it commit together; the bill is written once, however
//! often the message comes.
//!
//! ```text
//! cargo run --release --features postgres,redis --example outbox -- \
//!     postgres://postgres:secret@127.0.0.1/postgres redis://127.0.0.1
//! ```
//!
//! Kill it whenever you like, and start it again: what was committed is sent, and billed once.
//! Without the URL of a Redis server the queue is in memory, and what is in it goes with the process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, NoTls};
use tripod::transaction::message::{
    Entered, HandlerError, Inbox, MemoryTransport, Message, Outbox, QueueName, RedisTransport,
    Server, ServerOptions, Transport,
};

const POSTGRES: &str = "postgres://postgres:secret@127.0.0.1/postgres";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS shop_order (id bigserial PRIMARY KEY, cents bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS shop_bill (order_key text NOT NULL, cents bigint NOT NULL)";

#[tokio::main]
async fn main() -> ExitCode {
    let mut urls = std::env::args().skip(1);
    let url = urls.next().unwrap_or_else(|| POSTGRES.to_owned());
    match shop(&url, urls.next()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            eprintln!(
                "start a server: docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres"
            );
            eprintln!("    and perhaps: docker run -p 6379:6379 redis --appendonly yes");
            ExitCode::FAILURE
        }
    }
}

async fn shop(url: &str, redis: Option<String>) -> Result<(), HandlerError> {
    // Tables for inbox and outbox; done already, it does nothing.
    Outbox::migrate(url).await?;
    let mut client = connect(url).await?;
    client.batch_execute(TABLES).await?;
    let bills = QueueName::new("bills")?;

    // What commits is sent, by this process or the next.
    let transport = transport(redis).await?;
    let relay = Outbox::relay(url, transport.clone()).await?;
    let writer = bill_writer(url.to_owned(), Inbox::new(bills.clone()));
    let server = Server::start(
        transport.clone(),
        bills.clone(),
        writer,
        ServerOptions::new(),
    );

    for (cents, pays) in [(1000, true), (2000, false), (3000, true)] {
        let key = order(&mut client, &bills, cents, pays).await?;
        println!(
            "{key}: {cents} cents, {}",
            if pays { "ordered" } else { "cancelled" }
        );
        if pays {
            // As a transport may: the same message once more.
            let again = Message::new(&key, cents.to_string())?;
            transport.send(&bills, &again).await?;
        }
    }

    let orders = count(&client, "SELECT count(*) FROM shop_order").await?;
    let mut billed = 0;
    for _ in 0..1000 {
        billed = count(&client, "SELECT count(*) FROM shop_bill").await?;
        if billed >= orders {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    relay.stop(Duration::from_secs(5)).await;
    server.stop(Duration::from_secs(5)).await;
    println!("{orders} orders, {billed} bills in all");
    if orders != billed {
        return Err("orders and bills differ".into());
    }
    Ok(())
}

/// A queue on Redis, or in memory.
async fn transport(redis: Option<String>) -> Result<Arc<dyn Transport>, HandlerError> {
    Ok(match redis {
        Some(url) => Arc::new(RedisTransport::connect(url).await?),
        None => Arc::new(MemoryTransport::new()),
    })
}

/// Writes an order and the message that tells of it, both or neither.
async fn order(
    client: &mut Client,
    bills: &QueueName,
    cents: i64,
    pays: bool,
) -> Result<String, HandlerError> {
    let transaction = client.transaction().await?;
    let insert = "INSERT INTO shop_order (cents) VALUES ($1) RETURNING id";
    let id: i64 = transaction.query_one(insert, &[&cents]).await?.get(0);
    // The key follows from what happens, so it is the same whoever tells of it again.
    let key = format!("order-{id}");
    let message = Message::new(&key, cents.to_string())?;
    Outbox::new().send(&transaction, bills, &message).await?;
    if pays {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(key)
}

/// Writes a bill for each message that was not seen before, in one transaction with the row that
/// says so.
fn bill_writer(
    url: String,
    inbox: Inbox,
) -> impl Fn(Message) -> tripod::BoxFuture<'static, Result<Vec<u8>, HandlerError>> {
    move |message| {
        let (url, inbox) = (url.clone(), inbox.clone());
        Box::pin(async move {
            // A pool would do better.
            let mut client = connect(&url).await?;
            let transaction = client.transaction().await?;
            if let Entered::Again(reply) = inbox.enter(&transaction, &message).await? {
                println!("{}: billed before", message.key());
                return Ok(reply);
            }
            let cents: i64 = std::str::from_utf8(message.payload())?.parse()?;
            let insert = "INSERT INTO shop_bill VALUES ($1, $2)";
            transaction
                .execute(insert, &[&message.key(), &cents])
                .await?;
            inbox.keep(&transaction, &message, b"billed").await?;
            transaction.commit().await?;
            println!("{}: billed", message.key());
            Ok(b"billed".to_vec())
        })
    }
}

async fn count(client: &Client, sql: &str) -> Result<i64, HandlerError> {
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn connect(url: &str) -> Result<Client, HandlerError> {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(driver);
    Ok(client)
}
