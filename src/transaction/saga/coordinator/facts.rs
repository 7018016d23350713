//! Facts as the log keeps them: a kind (1), a step (2), then by kind.

use crate::transaction::log::{Reader, put_bytes_u32};
use crate::transaction::saga::fact::{End, Fact, Json, ParkReason, Reason};
use crate::transaction::saga::state::Progress;

const BEGAN: u8 = 1;
const SUCCEEDED: u8 = 2;
const FAILED: u8 = 3;
const DOUBTFUL: u8 = 4;
const TURNED: u8 = 5;
const UNDOING: u8 = 6;
const COMPENSATED: u8 = 7;
const PARKED: u8 = 8;
const RETRIED: u8 = 9;
const SKIPPED: u8 = 10;
const DONE_WITHOUT: u8 = 11;
const ENDED: u8 = 12;

pub(super) fn put_fact(out: &mut Vec<u8>, fact: &Fact) {
    let mut tag = |kind: u8, step: u16| {
        out.push(kind);
        out.extend(step.to_be_bytes());
    };
    match fact {
        Fact::Began { step, attempt } => {
            tag(BEGAN, *step);
            out.extend(attempt.to_be_bytes());
        }
        Fact::Succeeded { step, output } => {
            tag(SUCCEEDED, *step);
            put_bytes_u32(out, output.as_str().as_bytes());
        }
        Fact::Failed { step } => tag(FAILED, *step),
        Fact::Doubtful { step } => tag(DOUBTFUL, *step),
        Fact::Turned(reason) => {
            tag(TURNED, 0);
            put_reason(out, *reason);
        }
        Fact::Undoing { step, attempt } => {
            tag(UNDOING, *step);
            out.extend(attempt.to_be_bytes());
        }
        Fact::Compensated { step } => tag(COMPENSATED, *step),
        Fact::Parked { step, reason } => {
            tag(PARKED, *step);
            out.push(reason_byte(*reason));
        }
        Fact::Retried { step } => tag(RETRIED, *step),
        Fact::Skipped {
            step,
            output: Some(output),
        } => {
            tag(SKIPPED, *step);
            put_bytes_u32(out, output.as_str().as_bytes());
        }
        Fact::Skipped { step, output: None } => tag(DONE_WITHOUT, *step),
        Fact::Ended(end) => {
            tag(ENDED, 0);
            put_end(out, *end);
        }
    }
}

pub(super) fn read_facts(reader: &mut Reader<'_>) -> Option<Vec<Fact>> {
    let mut facts = Vec::new();
    while !reader.is_empty() {
        facts.push(read_fact(reader)?);
    }
    Some(facts)
}

fn read_fact(reader: &mut Reader<'_>) -> Option<Fact> {
    let kind = reader.u8()?;
    let step = reader.u16()?;
    Some(match kind {
        BEGAN => Fact::Began {
            step,
            attempt: reader.u32()?,
        },
        SUCCEEDED => Fact::Succeeded {
            step,
            output: read_json(reader)?,
        },
        FAILED => Fact::Failed { step },
        DOUBTFUL => Fact::Doubtful { step },
        TURNED => Fact::Turned(read_reason(reader)?),
        UNDOING => Fact::Undoing {
            step,
            attempt: reader.u32()?,
        },
        COMPENSATED => Fact::Compensated { step },
        PARKED => Fact::Parked {
            step,
            reason: read_park_reason(reader.u8()?)?,
        },
        RETRIED => Fact::Retried { step },
        SKIPPED => Fact::Skipped {
            step,
            output: Some(read_json(reader)?),
        },
        DONE_WITHOUT => Fact::Skipped { step, output: None },
        ENDED => Fact::Ended(read_end(reader)?),
        _ => return None,
    })
}

fn put_reason(out: &mut Vec<u8>, reason: Reason) {
    let (kind, step) = match reason {
        Reason::Failed { step } => (1, step),
        Reason::Doubtful { step } => (2, step),
        Reason::Cancelled => (3, 0),
        Reason::Deadline => (4, 0_u16),
    };
    out.push(kind);
    out.extend(step.to_be_bytes());
}

fn read_reason(reader: &mut Reader<'_>) -> Option<Reason> {
    let kind = reader.u8()?;
    let step = reader.u16()?;
    match kind {
        1 => Some(Reason::Failed { step }),
        2 => Some(Reason::Doubtful { step }),
        3 => Some(Reason::Cancelled),
        4 => Some(Reason::Deadline),
        _ => None,
    }
}

