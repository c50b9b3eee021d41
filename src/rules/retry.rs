//! When to try again, and when to give up. Pure: the caller brings the time, the chance and the answer's hint.

use std::time::Duration;

/// How a destination is tried again after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The upper bound of the first wait; it doubles with each attempt.
    pub first: Duration,
    /// No wait of ours is longer than this. A provider's own wait hint may be.
    pub longest: Duration,
    /// After so many attempts the notification is given up.
    pub attempts: u32,
    /// After so long since the notification was owed it is given up.
    pub age: Duration,
}
