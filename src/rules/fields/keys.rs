//! The wanted keys of one object: most keys of an event are none of them, and that must be seen at once.

use super::NodeId;

/// Keys with the nodes below them.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By mark, then by bytes.
    pub(super) entries: Vec<(Box<str>, NodeId)>,
    /// Where the entries of each mark begin, and where the last ones end; empty while there are none.
    starts: Vec<usize>,
}

const MARKS: usize = 64;

/// One of 64 by the length and both ends of a key: it tells the keys of an object apart nearly always.
#[inline]
fn mark(key: &[u8]) -> usize {
    let [first, .., last] = key else { return key.len() };
    (key.len() + 5 * usize::from(*first) + 23 * usize::from(*last)) % MARKS
}

impl Keys {
    /// The node below a key.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<NodeId> {
        let mark = mark(key);
        let &[start, end] = self.starts.get(mark..mark + 2)? else { return None };
        match self.entries.get(start..end)? {
            [] => None,
            [(only, node)] => (only.as_bytes() == key).then_some(*node),
            same => {
                let found = same.binary_search_by(|(known, _)| known.as_bytes().cmp(key));
                found.ok().map(|at| same[at].1)
            }
        }
    }

    /// Adds a key that isn't there.
    pub(super) fn insert(&mut self, key: Box<str>, node: NodeId) {
        let mark = mark(key.as_bytes());
        self.starts.resize(MARKS + 1, 0);
        let same = &self.entries[self.starts[mark]..self.starts[mark + 1]];
        let place = same.partition_point(|(known, _)| *known < key);
        self.entries.insert(self.starts[mark] + place, (key, node));
        for start in &mut self.starts[mark + 1..] {
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