pub(super) fn put_end(out: &mut Vec<u8>, end: End) {
    match end {
        End::Completed => out.push(1),
        End::Compensated(reason) => {
            out.push(2);
            put_reason(out, reason);
        }
        End::Abandoned => out.push(3),
    }
}

pub(super) fn read_end(reader: &mut Reader<'_>) -> Option<End> {
    match reader.u8()? {
        1 => Some(End::Completed),
        2 => read_reason(reader).map(End::Compensated),
        3 => Some(End::Abandoned),
        _ => None,
    }
}

pub(super) fn progress_byte(progress: Progress) -> u8 {
    match progress {
        Progress::Waiting => 1,
        Progress::Running => 2,
        Progress::Resting => 3,
        Progress::Succeeded => 4,
        Progress::Failed => 5,
        Progress::Doubtful => 6,
        Progress::Compensating => 7,
        Progress::CompensationResting => 8,
        Progress::Compensated => 9,
        Progress::Parked(reason) => 16 + reason_byte(reason),
    }
}

pub(super) fn read_progress(byte: u8) -> Option<Progress> {
    Some(match byte {
        1 => Progress::Waiting,
        2 => Progress::Running,
        3 => Progress::Resting,
        4 => Progress::Succeeded,
        5 => Progress::Failed,
        6 => Progress::Doubtful,
        7 => Progress::Compensating,
        8 => Progress::CompensationResting,
        9 => Progress::Compensated,
        parked => Progress::Parked(read_park_reason(parked.checked_sub(16)?)?),
    })
}

fn reason_byte(reason: ParkReason) -> u8 {
    match reason {
        ParkReason::Refused => 1,
        ParkReason::Unknown => 2,
        ParkReason::Exhausted => 3,
    }
}

fn read_park_reason(byte: u8) -> Option<ParkReason> {
    match byte {
        1 => Some(ParkReason::Refused),
        2 => Some(ParkReason::Unknown),
        3 => Some(ParkReason::Exhausted),
        _ => None,
    }
}

pub(super) fn read_json(reader: &mut Reader<'_>) -> Option<Json> {
    let text = std::str::from_utf8(reader.bytes_u32()?).ok()?;
    Some(Json::new(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_reason() -> impl Strategy<Value = Reason> {
        prop_oneof![
            any::<u16>().prop_map(|step| Reason::Failed { step }),
            any::<u16>().prop_map(|step| Reason::Doubtful { step }),
            Just(Reason::Cancelled),
            Just(Reason::Deadline),
        ]
    }

    fn any_park() -> impl Strategy<Value = ParkReason> {
        prop_oneof![
            Just(ParkReason::Refused),
            Just(ParkReason::Unknown),
            Just(ParkReason::Exhausted),
        ]
    }

    fn any_fact() -> impl Strategy<Value = Fact> {
        let step = any::<u16>;
        let output = || any::<String>().prop_map(Json::new);
        prop_oneof![
            (step(), any::<u32>()).prop_map(|(step, attempt)| Fact::Began { step, attempt }),
            (step(), output()).prop_map(|(step, output)| Fact::Succeeded { step, output }),
            step().prop_map(|step| Fact::Failed { step }),
            step().prop_map(|step| Fact::Doubtful { step }),
            any_reason().prop_map(Fact::Turned),
            (step(), any::<u32>()).prop_map(|(step, attempt)| Fact::Undoing { step, attempt }),
            step().prop_map(|step| Fact::Compensated { step }),
            (step(), any_park()).prop_map(|(step, reason)| Fact::Parked { step, reason }),
            step().prop_map(|step| Fact::Retried { step }),
            (step(), proptest::option::of(output()))
                .prop_map(|(step, output)| Fact::Skipped { step, output }),
            any_reason().prop_map(|reason| Fact::Ended(End::Compensated(reason))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(facts in proptest::collection::vec(any_fact(), 0..20)) {
            let mut out = Vec::new();
            for fact in &facts {
                put_fact(&mut out, fact);
            }
            prop_assert_eq!(read_facts(&mut Reader::new(&out)), Some(facts));
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_facts(&mut Reader::new(&bytes));
        }
    }
}
