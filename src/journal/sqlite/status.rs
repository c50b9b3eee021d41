//! What the journal's threads and callers know of each other: failed, unable to write, who waits for what.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, watch};

use super::super::{Commit, JournalError};

/// Called after each commit.
pub(super) type Observer = Box<dyn Fn(Commit) + Send + Sync>;

/// Shared by the handle, the writer and the checkpointer.
pub(super) struct Status {
    failed: watch::Sender<Option<String>>,
    unwritable: Mutex<Option<String>>,
    wakes: Mutex<HashMap<Arc<str>, Arc<Notify>>>,
    /// Called after each commit.
    pub(super) observer: OnceLock<Observer>,
    /// Pages in the write-ahead log, as of the last checkpoint.
    pub(super) log_pages: AtomicU64,
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Status")
            .field("failed", &*self.failed.borrow())
            .field("log_pages", &self.log_pages.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            failed: watch::Sender::new(None),
            unwritable: Mutex::default(),
            wakes: Mutex::default(),
            observer: OnceLock::new(),
            log_pages: AtomicU64::new(0),
        }
    }

    /// From now on every call is answered with this. The first reason stays.
    pub(super) fn fail(&self, reason: String) {
        self.failed.send_if_modified(|failed| {
            if failed.is_some() {
                return false;
            }
            tracing::error!(%reason, "the journal failed: nothing more is accepted or sent");
            *failed = Some(reason);
            true
        });
    }

    /// The failure, once there is one.
    pub(super) fn failure(&self) -> Option<JournalError> {
        self.failed.borrow().clone().map(JournalError::Fatal)
    }

    /// Resolves when there is a failure.
    pub(super) async fn failed(&self) -> JournalError {
        let mut failed = self.failed.subscribe();
        let reason = match failed.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender is in `self`.
            Err(_) => std::future::pending().await,
        };
        JournalError::Fatal(reason)
    }

    /// A write failed in a way that may pass.
    pub(super) fn unwritable(&self, reason: &str) {
        let mut held = lock(&self.unwritable);
        if held.is_none() {
            tracing::error!(%reason, "the journal can't write: events are refused until it can again");
        }
        *held = Some(reason.to_owned());
    }

    /// Why the last write failed, if it did.
    pub(super) fn is_unwritable(&self) -> bool {
        lock(&self.unwritable).is_some()
    }

    /// A write succeeded. After a time without, all lanes look for work again.
    pub(super) fn written(&self) {
        if lock(&self.unwritable).take().is_some() {
            tracing::info!("the journal can write again");
            for wake in lock(&self.wakes).values() {
                wake.notify_one();
            }
        }
    }

    /// What is notified when something becomes due for `destination`.
    pub(super) fn wakes(&self, destination: &str) -> Arc<Notify> {
        let mut wakes = lock(&self.wakes);
        match wakes.get(destination) {
            Some(wake) => Arc::clone(wake),
            None => Arc::clone(wakes.entry(destination.into()).or_default()),
        }
    }

    /// Something became due for `destination`. Without a lane there is nobody to tell.
    pub(super) fn wake(&self, destination: &str) {
        if let Some(wake) = lock(&self.wakes).get(destination) {
            wake.notify_one();
        }
    }
}

/// A panic elsewhere leaves these plain values whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
