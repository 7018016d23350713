//! Redis: the script called bare through the same client, and what is less than a lock.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use criterion::Criterion;
use redis::aio::MultiplexedConnection;
use redis::{Client, Script, ScriptInvocation};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use tripod::lock::{Locks, RedisBackend};

use crate::medians::Medians;
use crate::server::redis::RedisServer;
use crate::{NAME, QUIET, Runner, TTL, acquires, hands_over, race, releases, timed};

/// The script on the keys of the lock, with the arguments that the backend gives.
#[derive(Clone)]
struct Bare {
    connection: MultiplexedConnection,
    script: Rc<Script>,
    count: Rc<Cell<u64>>,
}

impl Bare {
    fn step(&self, verb: &str, id: u64) -> ScriptInvocation<'_> {
        let mut step = self.script.prepare_invoke();
        let key = format!("tripod:{{bare/{NAME}}}");
        step.key(key).arg(verb).arg(format!("{id:032x}"));
        step
    }

    async fn enqueue(&self) -> (Duration, u64) {
        let id = self.count.get();
        self.count.set(id + 1);
        let mut step = self.step("enqueue", id);
        let micros = u64::try_from(TTL.as_micros()).unwrap();
        step.arg("x|0|0|0").arg(micros);
        step.arg("0123456789abcdef").arg("");
        let mut connection = self.connection.clone();
        let (took, answer) = timed(step.invoke_async::<Vec<String>>(&mut connection)).await;
        assert_eq!(answer.unwrap().first().unwrap(), "granted");
        (took, id)
    }

    async fn release(&self, id: u64) -> Duration {
        let step = self.step("release", id);
        let mut connection = self.connection.clone();
        let (took, answer) = timed(step.invoke_async::<Vec<String>>(&mut connection)).await;
        assert_eq!(answer.unwrap().first().unwrap(), "true");
        took
    }

    fn enqueues(&self) -> Runner {
        let bare = self.clone();
        Runner::new("script", move || {
            let bare = bare.clone();
            async move {
                let (took, id) = bare.enqueue().await;
                bare.release(id).await;
                took
            }
        })
    }

    fn releases(&self) -> Runner {
        let bare = self.clone();
        Runner::new("script", move || {
            let bare = bare.clone();
            async move {
                let (_, id) = bare.enqueue().await;
                bare.release(id).await
            }
        })
    }

    /// What a lock without a queue would do at the least: take the name, and draw a number.
    fn sets(&self) -> Runner {
        let connection = self.connection.clone();
        Runner::new("set_nx_and_incr", move || {
            let mut connection = connection.clone();
            async move {
                let mut both = redis::pipe();
                let set = both.cmd("SET").arg("bare").arg("0123456789abcdef");
                set.arg("NX").arg("PX").arg(30_000);
                both.cmd("INCR").arg("bare:t");
                let (took, answer) =
                    timed(both.query_async::<(String, u64)>(&mut connection)).await;
                answer.unwrap();
                let () = redis::cmd("DEL")
                    .arg("bare")
                    .query_async(&mut connection)
                    .await
                    .unwrap();
                took
            }
        })
    }

    fn round_trips(&self) -> Runner {
        let connection = self.connection.clone();
        Runner::new("round_trip", move || {
            let mut connection = connection.clone();
            async move {
                // As long after the last request as a hand-over is: what has slept answers later.
                sleep(QUIET).await;
                let ping = redis::cmd("PING");
                timed(ping.query_async::<String>(&mut connection)).await.0
            }
        })
    }
}

pub(crate) fn bench(c: &mut Criterion, runtime: &Runtime) {
    let (_server, one, other, bare) = runtime.block_on(async {
        let server = RedisServer::start(&["--appendonly", "no"]).await;
        let locks = async || Locks::new(RedisBackend::connect(server.url()).await.unwrap());
        let (one, other) = (locks().await, locks().await);
        let client = Client::open(server.url()).unwrap();
        let bare = Bare {
            connection: client.get_multiplexed_async_connection().await.unwrap(),
            script: Rc::new(Script::new(include_str!(
                "../../src/lock/backend/redis/step.lua"
            ))),
            count: Rc::default(),
        };
        (server, one, other, bare)
    });
    let runners = vec![acquires(&one), bare.enqueues(), bare.sets()];
    race(c, runtime, "redis_acquire", runners);
    race(
        c,
        runtime,
        "redis_release",
        vec![releases(&one), bare.releases()],
    );
    let runners = vec![hands_over(&one, &other), bare.round_trips()];
    race(c, runtime, "redis_hand_over", runners);
}

pub(crate) fn report(medians: &Medians) {
    medians.ratio(
        "redis_acquire",
        "",
        ["tripod", "script"],
        "target: at most 1.15",
    );
    medians.ratio(
        "redis_acquire",
        "",
        ["script", "set_nx_and_incr"],
        "target: at most 1.6",
    );
    medians.ratio(
        "redis_release",
        "",
        ["tripod", "script"],
        "target: at most 1.15",
    );
    medians.ratio(
        "redis_hand_over",
        "",
        ["tripod", "round_trip"],
        "target: at most 2.5",
    );
}
