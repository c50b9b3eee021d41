//! Logs and metrics: their names, and where they go.
