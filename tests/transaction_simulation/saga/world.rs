//! What a schedule of sagas has in common.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::book::Book;
use super::draft::Draft;
use super::flaw::Flaw;
use super::service::Service;
use crate::chronicle::Chronicle;
use crate::network::Weather;
use crate::random::Random;

#[derive(Debug)]
pub struct World {
    pub flaw: Option<Flaw>,
    pub drafts: Vec<Arc<Draft>>,
    /// For how many milliseconds a saga that is over is remembered.
    pub retention: u64,
    pub service: Service,
    pub book: Mutex<Book>,
    /// The latest epoch of the log.
    pub latest: AtomicU64,
    page: Arc<Chronicle>,
}

impl World {
    pub fn new(random: &Random, weather: Weather, flaw: Option<Flaw>, told: bool) -> Arc<Self> {
        let mut drawn = random.fork(1);
        let mut drafts = vec![
            Draft::draw(&mut drawn, "one", 1),
            Draft::draw(&mut drawn, "one", 2),
        ];
        if drawn.chance(500) {
            drafts.push(Draft::draw(&mut drawn, "two", 1));
        }
        Arc::new(Self {
            flaw,
            drafts: drafts.into_iter().map(Arc::new).collect(),
            retention: if drawn.chance(850) { 30_000 } else { 0 },
            service: Service::default(),
            book: Mutex::default(),
            latest: AtomicU64::new(0),
            page: Arc::new(Chronicle::new(random.fork(2), weather, told)),
        })
    }

    pub fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether those who start a saga again find it, also when it is over.
    pub fn remembers(&self) -> bool {
        self.retention > 0
    }
}

impl Deref for World {
    type Target = Arc<Chronicle>;

    fn deref(&self) -> &Self::Target {
        &self.page
    }
}
