//! The loop of one destination.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::attempt::{Told, attempt, successor};
use super::flow::{Flow, Turn};
use super::pace::Paces;
use crate::clock;
use crate::journal::{JournalError, Waiting};
use crate::rules::Rules;
use crate::rules::provider::{Destination, OnAmbiguous};

/// While something is due later, the clock is looked at this often: it may have been set meanwhile.
const LOOK: Duration = Duration::from_secs(60);
/// How long a lane waits before it asks a journal again that could not answer.
const JOURNAL_PAUSE: Duration = Duration::from_millis(500);

/// One destination's lane.
pub(super) struct Lane {
    pub(super) name: Arc<str>,
    pub(super) wake: Arc<Notify>,
    /// A person changed something: a halted destination gets a new chance.
    pub(super) resume: Arc<Notify>,
    pub(super) paces: Arc<Paces>,
    pub(super) delivery: Arc<Delivery>,
    /// This lane ends: its destination is gone, or all end.
    pub(super) stop: CancellationToken,
    /// All lanes end.
    pub(super) closing: CancellationToken,
    pub(super) abandon: CancellationToken,
    pub(super) broken: CancellationToken,
}

/// When the journal is worth asking. It wakes the lane for all that becomes due or is planned, so a lane that found
/// less than it could take needs to ask only when it is woken or the next notification is due: without this, each
/// attempt that ends would cost a question.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    Now,
    At(Instant),
    WhenWoken,
}

/// What a lane knows from one turn to the next.
struct State {
    attempts: JoinSet<Told>,
    flow: Flow,
    look: Look,
    /// When what waits for a destination that fails is worth a look: its fallback takes over, or it is too old.
    relief: Option<Instant>,
    /// How the last attempt that failed ended, and when: why it is failing.
    why: String,
}

impl Lane {
    /// Runs until it is stopped.
    pub(super) async fn run(self) {
        // Whatever ends this task but its own decision is a defect: the process stops, and the journal makes the
        // restart safe.
        let alarm = self.broken.clone().drop_guard();
        let mut state = State {
            attempts: JoinSet::new(),
            flow: Flow::new(),
            look: Look::Now,
            relief: None,
            why: String::new(),
        };
        self.delivery.metrics.destination_up(&self.name, true);
        let running = self.begin().await;
        while running.is_some() && self.turn(&mut state).await.is_some() {}
        while let Some(ended) = state.attempts.join_next().await {
            if self.ended(&mut state, ended).await.is_none() {
                return;
            }
        }
        alarm.disarm();
        if !self.closing.is_cancelled() {
            self.leave().await;
        }
    }

    /// What the last process left half done and must not be done twice.
    async fn begin(&self) -> Option<()> {
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let Some(destination) = rules.destination(&self.name) else { return Some(()) };
        let journal = &self.delivery.journal;
        if destination.on_ambiguous == OnAmbiguous::Park && journal.found().interrupted > 0 {
            let why = "not tried again, for it may have been sent (`on_ambiguous` is \"park\"): the process ended \
                       while an attempt ran";
            self.give_up(&rules, destination, Waiting::Interrupted, why).await?;
        }
        Some(())
    }

