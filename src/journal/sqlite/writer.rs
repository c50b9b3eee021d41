//! The one thread that writes: takes what is queued, commits it together, then answers.
//!
//! A batch is whatever waits when the writer is free, so it commits at once when idle and in groups under load (where
//! it also waits a moment, see [`COMPANY`]). What the batch holds decides whether its commit waits for the disk: a new event, a retry and the rules' text do
//! ([`Sync::Disk`]); claims and settlements need not ([`Sync::Process`]): they survive `kill -9`, and after a power
//! cut a lost one means at most a repeated attempt under the same idempotency key.
//!
//! An operation is a closure that may run more than once: if one in a batch fails, the batch is rolled back and each
//! runs alone. Nothing is answered before the commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::{Commit, JournalError};
use super::failure::{Reach, reach};
use super::status::Status;
use super::store::Store;

/// The most operations in one commit: bounds how long the first of them waits for the others.
const BATCH: usize = 256;
/// The last batch had so many operations: the journal is busy, and a smaller one than [`ENOUGH`] waits a moment for
/// company. Else, of those who wait for an answer, one half would always be on its way while the other is committed,
/// and claims and settlements, whose commits are quick, would go in ones and twos. Each commit costs an fsync and the
/// pages that every commit writes.
const BUSY: usize = 8;
/// So many operations are company enough.
const ENOUGH: usize = 64;
/// How long a batch waits for company: a fraction of what a commit takes.
const COMPANY: Duration = Duration::from_micros(300);
/// How often held-back settlements are tried while the journal can't write.
const AGAIN: Duration = Duration::from_millis(250);
/// So many operations after the last checkpoint, the checkpointer has something worth its fsyncs.
const CHECKPOINT_AFTER: usize = 1_000;
/// Pages in the log past which the writer itself checkpoints between two batches (8 MB). Only a checkpoint that
/// no write overtakes lets SQLite start the log anew, so under steady load the checkpointer alone never gets there.
/// A short log is written over and over: that needs no new blocks, which each fsync of a growing file has to record.
const LOG_PAGES: u64 = 2_000;

/// How safe a commit must be before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sync {
    /// Survives the end of the process.
    Process,
    /// Survives a power cut.
    Disk,
}

/// What happens to an operation while nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IfUnwritable {
    /// Its caller is told.
    Refuse,
    /// It waits until it can be written.
    Hold,
}

/// One thing to write.
pub(super) struct Op {
    sync: Sync,
    if_unwritable: IfUnwritable,
    task: Box<dyn Task>,
}

impl Op {
    /// An operation and where its answer arrives. `run` may be called more than once.
    pub(super) fn new<T: Send + 'static>(
        sync: Sync,
        if_unwritable: IfUnwritable,
        run: impl FnMut(&mut Store) -> rusqlite::Result<T> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, JournalError>>) {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Closure { run, done: None, reply });
        (Self { sync, if_unwritable, task }, answer)
    }
}

trait Task: Send {
    fn run(&mut self, store: &mut Store) -> rusqlite::Result<()>;
    fn answer(self: Box<Self>, outcome: Result<(), JournalError>);
}

struct Closure<T, F> {
    run: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T, JournalError>>,
}

impl<T: Send, F: FnMut(&mut Store) -> rusqlite::Result<T> + Send> Task for Closure<T, F> {
    fn run(&mut self, store: &mut Store) -> rusqlite::Result<()> {
        self.done = Some((self.run)(store)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), JournalError>) {
        let answer = match (outcome, self.done) {
            (Ok(()), Some(done)) => Ok(done),
            (Ok(()), None) => Err(JournalError::Closed),
            (Err(err), _) => Err(err),
        };
        // The caller may have gone away; what it asked for is done all the same.
        let _ = self.reply.send(answer);
    }
}

/// What is sent to the writer.
pub(super) enum Order {
    /// Write this.
    Write(Op),
    /// Write what was queued before, then end.
    End,
}

/// Adds what waits to the batch, as far as there is room; whether the writer is to end.
fn gather(orders: &mut mpsc::Receiver<Order>, batch: &mut Vec<Op>) -> bool {
    while batch.len() < BATCH {
        match orders.try_recv() {
            Ok(Order::Write(op)) => batch.push(op),
            Ok(Order::End) => return true,
            Err(_) => break,
        }
    }
    false
}

