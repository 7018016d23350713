//! A network that loses, delays and repeats.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tripod::BoxFuture;

use crate::chronicle::{Chronicle, ms};
use crate::counts::Count;
use crate::random::Random;

/// The longest that a request is under way, in milliseconds.
pub const LATEST: u64 = 600;

/// How long a caller waits for an answer, in milliseconds.
const PATIENCE: u64 = 60;

/// How often the network fails, and whoever is asked refuses, per mille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub lost_request: u64,
    pub lost_answer: u64,
    pub late: u64,
    pub duplicate: u64,
    pub refuses: u64,
}

impl Weather {
    pub const CALM: Self = Self {
        lost_request: 0,
        lost_answer: 0,
        late: 0,
        duplicate: 0,
        refuses: 0,
    };

    pub fn draw(random: &mut Random) -> Self {
        let rates = [0, 10, 50, 200];
        Self {
            lost_request: random.of(&rates),
            lost_answer: random.of(&rates),
            late: random.of(&rates),
            duplicate: random.of(&rates),
            refuses: random.of(&[0, 0, 30]),
        }
    }
}

/// A request, which may land several times.
pub trait Letter: Send + Sync + 'static {
    type Answer: Send;

    fn is_reachable(&self) -> bool;

    fn land(&self) -> BoxFuture<'_, Self::Answer>;

    /// It has landed, and nobody hears the answer.
    fn unheard(&self);

    fn tell(&self) -> String;
}

/// What becomes of a request.
struct Fate {
    delay: u64,
    lost: bool,
    again: Option<u64>,
    back: u64,
    unheard: bool,
}

impl Fate {
    fn draw(page: &Chronicle) -> Self {
        let weather = page.weather();
        let mut delay = page.within(0, 2);
        if page.chance(weather.late) {
            page.count(Count::LateRequest);
            delay = page.within(20, LATEST);
        }
        let duplicate = page.chance(weather.duplicate);
        Self {
            delay,
            lost: page.chance(weather.lost_request),
            again: duplicate.then(|| page.within(0, LATEST)),
            back: page.within(0, 2),
            unheard: page.chance(weather.lost_answer),
        }
    }
}

/// Sends a request; `None` if no answer came. What is on its way arrives, whatever becomes of who
/// sent it.
pub async fn send<L: Letter>(page: &Arc<Chronicle>, letter: L) -> Option<L::Answer> {
    let fate = Fate::draw(page);
    let (reply, answer) = oneshot::channel();
    tokio::spawn(carry(Arc::clone(page), letter, fate, reply));
    timeout(ms(PATIENCE), answer).await.ok()?.ok()
}

async fn carry<L: Letter>(
    page: Arc<Chronicle>,
    letter: L,
    fate: Fate,
    reply: oneshot::Sender<L::Answer>,
) {
    sleep(ms(fate.delay)).await;
    if fate.lost || !letter.is_reachable() {
        page.count(Count::LostRequest);
        page.say(|| format!("lost on the way: {}", letter.tell()));
        return hang(&page, reply).await;
    }
    let said = letter.land().await;
    if fate.unheard || reply.is_closed() {
        letter.unheard();
    }
    if fate.unheard {
        page.count(Count::LostAnswer);
        page.say(|| format!("its answer is lost: {}", letter.tell()));
    } else {
        sleep(ms(fate.back)).await;
        let _ = reply.send(said);
    }
    if let Some(again) = fate.again {
        page.count(Count::Duplicate);
        sleep(ms(again)).await;
        letter.land().await;
    }
}

/// A connection breaks, or stays silent.
async fn hang<T>(page: &Chronicle, reply: oneshot::Sender<T>) {
    let silent = page.chance(500);
    if silent {
        sleep(ms(PATIENCE)).await;
    }
    drop(reply);
}
