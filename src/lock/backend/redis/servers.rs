//! One server, or many.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::lock::backend::BackendErrorKind;

use super::cluster::Cluster;
use super::failure::Failure;
use super::link::{Answer, Link};
use super::live::TIMEOUT;
use super::step::Step;

pub(super) enum Servers {
    One(Link),
    Cluster(Cluster),
}

impl Servers {
    pub(super) async fn call(&self, step: &Step) -> Result<Answer, Failure> {
        match self {
            Self::One(link) => link.call(step, Instant::now() + TIMEOUT).await,
            Self::Cluster(cluster) => cluster.call(step).await,
        }
    }

    /// Takes each of these steps. The clients send what is asked at once in one go.
    pub(super) async fn each(&self, steps: &[Step]) -> Vec<Result<Answer, Failure>> {
        match self {
            Self::One(_) => join_all(steps.iter().map(|step| self.call(step))).await,
            Self::Cluster(cluster) => each(cluster, steps).await,
        }
    }
}

/// Servers that hang are not waited for once another has answered all that it was asked.
async fn each(cluster: &Cluster, steps: &[Step]) -> Vec<Result<Answer, Failure>> {
    let mut parts = Parts::new();
    let mut calls = FuturesUnordered::new();
    for (at, step) in steps.iter().enumerate() {
        let owner = cluster.owner(step).ok();
        let part = owner.map(|(_, link)| parts.join(link));
        calls.push(async move { (at, part, cluster.call(step).await) });
    }
    let mut answers: Vec<_> = steps.iter().map(|_| None).collect();
    while let Some(until) = parts.wait_until() {
        tokio::select! {
            biased;
            answer = calls.next() => {
                let Some((at, part, answer)) = answer else { break };
                if let Some(place) = answers.get_mut(at) {
                    *place = Some(answer);
                }
                parts.answered(part);
            }
            () = sleep_until(until) => {}
        }
    }
    let late = "the server has not answered yet";
    let late = Failure::new(BackendErrorKind::Indeterminate, late);
    let answers = answers.into_iter();
    answers
        .map(|answer| answer.unwrap_or_else(|| Err(late.clone())))
        .collect()
}

/// A batch, by the servers that are to take its steps.
struct Parts {
    began: Instant,
    parts: Vec<Part>,
}

struct Part {
    link: Arc<Link>,
    left: usize,
}

impl Parts {
    fn new() -> Self {
        let began = Instant::now();
        let parts = Vec::new();
        Self { began, parts }
    }

    /// Counts a step of this server's, and answers which part it belongs to.
    fn join(&mut self, link: Arc<Link>) -> usize {
        let known = |part: &Part| Arc::ptr_eq(&part.link, &link);
        let at = self.parts.iter().position(known);
        let at = at.unwrap_or(self.parts.len());
        if let Some(part) = self.parts.get_mut(at) {
            part.left += 1;
        } else {
            self.parts.push(Part { link, left: 1 });
        }
        at
    }

    fn answered(&mut self, part: Option<usize>) {
        if let Some(part) = part.and_then(|at| self.parts.get_mut(at)) {
            part.left -= 1;
        }
    }

    fn some_have_answered(&self) -> bool {
        self.parts.iter().any(|part| part.left == 0)
    }

    /// Until when to wait for the rest, unless it is over.
    fn wait_until(&self) -> Option<Instant> {
        if !self.some_have_answered() {
            // The calls end before.
            return Some(self.began + 2 * TIMEOUT);
        }
        let rest = self.parts.iter().filter(|part| part.left > 0);
        let rest = rest.filter(|part| part.link.is_well());
        let until = rest.map(|part| self.began + part.link.patience()).max()?;
        (Instant::now() < until).then_some(until)
    }
}

impl Drop for Parts {
    /// The caller may have less patience.
    fn drop(&mut self) {
        if self.some_have_answered() {
            let silent = self.parts.iter().filter(|part| part.left > 0);
            silent.for_each(|part| part.link.doubt());
        }
    }
}
