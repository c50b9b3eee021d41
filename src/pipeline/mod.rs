//! Making it happen: ingest, decide, journal; claim, render, send, settle.
pub mod ingest;
