//! The real binary against real receivers on loopback: what a person may rely on, stated as tests.
//!
//! Every test starts a bridge of its own in a folder of its own, every port is 0, and every wait is for a condition,
//! so the tests run side by side. `./test` installs what they need beside Rust (Python's aiosmtpd, openssl, the
//! libraries by which senders sign).
#![expect(clippy::unwrap_used, reason = "the whole crate is a test; a panic is how it fails")]
#![expect(
    clippy::print_stderr,
    reason = "a failing test shows the bridge's log, the crash test its seed"
)]

mod admin;
mod cli;
mod clock;
mod conditions;
mod crash;
mod damage;
mod docs;
mod durability;
mod editor;
mod explain;
mod harness;
mod hostile;
mod https;
mod intake;
mod mail;
mod policy;
mod secrets;
mod sending;
mod signers;
mod slow;
mod support;
mod trials;
mod way;
mod writing;
