//! The medians of this run, read back from where criterion keeps them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::Criterion;

pub(crate) struct Medians(PathBuf);

impl Medians {
    /// Of a bench that is about to run. What an earlier run measured is removed, so that it is not
    /// taken for this one's.
    pub(crate) fn of(bench: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(bench);
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    /// What keeps its results here.
    pub(crate) fn criterion(&self) -> Criterion {
        Criterion::default()
            .output_directory(&self.0)
            .sample_size(30)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2))
            .configure_from_args()
    }

    /// In nanoseconds; `None` where this run did not measure it.
    fn get(&self, group: &str, function: &str, value: &str) -> Option<f64> {
        let path = self.0.join(group).join(function).join(value);
        let estimates = std::fs::read(path.join("new/estimates.json")).ok()?;
        let estimates: serde_json::Value = serde_json::from_slice(&estimates).ok()?;
        estimates.get("median")?.get("point_estimate")?.as_f64()
    }

    /// Prints how long one takes in terms of the other: each a group, a function and a value.
    #[allow(dead_code, reason = "a bench needs one or the other")]
    pub(crate) fn quotient(&self, label: &str, [ours, theirs]: [[&str; 3]; 2], target: &str) {
        let [ours, theirs] =
            [ours, theirs].map(|[group, function, value]| self.get(group, function, value));
        let ratio = match ours.zip(theirs) {
            Some((ours, theirs)) => format!("= {:.2}", ours / theirs),
            None => ": not measured in this run".to_owned(),
        };
        println!("{label} {ratio}  ({target})");
    }

    /// Prints how long one takes in terms of the other.
    #[allow(dead_code, reason = "a bench needs one or the other")]
    pub(crate) fn ratio(
        &self,
        group: &str,
        value: &str,
        [function, bound]: [&str; 2],
        target: &str,
    ) {
        let label = format!("{group} {value:>9}  {function} / {bound}");
        self.quotient(
            &label,
            [[group, function, value], [group, bound, value]],
            target,
        );
    }
}
