//! Lanes: one for each destination, so that nobody waits for somebody else.
//!
//! A lane claims what is due for its destination up to its concurrency, has each claim rendered and sent in a task of
//! its own, and settles it. It sleeps until the journal wakes it, an attempt ends, or the next notification is due; a
//! lane at which nothing waits has no timer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::send::{Attempted, Progress, Sender};
use crate::clock::{self, Clock};
use crate::journal::{Claim, InboxMessage, Journal, JournalError, Next, Outcome};
use crate::rules::Rules;
use crate::rules::provider::{Destination, Meaning, Outgoing, Transport, Verdict};
use crate::rules::retry::{self, Retry};
use crate::rules::template::{Context, Message};
use crate::telemetry::Metrics;

/// While something is due later, the clock is looked at this often: it may have been set meanwhile.
const LOOK: Duration = Duration::from_secs(60);
/// How long a lane waits before it asks a journal again that could not answer.
const JOURNAL_PAUSE: Duration = Duration::from_millis(500);

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
    running: Mutex<HashMap<Arc<str>, CancellationToken>>,
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
            running: Mutex::new(HashMap::new()),
        }
    }

    /// Starts a lane for each destination of the rules of the moment that has none, and stops those whose destination
    /// is gone.
    pub fn follow_rules(&self) {
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, stop| {
            let stays = rules.destination(name).is_some();
            if !stays {
                stop.cancel();
            }
            stays
        });
        for destination in &rules.destinations {
            running.entry(Arc::clone(&destination.name)).or_insert_with(|| {
                let stop = self.stop.child_token();
                let lane = Lane {
                    name: Arc::clone(&destination.name),
                    wake: self.delivery.journal.wakes(&destination.name),
                    delivery: Arc::clone(&self.delivery),
                    stop: stop.clone(),
                    closing: self.stop.clone(),
                    abandon: self.abandon.clone(),
                    broken: self.broken.clone(),
                };
                self.tracker.spawn(lane.run());
                stop
            });
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

struct Lane {
    name: Arc<str>,
    wake: Arc<Notify>,
    delivery: Arc<Delivery>,
    /// This lane ends: its destination is gone, or all end.
    stop: CancellationToken,
    /// All lanes end.
    closing: CancellationToken,
    abandon: CancellationToken,
    broken: CancellationToken,
}

/// When the journal is worth asking. It wakes the lane for all that becomes due or is planned, so a lane that found
/// less than it could take needs to ask only when it is woken or the next notification is due: without this, each
/// attempt that ends would cost a question.
#[derive(Clone, Copy)]
enum Look {
    Now,
    At(Instant),
    WhenWoken,
}

impl Lane {
    async fn run(self) {
        // Whatever ends this task but its own decision is a defect: the process stops, and the journal makes the
        // restart safe.
        let alarm = self.broken.clone().drop_guard();
        let mut attempts = JoinSet::new();
        let mut look = Look::Now;
        while let Some(next) = self.turn(&mut attempts, look).await {
            look = next;
        }
        while let Some(ended) = attempts.join_next().await {
            if self.ended(ended).is_none() {
                return;
            }
        }
        alarm.disarm();
        if !self.closing.is_cancelled() {
            self.leave().await;
        }
    }

    /// Claims what it can, then waits for something to happen. None: the lane ends.
    async fn turn(&self, attempts: &mut JoinSet<()>, mut look: Look) -> Option<Look> {
        while let Some(ended) = attempts.try_join_next() {
            self.ended(ended)?;
        }
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let Some(destination) = rules.destination(&self.name) else { return self.unknown().await };
        let free = destination.concurrency.max(1).saturating_sub(attempts.len());
        if matches!(look, Look::Now) && free > 0 && !self.stop.is_cancelled() {
            // Never raced against anything: a claim whose answer is dropped would wait for a restart.
            match self.delivery.journal.claim(&self.name, free).await {
                Ok(claims) => {
                    if claims.claims.len() < free {
                        look = match claims.next_due {
                            Some(due) => Look::At(self.wait_until(due)),
                            None => Look::WhenWoken,
                        };
                    }
                    for claim in claims.claims {
                        attempts.spawn(attempt(
                            Arc::clone(&self.delivery),
                            Arc::clone(&rules),
                            Arc::clone(destination),
                            claim,
                            self.abandon.clone(),
                        ));
                    }
                }
                Err(JournalError::Fatal(_) | JournalError::Closed) => return None,
                Err(JournalError::Overloaded(_) | JournalError::Unwritable(_)) => {
                    look = Look::At(Instant::now() + JOURNAL_PAUSE);
                }
            }
        }
        // After a full claim only an attempt that ends makes room to look again.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            Some(ended) = attempts.join_next() => self.ended(ended).map(|()| look),
            () = self.wake.notified() => Some(Look::Now),
            () = at(look) => Some(Look::Now),
        }
    }

    /// The rules of the moment lack this destination: either this lane is about to be told to stop, or a reload that
    /// fails puts them back.
    async fn unknown(&self) -> Option<Look> {
        let mut rules = self.delivery.rules.clone();
        if rules.borrow_and_update().destination(&self.name).is_some() {
            return Some(Look::Now);
        }
        tokio::select! {
            () = self.stop.cancelled() => None,
            changed = rules.changed() => changed.ok().map(|()| Look::Now),
        }
    }

    /// The destination went while attempts were under way. Those that must be tried again have nobody to do so: they
    /// are given up with the reason, unless the destination has come back with a lane that didn't know of them.
    async fn leave(&self) {
        let rules = Arc::clone(&self.delivery.rules.borrow());
        if rules.destination(&self.name).is_some() {
            self.wake.notify_one();
            return;
        }
        let known: Vec<_> = rules.destinations.iter().map(|d| Arc::clone(&d.name)).collect();
        match self.delivery.journal.orphan(&known).await {
            Ok(0) => {}
            Ok(notifications) => {
                tracing::warn!(destination = %self.name, notifications, "gave up what was under way to a destination that is no longer configured");
            }
            // The next reload or start does it.
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "can't give up what waits for a destination that is no longer configured");
            }
        }
    }

    fn ended(&self, ended: Result<(), JoinError>) -> Option<()> {
        ended
            .inspect_err(|e| {
                tracing::error!(destination = %self.name, error = %e, "an attempt ended without an outcome");
                self.broken.cancel();
            })
            .ok()
    }

    fn wait_until(&self, due: Timestamp) -> Instant {
        Instant::now() + self.delivery.clock.until(due).min(LOOK)
    }
}

