//! Until when a session is known to live, by the leader's clock.
//!
//! Pure: the time is an argument.
//!
//! A session lives for its timeout from the last request that the *leader* has heard of. A server
//! that stands alone hears of a request before it answers. In an ensemble the server that the client
//! is connected to notes that the client was heard, and tells the leader with its answer to the
//! leader's next ping, half a tick later; what it passes on to the leader meanwhile does not count
//! there. If it is cut off in that half tick, the leader never learns of a
//! request that it has itself answered. So a request counts here once another one was answered by
//! the leader that was sent *half a tick after the first was answered*: it came to the leader behind
//! the news of the first.
//!
//! Only transactions count in an ensemble. A leader that was deposed, and was not told yet, answers a
//! `sync` by itself for up to `syncLimit` ticks, while another one lets the session expire. It cannot
//! commit without a quorum; and a leader that comes later counts every session anew from its start.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Notes are taken so many times per lag: a lease may be believed in for an eighth of it more.
const NOTES: u32 = 8;

/// Enough for two lags: a note is of use after one, and goes with the next answer.
const NOTES_MAX: usize = 16;

/// What is proved of a session.
#[derive(Debug)]
pub(super) struct Proofs {
    /// How long the leader may take to hear of what was answered.
    lag: Duration,
    proved: Instant,
    /// Requests that were answered, in the order of the answers.
    notes: VecDeque<Note>,
}

#[derive(Debug)]
struct Note {
    sent: Instant,
    answered: Instant,
}

/// A request under way to the leader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    sent: Instant,
    /// From when its answer proves the session to have lived for a timeout.
    proves: Instant,
}

impl Proofs {
    /// A session that was asked for at `sent`, which the leader itself began.
    pub(super) fn new(sent: Instant, lag: Duration) -> Self {
        let notes = VecDeque::new();
        Self {
            lag,
            proved: sent,
            notes,
        }
    }

    /// The lease of the session is counted from here.
    pub(super) fn proved(&self) -> Instant {
        self.proved
    }

    /// Takes note of a request that is about to be sent.
    pub(super) fn asking(&self, now: Instant) -> Asked {
        let ripe = |note: &&Note| note.answered + self.lag <= now;
        let told = self.notes.iter().filter(ripe).map(|note| note.sent).max();
        let proves = if self.lag.is_zero() {
            now
        } else {
            told.unwrap_or(self.proved)
        };
        Asked { sent: now, proves }
    }

    /// Takes note of the leader's answer.
    pub(super) fn answered(&mut self, asked: Asked, now: Instant) {
        self.proved = self.proved.max(asked.proves);
        self.notes.retain(|note| note.sent > self.proved);
        let last = self.notes.back().map(|note| note.answered);
        let is_time = last.is_none_or(|last| last + self.lag / NOTES <= now);
        if !self.lag.is_zero() && is_time && self.notes.len() < NOTES_MAX {
            let sent = asked.sent;
            self.notes.push_back(Note {
                sent,
                answered: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_secs(8);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn alone_an_answer_proves_its_own_request() {
        let began = Instant::now();
        let mut proofs = Proofs::new(began, Duration::ZERO);
        let asked = proofs.asking(began + SECOND);
        assert_eq!(proofs.proved(), began);
        proofs.answered(asked, began + 2 * SECOND);
        assert_eq!(proofs.proved(), began + SECOND);
    }

    #[test]
    fn in_an_ensemble_an_answer_proves_what_was_answered_a_lag_before_it_was_asked() {
        let began = Instant::now();
        let mut proofs = Proofs::new(began, LAG);
        let first = proofs.asking(began + SECOND);
        proofs.answered(first, began + 2 * SECOND);
        let early = proofs.asking(began + 9 * SECOND);
        proofs.answered(early, began + 20 * SECOND);
        assert_eq!(proofs.proved(), began);
        let late = [21, 22].map(|second| proofs.asking(began + second * SECOND));
        let [one, other] = late;
        proofs.answered(other, began + 23 * SECOND);
        assert_eq!(proofs.proved(), began + SECOND);
        proofs.answered(one, began + 24 * SECOND);
        assert_eq!(proofs.proved(), began + SECOND);
        let last = proofs.asking(began + 28 * SECOND);
        proofs.answered(last, began + 28 * SECOND);
        assert_eq!(proofs.proved(), began + 9 * SECOND);
    }

    #[test]
    fn an_answer_that_is_lost_proves_nothing_and_takes_nothing_away() {
        let began = Instant::now();
        let mut proofs = Proofs::new(began, LAG);
        let first = proofs.asking(began + SECOND);
        proofs.answered(first, began + SECOND);
        let _lost = proofs.asking(began + 10 * SECOND);
        let next = proofs.asking(began + 11 * SECOND);
        proofs.answered(next, began + 11 * SECOND);
        assert_eq!(proofs.proved(), began + SECOND);
    }

    #[test]
    fn notes_are_few_however_much_is_asked() {
        let began = Instant::now();
        let mut proofs = Proofs::new(began, LAG);
        for milli in 0..100_000 {
            let now = began + Duration::from_millis(milli);
            let asked = proofs.asking(now);
            proofs.answered(asked, now);
            assert!(proofs.notes.len() <= NOTES_MAX);
        }
        let age = (began + Duration::from_secs(100)) - proofs.proved();
        assert!(age <= LAG + LAG / 4, "{age:?}");
    }
}
