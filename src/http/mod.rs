//! The accept loop that both listeners share.