/// Sleeps until it is worth looking; for ever if only a wake tells.
async fn at(look: Look) {
    match look {
        Look::At(time) => sleep_until(time).await,
        Look::Now | Look::WhenWoken => std::future::pending().await,
    }
}

/// One attempt, from its claim to its settlement.
async fn attempt(
    delivery: Arc<Delivery>,
    rules: Arc<Rules>,
    destination: Arc<Destination>,
    claim: Claim,
    abandon: CancellationToken,
) {
    let Delivery { journal, clock, metrics, .. } = &*delivery;
    let context =
        Context { event: &claim.event, rule: &claim.rule, destination: &claim.destination };
    let message = rules.templates.render(claim.template.as_deref(), destination.channel, context);
    if let Some(error) = &message.fallback {
        metrics.fallback(&destination.name);
        tracing::warn!(
            notification = claim.id,
            template = claim.template.as_deref().unwrap_or_default(),
            error = %error,
            "the template failed: the built-in text goes out instead"
        );
    }
    let progress = Progress::default();
    let attempted = tokio::select! {
        biased;
        attempted = make(&delivery, &destination, &claim, &message, &progress) => Some(attempted),
        () = abandon.cancelled() => progress.may_be_sent().then(|| {
            Attempted::failed("the bridge stopped before an answer came; it may have been sent".to_owned())
        }),
    };
    let ended = clock.now();
    let status = attempted.as_ref().and_then(|a| a.status);
    let (next, detail) = match attempted {
        Some(attempted) => follow(&destination, &claim, attempted.verdict, ended),
        None => (Next::HandBack, "the bridge stopped before anything was sent".to_owned()),
    };
    // Each destination's own words are masked already; a provider may also repeat what belongs to another.
    let detail = rules.redact(detail);
    metrics.attempt(&destination.name, word(next));
    if next == Next::Sent {
        metrics.end_to_end(clock::elapsed(claim.event.received, ended));
    }
    tell(&claim, next, &detail);
    let outcome = Outcome { next, ended, detail, status, fallback_text: message.fallback.clone() };
    let id = claim.id;
    if let Err(error) = journal.settle(claim, outcome).await {
        // Only a journal that must be reopened refuses; recovery then says that this attempt was interrupted.
        tracing::error!(notification = id, error = %error, "how an attempt ended is not recorded");
    }
}

