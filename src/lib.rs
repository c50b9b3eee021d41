//! Hookbell turns webhook events into the right message for the right person.
//!
//! The tour, in the direction in which data flows:
//!
//! - [`config`] reads `rules.toml` and gives [`config::Settings`] and [`rules::Rules`], or every problem at once.
//! - [`rules`] says what should happen: who signs how ([`rules::source`]), what holds ([`rules::condition`]), who
//!   hears of it ([`rules::rule`]), in which words ([`rules::template`]) and over which API ([`rules::provider`]).
//!   It is pure: no I/O, no async.
//! - [`journal`] is what was promised and remembered: events, dedupe keys, notifications, attempts.
//! - [`pipeline`] makes it happen: ingest, decide, journal; then claim, render, send, settle.
//! - [`admin`] looks in from outside: health, metrics, the API.
//! - [`app`] wires these together, starts and drains them; [`cli`] has one file for each command.
//! - [`event`], [`clock`], [`secret`], [`http`] and [`telemetry`] are the words and tools that all of them use.

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod event;
pub mod http;
pub mod journal;
pub mod pipeline;
pub mod rules;
pub mod secret;
pub mod telemetry;
