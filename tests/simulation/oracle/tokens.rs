//! Fencing tokens are unique, and ordered by real time: in the order in which the store granted,
//! and for the clients, a request that is sent after a grant was seen gets a later one.

use std::collections::HashMap;

use tripod::lock::{FencingToken, Verb};

use crate::history::History;
use crate::trace::{Trace, What, Who};

pub fn check(trace: &Trace, history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut last: [Option<FencingToken>; 3] = [None; 3];
    for grant in &history.grants {
        let token = grant.pass.token();
        let before = last[grant.name].replace(token);
        if before.is_some_and(|before| before >= token) {
            let at = grant.at;
            wrong.push(format!("#{at}: the store granted {token} after {before:?}"));
        }
    }
    let mut seen: [Option<FencingToken>; 3] = [None; 3];
    let mut seen_when_sent: HashMap<Who, Option<FencingToken>> = HashMap::new();
    for (at, record) in trace.records.iter().enumerate() {
        match record.what {
            What::Sent {
                who,
                name,
                verb: Verb::Enqueue,
            } => {
                seen_when_sent.entry(who).or_insert(seen[name]);
            }
            What::Granted { name, pass, .. } => {
                let token = pass.token();
                seen[name] = seen[name].max(Some(token));
                let Some(grant) = history.grant(name, pass) else {
                    wrong.push(format!("#{at}: the store never granted {token}"));
                    continue;
                };
                let before = seen_when_sent.insert(grant.who, Some(token)).flatten();
                if before.is_some_and(|before| before >= token) {
                    wrong.push(format!(
                        "#{at}: {token}, asked for after {before:?} was seen"
                    ));
                }
            }
            _ => {}
        }
    }
    wrong
}
