//! Conditions: a small subset of CEL, compiled at load.

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {}
