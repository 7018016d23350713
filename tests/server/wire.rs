//! A wire to a server, which can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Passes bytes on to a port of this machine and back, until it is cut or dropped.
pub(crate) struct Wire {
    port: u16,
    /// The number of the present connections: those of an older one end.
    cut: watch::Sender<u32>,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    refuses: AtomicBool,
    swallows: AtomicBool,
    swallows_answers: AtomicBool,
}

impl Wire {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (cut, state) = (watch::Sender::new(0), Arc::<State>::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, port, cut.subscribe(), Arc::clone(&state)));
        Self {
            port: own,
            cut,
            state,
            _tasks: tasks,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends the connections there are.
    pub(crate) fn reset(&self) {
        self.cut.send_modify(|number| *number += 1);
    }

    /// Ends the connections there are, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.state.refuses.store(true, Ordering::Relaxed);
        self.reset();
    }

    /// Lets new ones through again.
    pub(crate) fn mend(&self) {
        self.state.refuses.store(false, Ordering::Relaxed);
    }

    /// Lets nothing through any more, and says so to nobody.
    pub(crate) fn swallow(&self, swallows: bool) {
        self.state.swallows.store(swallows, Ordering::Relaxed);
    }

    /// Lets no answer through any more.
    pub(crate) fn swallow_answers(&self, swallows: bool) {
        self.state
            .swallows_answers
            .store(swallows, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, port: u16, cut: watch::Receiver<u32>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await.unwrap();
        if state.refuses.load(Ordering::Relaxed) {
            continue;
        }
        let (mut cut, state) = (cut.clone(), Arc::clone(&state));
        cut.mark_unchanged();
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else {
                return;
            };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::select! {
                _ = cut.changed() => {}
                () = pass(near_in, far_out, &state, false) => {}
                () = pass(far_in, near_out, &state, true) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, answers: bool) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        while state.swallows.load(Ordering::Relaxed)
            || (answers && state.swallows_answers.load(Ordering::Relaxed))
        {
            sleep(Duration::from_millis(5)).await;
        }
        if to.write_all(buffer.get(..read).unwrap()).await.is_err() {
            return;
        }
    }
}