/// The writer's state.
pub(super) struct Writer {
    store: Store,
    status: Arc<Status>,
    runtime: Handle,
    checkpoint: SyncSender<()>,
    since_checkpoint: usize,
    /// How many operations the last batch had.
    last: usize,
    held: Vec<Op>,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        status: Arc<Status>,
        runtime: Handle,
        checkpoint: SyncSender<()>,
    ) -> Self {
        Self { store, status, runtime, checkpoint, since_checkpoint: 0, last: 0, held: Vec::new() }
    }

    /// Writes until told to end or until nobody is left who could ask; gives the store back.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) -> Store {
        let mut batch = Vec::with_capacity(BATCH);
        let mut ending = false;
        while !ending {
            if self.held.is_empty() {
                match orders.blocking_recv() {
                    Some(Order::Write(op)) => batch.push(op),
                    Some(Order::End) | None => ending = true,
                }
            } else {
                // Only while the journal can't write: not a cost of being idle.
                std::thread::sleep(AGAIN);
                ending = orders.is_closed() && orders.is_empty();
                batch.append(&mut self.held);
            }
            ending |= gather(&mut orders, &mut batch);
            if self.last >= BUSY && batch.len() < ENOUGH {
                std::thread::sleep(COMPANY);
                ending |= gather(&mut orders, &mut batch);
            }
            self.last = batch.len();
            self.write(std::mem::take(&mut batch));
        }
        orders.close();
        while let Some(order) = orders.blocking_recv() {
            if let Order::Write(op) = order {
                self.write(vec![op]);
            }
        }
        let held = std::mem::take(&mut self.held);
        self.write(held);
        for op in self.held {
            op.task.answer(Err(JournalError::Closed));
        }
        self.store
    }

    fn write(&mut self, mut batch: Vec<Op>) {
        if batch.is_empty() {
            return;
        }
        if let Some(failure) = self.status.failure() {
            return batch.into_iter().for_each(|op| op.task.answer(Err(failure.clone())));
        }
        let begun = Instant::now();
        let outcome = self.transact(&mut batch);
        match outcome {
            Ok(()) => self.committed(batch, begun),
            Err(err) => self.not_committed(batch, &err),
        }
    }

    fn transact(&mut self, batch: &mut [Op]) -> rusqlite::Result<()> {
        let sync = batch.iter().map(|op| op.sync).max().unwrap_or(Sync::Disk);
        self.store.begin(sync)?;
        for op in batch {
            op.task.run(&mut self.store)?;
        }
        self.store.commit()
    }

    fn committed(&mut self, batch: Vec<Op>, begun: Instant) {
        let events = self.store.committed(&self.status);
        self.status.written();
        self.since_checkpoint += batch.len();
        self.answer(batch);
        if let Some(observe) = self.status.observer.get() {
            observe(Commit { elapsed: begun.elapsed(), events });
        }
        if self.since_checkpoint >= CHECKPOINT_AFTER {
            self.checkpoint();
        }
    }

    /// Tells all of a batch. A task of the runtime does it, as waking each caller from this thread would take a lock
    /// and often a system call for each.
    fn answer(&self, batch: Vec<Op>) {
        let answer = |batch: Vec<Op>| batch.into_iter().for_each(|op| op.task.answer(Ok(())));
        if batch.len() == 1 {
            answer(batch);
        } else {
            self.runtime.spawn(async move { answer(batch) });
        }
    }

    fn checkpoint(&mut self) {
        self.since_checkpoint = 0;
        if self.status.log_pages.load(Ordering::Relaxed) > LOG_PAGES {
            self.status.log_pages.store(0, Ordering::Relaxed);
            super::checkpoint::passive(self.store.connection(), &self.status);
        }
        match self.checkpoint.try_send(()) {
            // One is under way or asked for already; it will see these pages too.
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => {
                self.status.fail("the checkpointing thread ended".into());
            }
        }
    }

    fn not_committed(&mut self, batch: Vec<Op>, err: &rusqlite::Error) {
        let reach = reach(err);
        let message = err.to_string();
        if reach == Reach::Journal {
            // Not even a rollback: nothing is touched any more.
            self.status.fail(message.clone());
            let failure = JournalError::Fatal(message);
            return batch.into_iter().for_each(|op| op.task.answer(Err(failure.clone())));
        }
        if let Err(err) = self.store.rollback() {
            self.status.fail(format!("a rollback failed: {err}"));
        }
        if reach == Reach::Writing {
            self.status.unwritable(&message);
            for op in batch {
                match op.if_unwritable {
                    IfUnwritable::Hold => self.held.push(op),
                    IfUnwritable::Refuse => {
                        op.task.answer(Err(JournalError::Unwritable(message.clone())));
                    }
                }
            }
        } else if batch.len() > 1 {
            batch.into_iter().for_each(|op| self.write(vec![op]));
        } else {
            tracing::error!(reason = %message, "an operation on the journal failed");
            for op in batch {
                op.task.answer(Err(JournalError::Unwritable(message.clone())));
            }
        }
    }
}