async fn make(
    delivery: &Delivery,
    destination: &Destination,
    claim: &Claim,
    message: &Message,
    progress: &Progress,
) -> Attempted {
    let now = delivery.clock.now();
    match &destination.transport {
        Transport::Inbox => {
            let kept = delivery.journal.keep_in_inbox(InboxMessage {
                notification: claim.id,
                destination: destination.name.to_string(),
                provider: destination.provider.to_string(),
                rule: claim.rule.to_string(),
                recipient: claim.recipient.as_deref().map(str::to_owned),
                subject: message.subject.clone(),
                text: message.text.clone(),
                html: message.html.clone(),
                at: now,
            });
            match kept.await {
                Ok(()) => Attempted::sent("kept in the inbox"),
                Err(e) => Attempted::failed(e.to_string()),
            }
        }
        Transport::Http(_) | Transport::Smtp(_) | Transport::Console => {
            let outgoing = Outgoing {
                message,
                key: claim.key,
                rule: &claim.rule,
                destination: &claim.destination,
                recipient: claim.recipient.as_deref(),
                event: &claim.event,
                now,
            };
            delivery.sender.attempt(destination, &outgoing, progress).await
        }
    }
}

/// What follows from a verdict, and what a person reads of it.
fn follow(
    destination: &Destination,
    claim: &Claim,
    verdict: Verdict,
    now: Timestamp,
) -> (Next, String) {
    let Verdict { meaning, detail } = verdict;
    let hint = match meaning {
        Meaning::Sent => return (Next::Sent, detail),
        Meaning::Final | Meaning::Stop => return (Next::GaveUp, detail),
        Meaning::Retry { after } => after,
    };
    let policy = &destination.retry;
    match retry::after(policy, claim.attempt, claim.created, now, hint, fastrand::f64()) {
        Retry::At(at) => (Next::RetryAt(at), detail),
        Retry::GiveUp(reason) => (Next::GaveUp, format!("{reason}; the last: {detail}")),
    }
}

fn word(next: Next) -> &'static str {
    match next {
        Next::Sent => "sent",
        Next::RetryAt(_) => "retry",
        Next::GaveUp => "gave_up",
        Next::HandBack => "handed_back",
    }
}

fn tell(claim: &Claim, next: Next, detail: &str) {
    let Claim { id, destination, rule, attempt, .. } = claim;
    match next {
        Next::Sent => {
            tracing::debug!(notification = id, %destination, %rule, attempt, detail, "sent");
        }
        Next::RetryAt(at) => {
            tracing::info!(notification = id, %destination, %rule, attempt, detail, %at, "will be tried again");
        }
        Next::GaveUp => {
            tracing::warn!(notification = id, %destination, %rule, attempt, detail, "gave up");
        }
        Next::HandBack => {}
    }
}
