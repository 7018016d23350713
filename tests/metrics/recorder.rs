//! Keeps what is told, by name and labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use parking_lot::Mutex;

/// All that was told.
#[derive(Clone, Default)]
pub(crate) struct Recorded(Arc<Mutex<BTreeMap<String, Told>>>);

struct Told {
    kind: &'static str,
    value: f64,
    times: Vec<f64>,
}

/// One name with its labels.
struct Cell(Recorded, String);

impl Recorded {
    /// Of a counter or a gauge; zero, if nothing was told of it.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.0.lock().get(name).map_or(0.0, |told| told.value)
    }

    /// Of a histogram.
    pub(crate) fn times(&self, name: &str) -> Vec<f64> {
        let all = self.0.lock();
        all.get(name)
            .map_or_else(Vec::new, |told| told.times.clone())
    }

    /// Every name without its labels, and what it is.
    pub(crate) fn kinds(&self) -> Vec<(String, &'static str)> {
        let all = self.0.lock();
        let bare = |name: &String| name.split('{').next().unwrap_or_default().to_owned();
        let kinds: BTreeMap<_, _> = all
            .iter()
            .map(|(name, told)| (bare(name), told.kind))
            .collect();
        kinds.into_iter().collect()
    }

    fn cell(&self, key: &Key, kind: &'static str) -> Arc<Cell> {
        let labels = key
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()));
        let labels: Vec<_> = labels.collect();
        let name = match labels.as_slice() {
            [] => key.name().to_owned(),
            labels => format!("{}{{{}}}", key.name(), labels.join(",")),
        };
        let times = Vec::new();
        let value = 0.0;
        let new = || Told { kind, value, times };
        self.0.lock().entry(name.clone()).or_insert_with(new);
        Arc::new(Cell(self.clone(), name))
    }
}

impl Cell {
    fn with(&self, act: impl FnOnce(&mut Told)) {
        if let Some(told) = self.0.0.lock().get_mut(&self.1) {
            act(told);
        }
    }
}

impl CounterFn for Cell {
    fn increment(&self, by: u64) {
        let by = f64::from(u32::try_from(by).expect("tests count little"));
        self.with(|told| told.value += by);
    }

    fn absolute(&self, _: u64) {
        unreachable!("counters are only added to")
    }
}

impl GaugeFn for Cell {
    fn increment(&self, by: f64) {
        self.with(|told| told.value += by);
    }

    fn decrement(&self, by: f64) {
        self.with(|told| told.value -= by);
    }

    fn set(&self, value: f64) {
        self.with(|told| told.value = value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, value: f64) {
        self.with(|told| told.times.push(value));
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key, "counter"))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key, "gauge"))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key, "histogram"))
    }
}
