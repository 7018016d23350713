//! The resource: a process of its own that records every write, and refuses those with stale
//! fencing tokens.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tripod::lock::{FenceGate, FencePass, FencingToken};

use crate::clock::now;
use crate::line::number;
use crate::names::NAMES;

/// A write that reached the resource.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    pub name: usize,
    pub token: u64,
    pub floor: u64,
    pub accepted: bool,
}

impl Write {
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ').skip(1);
        Some(Self {
            name: number(words.next())?,
            token: number(words.next())?,
            floor: number(words.next())?,
            accepted: words.next()? == "1",
        })
    }
}

type Gates = Arc<Mutex<Vec<FenceGate<()>>>>;

/// Says where it listens, and then serves until it is killed.
pub async fn serve(fenced: bool) {
    let gates: Gates = Arc::new(Mutex::new(NAMES.map(|_| FenceGate::new(())).into()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(answer(stream, Arc::clone(&gates), fenced));
    }
}

async fn answer(stream: TcpStream, gates: Gates, fenced: bool) {
    let mut stream = BufStream::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let mut words = line.trim_end().split(' ');
        let name: usize = number(words.next()).unwrap();
        let [token, floor] = [(); 2].map(|()| FencingToken::new(number(words.next()).unwrap()));
        let pass = FencePass::shared(token, floor).unwrap();
        let accepted = {
            let mut gates = gates.lock();
            let accepted = gates[name].write(pass, |()| ()).is_ok() || !fenced;
            // In the order in which they were decided.
            println!("{} {name} {token} {floor} {}", now(), u8::from(accepted));
            accepted
        };
        line.clear();
        let answer: &[u8] = if accepted { b"1\n" } else { b"0\n" };
        if stream.write_all(answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}
