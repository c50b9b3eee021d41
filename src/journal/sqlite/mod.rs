//! The journal in a SQLite file: for one process, and the default.
//!
//! - [`writer`]: one thread writes, in groups; [`store`] is its connection, [`accept`], [`known`], [`lane`],
//!   [`takeover`] (when a destination fails) and [`retention`] are what it can do. [`checkpoint`] moves the log into the
//!   file on another thread.
//! - [`read`]: short queries on connections of their own; they never wait for the writer.
//! - [`open`], [`lock`], [`wal`], [`schema`]: whether a file can be trusted. [`failure`], [`status`]: when it can't.
//! - [`set_back`]: when the clock can't.

mod accept;
mod checkpoint;
mod failure;
mod known;
mod lane;
mod lock;
mod open;
mod read;
mod retention;
mod schema;
mod set_back;
mod status;
mod store;
mod takeover;
#[cfg(test)]
mod tests;
mod wal;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::OpenFlags;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Accepted, Claim, Claims, Found, InboxMessage, JournalError, NewEvent, OpenError, Options,
    Outcome, Retried, RetrySelection, Successor, Swept, Waiting,
};
use crate::clock::Clock;
use lane::{CHUNK, Chunks};
use read::Readers;
use status::{Observer, Status};
use store::{Keys, Store};
use writer::{IfUnwritable, Op, Order, Sync, Writer};

/// Operations that may wait for the writer; past that, accepts are refused.
const QUEUE: usize = 4_096;

/// A log of so many bytes is moved into the file before the start goes on: as many as the writer lets it have.
const LARGE_LOG: u64 = 64 * 1024 * 1024;

/// A journal in a file.
#[derive(Debug)]
pub(super) struct Sqlite {
    orders: mpsc::Sender<Order>,
    status: Arc<Status>,
    readers: Readers,
    found: Found,
    simulated: bool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    pub(super) async fn open(options: &Options, clock: Clock) -> Result<Self, OpenError> {
        let path = open::path(&options.url)?;
        let keep = options.keep;
        tokio::task::spawn_blocking(move || Self::open_file(&path, keep, clock))
            .await
            .map_err(|err| OpenError(format!("opening the journal failed: {err}")))?
    }

    fn open_file(path: &Path, keep: std::time::Duration, clock: Clock) -> Result<Self, OpenError> {
        let opened = open::open(path, &clock)?;
        let broken = |err: rusqlite::Error| {
            OpenError(format!("can't use the journal `{}`: {err}", path.display()))
        };
        let keys = Keys::load(&opened.conn).map_err(broken)?;
        let simulated = clock.is_simulated();
        let mut store = Store::new(opened.conn, clock, keep, keys).map_err(broken)?;
        let interrupted = recover(&mut store).map_err(broken)?;
        if interrupted > 0 {
            tracing::warn!(
                interrupted,
                "attempts were under way when the last process ended: they are due again and may have been sent"
            );
        }
        let checkpointer =
            open::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(broken)?;

        let status = Arc::new(Status::new());
        let (orders, queue) = mpsc::channel(QUEUE);
        // One request is enough: whoever takes it sees all pages so far.
        let (wanted, wants) = std::sync::mpsc::sync_channel(1);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .map_err(|err| OpenError(format!("can't start a thread for the journal: {err}")))
        };
        let checkpoints = spawn("journal-log", {
            let status = Arc::clone(&status);
            Box::new(move || checkpoint::run(&checkpointer, &status, &wants))
        })?;
        // A kill leaves its log. Processes that are killed again and again would each add to it and never reach the
        // work after which the writer asks for a checkpoint. A large one would be read at each start, so it goes first.
        if open::log_length(path) > LARGE_LOG {
            checkpoint::truncate(store.connection(), &status);
        }
        let _ = wanted.try_send(());
        let runtime = tokio::runtime::Handle::current();
        let writer = Writer::new(store, Arc::clone(&status), runtime.clone(), wanted);
        let lock = opened.lock;
        let writes = spawn("journal-writer", {
            let status = Arc::clone(&status);
            // A simulated clock follows the runtime's time.
            Box::new(move || {
                let _context = runtime.enter();
                let alarm = Alarm(&status);
                let store = writer.run(queue);
                // The writer's end dropped its sender, which ends the other thread.
                let _ = checkpoints.join();
                if status.failure().is_none() {
                    checkpoint::truncate(store.connection(), &status);
                }
                drop(store);
                std::mem::forget(alarm);
                drop(lock);
            })
        })?;
        Ok(Self {
            orders,
            readers: Readers::new(path.to_owned(), keys, Arc::clone(&status)),
            status,
            found: Found { interrupted, damaged: opened.damaged },
            simulated,
            threads: Mutex::new(vec![writes]),
        })
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    pub(super) fn on_commit(&self, observe: Observer) {
        let _ = self.status.observer.set(observe);
    }

    pub(super) async fn remember_rules(
        &self,
        version: &str,
        text: &str,
    ) -> Result<(), JournalError> {
        let (version, text) = (version.to_owned(), text.to_owned());
        self.write(Sync::Disk, IfUnwritable::Refuse, move |s| s.remember_rules(&version, &text))
            .await
    }

    pub(super) async fn accept(&self, event: NewEvent) -> Result<Accepted, JournalError> {
        let (op, answer) =
            Op::new(Sync::Disk, IfUnwritable::Refuse, move |s: &mut Store| s.accept(&event));
        match self.orders.try_send(Order::Write(op)) {
            Ok(()) => self.answer(answer).await,
            Err(mpsc::error::TrySendError::Full(_)) => Err(JournalError::Overloaded(QUEUE)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.gone()),
        }
    }

    pub(super) fn wakes(&self, destination: &str) -> Arc<Notify> {
        self.status.wakes(destination)
    }