    /// Claims what it can, then waits for something to happen. None: the lane ends.
    async fn turn(&self, state: &mut State) -> Option<()> {
        while let Some(ended) = state.attempts.try_join_next() {
            self.ended(state, ended).await?;
        }
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let Some(destination) = rules.destination(&self.name) else {
            state.look = Look::Now;
            return self.unknown().await;
        };
        let mut opens = None;
        if state.look == Look::Now && !self.stop.is_cancelled() {
            opens = self.claim(state, &rules, destination).await?;
            state.relief = self.relieve(state, &rules, destination).await?;
        }
        // After a full claim only an attempt that ends, or time, makes room to look again.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            Some(ended) = state.attempts.join_next() => self.ended(state, ended).await?,
            () = self.wake.notified() => state.look = Look::Now,
            () = self.resume.notified() => self.resumed(state),
            () = at(state.look) => state.look = Look::Now,
            () = until(opens) => {}
            () = until(state.relief) => state.look = Look::Now,
        }
        Some(())
    }

    /// Begins as many attempts as there is room for. When time will make more room.
    async fn claim(
        &self,
        state: &mut State,
        rules: &Arc<Rules>,
        destination: &Arc<Destination>,
    ) -> Option<Option<Instant>> {
        let now = Instant::now();
        let room = state.flow.room(now, destination.concurrency.max(1), state.attempts.len());
        if room == 0 {
            return Some(state.flow.opens(now));
        }
        let pace = destination.rate.map(|rate| (self.paces.of(&destination.rate_group), rate));
        let most = pace.as_ref().map_or(room, |(pace, rate)| pace.take(now, *rate, room));
        if most == 0 {
            return Some(pace.and_then(|(pace, rate)| pace.opens(now, rate)));
        }
        // Never raced against anything: a claim whose answer is dropped would wait for a restart.
        let claimed = match self.delivery.journal.claim(&self.name, most).await {
            Ok(claimed) => claimed,
            Err(JournalError::Fatal(_) | JournalError::Closed) => return None,
            Err(JournalError::Overloaded(_) | JournalError::Unwritable(_)) => {
                state.look = Look::At(now + JOURNAL_PAUSE);
                return Some(None);
            }
        };
        if let Some((pace, _)) = pace {
            pace.give_back(most - claimed.claims.len());
        }
        if claimed.claims.len() < most {
            state.look = match claimed.next_due {
                Some(due) => Look::At(self.wait_until(due)),
                None => Look::WhenWoken,
            };
        }
        for claim in claimed.claims {
            state.attempts.spawn(attempt(
                Arc::clone(&self.delivery),
                Arc::clone(rules),
                Arc::clone(destination),
                claim,
                self.abandon.clone(),
            ));
        }
        Some(None)
    }

    /// Sees to what waits for a destination that fails. When that is worth another look.
    async fn relieve(
        &self,
        state: &State,
        rules: &Rules,
        destination: &Destination,
    ) -> Option<Option<Instant>> {
        let now = Instant::now();
        let Some(broken) = state.flow.broken_for(now) else { return Some(None) };
        let halted = state.flow.halted();
        let since = self.delivery.clock.now() - clock::duration(broken);
        let state_word = if halted { "halted" } else { "failing" };
        let why = format!("`{}` has been {state_word} since {since:.0}: {}", self.name, state.why);
        if let Some(fallback) = &destination.fallback {
            if halted || broken >= fallback.after {
                self.give_up(rules, destination, Waiting::All, &why).await?;
                return Some(None);
            }
            return Some(Some(now + (fallback.after - broken)));
        }
        if !halted {
            // Attempts go on, and notice what is too old.
            return Some(None);
        }
        let age = clock::duration(destination.retry.age);
        let too_old = Waiting::OwedBefore(self.delivery.clock.now() - age);
        self.give_up(rules, destination, too_old, &why).await?;
        match self.delivery.journal.oldest(&self.name).await {
            Ok(oldest) => Some(oldest.map(|oldest| self.wait_until(oldest + age))),
            Err(error) => self.unavailable(&error).map(|()| Some(now + JOURNAL_PAUSE)),
        }
    }

    async fn give_up(
        &self,
        rules: &Rules,
        destination: &Destination,
        which: Waiting,
        why: &str,
    ) -> Option<()> {
        let successor = successor(rules, destination);
        let to = successor.as_ref().map(|s| Arc::clone(&s.destination));
        match self.delivery.journal.give_up(&self.name, which, why, successor).await {
            Ok(0) => Some(()),
            Ok(notifications) => {
                let to = to.as_deref().unwrap_or("nobody");
                tracing::warn!(destination = %self.name, notifications, fallback = to, why, "gave up what waited");
                Some(())
            }
            // The next look does it.
            Err(error) => self.unavailable(&error),
        }
    }

    /// None if the journal is gone for good.
    fn unavailable(&self, error: &JournalError) -> Option<()> {
        match error {
            JournalError::Fatal(_) | JournalError::Closed => None,
            JournalError::Overloaded(_) | JournalError::Unwritable(_) => {
                tracing::warn!(destination = %self.name, %error, "what waits stays as it is for now");
                Some(())
            }
        }
    }

    /// The rules of the moment lack this destination: either this lane is about to be told to stop, or a reload that
    /// fails puts them back.
    async fn unknown(&self) -> Option<()> {
        let mut rules = self.delivery.rules.clone();
        if rules.borrow_and_update().destination(&self.name).is_some() {
            return Some(());
        }
        tokio::select! {
            () = self.stop.cancelled() => None,
            changed = rules.changed() => changed.ok(),
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
        self.delivery.metrics.forget_destination(&self.name);
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

    /// Takes note of an attempt that ended. None if it ended without an outcome.
    async fn ended(&self, state: &mut State, ended: Result<Told, JoinError>) -> Option<()> {
        let told = ended
            .inspect_err(|e| {
                tracing::error!(destination = %self.name, error = %e, "an attempt ended without an outcome");
                self.broken.cancel();
            })
            .ok()?;
        let Some(sign) = told.sign else { return Some(()) };
        let now = Instant::now();
        let rules = Arc::clone(&self.delivery.rules.borrow());
        let policy = rules.destination(&self.name).map(|d| d.retry).unwrap_or_default();
        if let Some(wait) = told.wait {
            state.flow.pause(now, wait);
        }
        let turn = state.flow.ended(now, sign, &policy, fastrand::f64());
        let detail = told.detail;
        match turn {
            None => {}
            Some(Turn::Failing) => {
                self.delivery.metrics.destination_up(&self.name, false);
                tracing::warn!(destination = %self.name, detail, "is failing: one attempt at a time until it works again");
                state.look = Look::Now;
            }
            Some(Turn::Halted) => {
                self.delivery.metrics.destination_up(&self.name, false);
                tracing::error!(destination = %self.name, detail, "is gone: nothing is sent there until a reload, a restart or `hookbell retry`");
                state.look = Look::Now;
            }
            Some(Turn::Well) => {
                self.delivery.metrics.destination_up(&self.name, true);
                tracing::info!(destination = %self.name, "works again");
                // What failed before is due at once, the oldest first, and the flow starts slowly.
                if let Err(error) = self.delivery.journal.hasten(&self.name).await {
                    self.unavailable(&error)?;
                }
                state.look = Look::Now;
            }
        }
        if state.flow.broken_for(now).is_some() {
            state.why = detail;
        }
        Some(())
    }

    fn resumed(&self, state: &mut State) {
        if state.flow.halted() {
            tracing::info!(destination = %self.name, "gets a new chance");
            state.flow.resume();
            self.delivery.metrics.destination_up(&self.name, true);
            state.look = Look::Now;
        }
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

/// Sleeps until then; for ever if there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
