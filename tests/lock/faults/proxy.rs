//! A worker's way to the store, on which everything can go wrong that does on a network.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::plan::Weather;

pub struct Proxy {
    port: u16,
    weather: watch::Sender<Weather>,
    lost: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// Which way a pump goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

impl Proxy {
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (weather, forecast) = watch::channel(Weather::Clear);
        let lost = Arc::<AtomicU64>::default();
        let count = Arc::clone(&lost);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                while connections.try_join_next().is_some() {}
                connections.spawn(carry(client, server, forecast.clone(), Arc::clone(&count)));
            }
        });
        Self {
            port,
            weather,
            lost,
            _tasks: tasks,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// How many pieces of answers were lost after their requests had gone through.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

async fn carry(
    mut client: TcpStream,
    server: u16,
    weather: watch::Receiver<Weather>,
    lost: Arc<AtomicU64>,
) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let mut weather_too = weather.clone();
    let requests = pump(Way::Request, from_client, to_server, weather.clone(), &lost);
    let answers = pump(Way::Answer, from_server, to_client, weather, &lost);
    let storm = async {
        let _ = weather_too
            .wait_for(|&weather| weather == Weather::Reset)
            .await;
        io::Result::Err(io::ErrorKind::ConnectionReset.into())
    };
    let both = async { tokio::try_join!(requests, answers) };
    let ended = tokio::select! {
        ended = both => ended.map(drop),
        reset = storm => reset,
    };
    if ended.is_err() {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// Carries bytes one way until their end. An error is to reset the connection.
async fn pump(
    way: Way,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
    lost: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut torn = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            changed = weather.changed() => {
                changed.map_err(io::Error::other)?;
                let now = *weather.borrow();
                if torn && now != Weather::LoseAnswers {
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                if now == Weather::HalfClose && way == Way::Answer {
                    break;
                }
                continue;
            }
        };
        let piece = buffer.get(..read).unwrap_or_default();
        if piece.is_empty() {
            break;
        }
        let now = pass(&mut weather).await?;
        match (now, way) {
            (Weather::LoseAnswers, Way::Answer) => {
                torn = true;
                lost.fetch_add(1, Ordering::Relaxed);
            }
            (Weather::HalfClose, Way::Answer) => break,
            (Weather::Delay(time), _) => {
                sleep(time).await;
                to.write_all(piece).await?;
            }
            _ => to.write_all(piece).await?,
        }
    }
    to.shutdown().await
}

/// Waits while nothing moves.
async fn pass(weather: &mut watch::Receiver<Weather>) -> io::Result<Weather> {
    let now = weather.wait_for(|&weather| weather != Weather::Stall).await;
    now.map(|now| *now).map_err(io::Error::other)
}

/// The weather for a while.
pub async fn spell(proxy: &Proxy, weather: Weather, time: Duration) {
    proxy.set(weather);
    sleep(time).await;
    proxy.set(Weather::Clear);
}