    pub(super) async fn claim(
        &self,
        destination: &str,
        most: usize,
    ) -> Result<Claims, JournalError> {
        let destination: Arc<str> = destination.into();
        self.write(Sync::Process, IfUnwritable::Refuse, move |s| s.claim(&destination, most)).await
    }

    pub(super) async fn settle(&self, claim: Claim, outcome: Outcome) -> Result<(), JournalError> {
        self.write(Sync::Process, IfUnwritable::Hold, move |s| s.settle(&claim, &outcome)).await
    }

    pub(super) async fn orphan(&self, known: &[Arc<str>]) -> Result<u64, JournalError> {
        let known: Arc<[Arc<str>]> = known.into();
        self.in_chunks(move |s| s.orphan(&known)).await
    }

    pub(super) async fn give_up(
        &self,
        destination: &str,
        which: Waiting,
        reason: &str,
        successor: Option<Arc<Successor>>,
    ) -> Result<u64, JournalError> {
        let (destination, reason): (Arc<str>, Arc<str>) = (destination.into(), reason.into());
        self.in_chunks(move |s| s.give_up(&destination, which, &reason, successor.as_deref())).await
    }

    pub(super) async fn hasten(&self, destination: &str) -> Result<u64, JournalError> {
        let destination: Arc<str> = destination.into();
        self.in_chunks(move |s| s.hasten(&destination)).await
    }

    pub(super) async fn oldest(
        &self,
        destination: &str,
    ) -> Result<Option<jiff::Timestamp>, JournalError> {
        let destination: Arc<str> = destination.into();
        self.write(Sync::Process, IfUnwritable::Refuse, move |s| s.oldest(&destination)).await
    }

    /// Runs a chunk at a time until one is not full, so that accepts don't wait behind many.
    async fn in_chunks(
        &self,
        run: impl FnMut(&mut Store) -> rusqlite::Result<usize> + Clone + Send + 'static,
    ) -> Result<u64, JournalError> {
        let mut all = 0;
        loop {
            let chunk = self.write(Sync::Process, IfUnwritable::Refuse, run.clone()).await?;
            all += u64::try_from(chunk).unwrap_or(u64::MAX);
            if chunk < CHUNK {
                return Ok(all);
            }
        }
    }

    pub(super) async fn retry(&self, which: RetrySelection) -> Result<Retried, JournalError> {
        let mut all = Retried::default();
        let mut chunks = Chunks::of(which);
        loop {
            let ids = match &mut chunks {
                Chunks::Ids(ids) => ids.by_ref().take(CHUNK).collect(),
                Chunks::Matching { filter, after } => {
                    let Some(from) = *after else { return Ok(all) };
                    let filter = filter.clone();
                    let ids: Vec<i64> = self
                        .write(Sync::Process, IfUnwritable::Refuse, move |s| {
                            s.given_up(&filter, from)
                        })
                        .await?;
                    *after = ids.last().copied();
                    ids
                }
            };
            if ids.is_empty() {
                return Ok(all);
            }
            let chunk =
                self.write(Sync::Disk, IfUnwritable::Refuse, move |s| s.retry(&ids)).await?;
            all.retried.extend(chunk.retried);
            all.refused.extend(chunk.refused);
        }
    }

    pub(super) async fn keep_in_inbox(&self, message: InboxMessage) -> Result<(), JournalError> {
        self.write(Sync::Process, IfUnwritable::Refuse, move |s| s.keep_in_inbox(&message)).await
    }

    pub(super) async fn sweep(&self) -> Result<Swept, JournalError> {
        self.write(Sync::Process, IfUnwritable::Refuse, Store::sweep).await
    }

    pub(super) async fn writable(&self) -> Result<(), JournalError> {
        if let Some(failure) = self.status.failure() {
            return Err(failure);
        }
        if self.orders.is_closed() {
            return Err(JournalError::Closed);
        }
        if !self.status.is_unwritable() {
            return Ok(());
        }
        self.write(Sync::Disk, IfUnwritable::Refuse, Store::probe).await
    }

    pub(super) async fn failed(&self) -> JournalError {
        self.status.failed().await
    }

    pub(super) async fn close(&self) {
        self.readers.close();
        // An error says that it is closed already.
        let _ = self.orders.send(Order::End).await;
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A panic in a thread was reported as the journal's failure.
        let _ = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|t| drop(t.join()));
        })
        .await;
    }

    async fn write<T: Send + 'static>(
        &self,
        sync: Sync,
        if_unwritable: IfUnwritable,
        run: impl FnMut(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (op, answer) = Op::new(sync, if_unwritable, run);
        match self.orders.send(Order::Write(op)).await {
            Ok(()) => self.answer(answer).await,
            Err(_) => Err(self.gone()),
        }
    }

    async fn answer<T: Send + 'static>(
        &self,
        answer: oneshot::Receiver<Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let answer = if self.simulated {
            // Paused time stands still while a blocking task runs, but not while another thread writes.
            tokio::task::spawn_blocking(move || answer.blocking_recv())
                .await
                .ok()
                .and_then(Result::ok)
        } else {
            answer.await.ok()
        };
        answer.unwrap_or_else(|| Err(self.gone()))
    }

    fn gone(&self) -> JournalError {
        self.status.failure().unwrap_or(JournalError::Closed)
    }
}

fn recover(store: &mut Store) -> rusqlite::Result<u64> {
    store.begin(Sync::Disk)?;
    let interrupted = store.recover()?;
    store.commit()?;
    Ok(interrupted)
}

/// Reports the journal's failure if the writer's thread ends by a panic.
struct Alarm<'a>(&'a Status);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.0.fail("the journal's writer ended unexpectedly".into());
    }
}
