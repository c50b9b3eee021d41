//! Reads just the wanted fields out of an event's JSON, in one pass and without building a tree.

/// The wanted paths, interned: each has a slot.
#[derive(Debug, Default)]
pub struct Fields {}
