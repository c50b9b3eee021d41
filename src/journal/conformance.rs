//! What the journal promises, each promise a test that every backend runs.
