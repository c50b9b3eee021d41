//! Lanes: one for each destination, so that nobody waits for somebody else.
//!
//! A [`lane`] claims what is due for its destination, as much as its [`flow`] and [`pace`] allow, has each claim
//! rendered and sent as an [`attempt`] in a task of its own, and settles it. It sleeps until the journal wakes it, an
//! attempt ends, or the next notification is due; a lane at which nothing waits has no timer.

mod attempt;
mod flow;
mod lane;
mod pace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::lane::Lane;
use self::pace::Paces;
use super::send::Sender;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::rules::Rules;
use crate::telemetry::Metrics;

/// What every attempt needs.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Where claims come from and outcomes go.
    pub journal: Journal,
    /// The rules of the moment.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// What sends.
    pub sender: Sender,
    /// The wall clock.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// The lanes of all destinations.
#[derive(Debug)]
pub struct Lanes {
    delivery: Arc<Delivery>,
    /// Stops claiming; attempts under way are finished.
    stop: CancellationToken,
    /// Ends the attempts under way: the grace period is over.
    abandon: CancellationToken,
    /// Cancelled when a lane fails in a way that must end the process.
    broken: CancellationToken,
    tracker: TaskTracker,
    paces: Arc<Paces>,
    running: Mutex<HashMap<Arc<str>, Running>>,
}

/// How a lane is told something.
#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    resume: Arc<Notify>,
}

impl Lanes {
    /// Lanes for nobody yet; `broken` is cancelled when the process must not go on.
    pub fn new(delivery: Delivery, broken: CancellationToken) -> Self {
        Self {
            delivery: Arc::new(delivery),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
            broken,
            tracker: TaskTracker::new(),
            paces: Arc::default(),
            running: Mutex::new(HashMap::new()),
        }
    }

    /// Starts a lane for each destination of the rules of the moment that has none, and stops those whose destination
    /// is gone.
    pub fn follow_rules(&self) {
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, lane| {
            let stays = rules.destination(name).is_some();
            if stays {
                // Its settings may have been mended.
                lane.resume.notify_one();
            } else {
                lane.stop.cancel();
            }
            stays
        });
        for destination in &rules.destinations {
            running.entry(Arc::clone(&destination.name)).or_insert_with(|| {
                let stop = self.stop.child_token();
                let resume = Arc::new(Notify::new());
                let lane = Lane {
                    name: Arc::clone(&destination.name),
                    wake: self.delivery.journal.wakes(&destination.name),
                    resume: Arc::clone(&resume),
                    paces: Arc::clone(&self.paces),
                    delivery: Arc::clone(&self.delivery),
                    stop: stop.clone(),
                    closing: self.stop.clone(),
                    abandon: self.abandon.clone(),
                    broken: self.broken.clone(),
                };
                self.tracker.spawn(lane.run());
                Running { stop, resume }
            });
        }
    }

    /// A person acts: a halted lane (all of them if none is named) gets a new chance.
    pub fn resume(&self, destination: Option<&str>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, lane) in
            running.iter().filter(|(name, _)| destination.is_none_or(|d| *d == ***name))
        {
            lane.resume.notify_one();
        }
    }

    /// Stops claiming and waits until the attempts under way have ended and are settled.
    pub async fn drain(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends the attempts that are still under way and waits until that is recorded, at most `limit`: what was not sent
    /// is handed back as if it had never been tried; what may have been sent is tried again after the next start.
    pub async fn hand_back(&self, limit: Duration) {
        self.abandon.cancel();
        let _ = timeout(limit, self.tracker.wait()).await;
    }

    /// How many lanes still have attempts under way.
    pub fn busy(&self) -> usize {
        self.tracker.len()
    }
}
