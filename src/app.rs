//! The wiring: start and drain.
