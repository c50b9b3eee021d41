//! The wanted keys of one object: most keys of an event are none of them, and that must be seen at once.

use super::NodeId;

/// Keys with the nodes below them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By mark, then by bytes.
    pub(super) entries: Vec<(Box<str>, NodeId)>,
    /// One bit for each mark that a key has.
    marks: u64,
    /// Where the entries of each mark that is there begin; one more at the end.
    starts: Vec<usize>,
}

/// One of 64 by the length and both ends of a key: it tells the keys of an object apart nearly always.
fn mark(key: &[u8]) -> u64 {
    let (first, last) = (key.first().copied(), key.last().copied());
    let mixed =
        key.len() + 5 * usize::from(first.unwrap_or(0)) + 23 * usize::from(last.unwrap_or(0));
    1 << (mixed % 64)
}

impl Keys {
    /// The node below a key.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<NodeId> {
        let mark = mark(key);
        if self.marks & mark == 0 {
            return None;
        }
        let before = (self.marks & (mark - 1)).count_ones() as usize;
        let same = &self.entries[self.starts[before]..self.starts[before + 1]];
        if let [(only, node)] = same {
            return (only.as_bytes() == key).then_some(*node);
        }
        let found = same.binary_search_by(|(known, _)| known.as_bytes().cmp(key));
        found.ok().map(|at| same[at].1)
    }

    /// Adds a key that isn't there.
    pub(super) fn insert(&mut self, key: Box<str>, node: NodeId) {
        let mark = mark(key.as_bytes());
        let place = self
            .entries
            .partition_point(|(known, _)| (self::mark(known.as_bytes()), &**known) < (mark, &*key));
        self.entries.insert(place, (key, node));
        let before = (self.marks & (mark - 1)).count_ones() as usize;
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        if self.marks & mark == 0 {
            self.starts.insert(before, self.starts[before]);
            self.marks |= mark;
        }
        for start in &mut self.starts[before + 1..] {
            *start += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_was_added_and_nothing_else(
            added in proptest::collection::vec("[ab]{0,4}|[a-z]{1,12}", 0..300),
            asked in proptest::collection::vec("[ab]{0,4}|[a-z]{1,12}", 0..50),
        ) {
            let mut keys = Keys::default();
            let mut expected = BTreeMap::new();
            for (at, key) in added.iter().enumerate() {
                if !expected.contains_key(key) {
                    keys.insert(key.as_str().into(), NodeId(at));
                    expected.insert(key.clone(), NodeId(at));
                }
            }
            for key in added.iter().chain(&asked) {
                prop_assert_eq!(keys.get(key.as_bytes()), expected.get(key).copied());
            }
        }
    }
}
