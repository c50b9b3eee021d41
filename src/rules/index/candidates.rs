//! A set of rules that keeps them in the order of the file.

use std::cell::Cell;

/// Rules to look at, each once. Two levels of bits: adding, forgetting doubles and finding the next in order cost the
/// same for any number of rules.
#[derive(Debug)]
pub(in crate::rules) struct Candidates {
    /// First the summary, one bit for each word of the rest that isn't zero; then one bit a rule.
    words: Vec<u64>,
    /// Where the rest begins.
    rest: usize,
}

const BITS: usize = u64::BITS as usize;

thread_local! {
    /// The words of the last set of this thread, all zero: making so many zeros anew for each event would cost more
    /// than deciding it.
    static ZEROS: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

impl Candidates {
    /// None yet of `rules` rules.
    pub(super) fn none_of(rules: usize) -> Self {
        let words = rules.div_ceil(BITS);
        let rest = words.div_ceil(BITS);
        let mut zeros = ZEROS.take();
        zeros.resize(rest + words, 0);
        Self { words: zeros, rest }
    }

    /// Adds the rule at this place in the file.
    #[inline]
    pub(super) fn add(&mut self, rule: u32) {
        let word = rule as usize / BITS;
        self.words[self.rest + word] |= 1 << (rule as usize % BITS);
        self.words[word / BITS] |= 1 << (word % BITS);
    }

    /// Adds all of them.
    #[inline]
    pub(super) fn add_all<'r>(&mut self, rules: impl IntoIterator<Item = &'r u32>) {
        for rule in rules {
            self.add(*rule);
        }
    }

    /// The places of the rules in ascending order.
    pub(in crate::rules) fn in_order(&self) -> InOrder<'_> {
        let (summary, rest) = self.words.split_at(self.rest);
        InOrder { summary, rest, next: 0, words: 0, word: 0, bits: 0 }
    }
}

impl Drop for Candidates {
    fn drop(&mut self) {
        let mut words = std::mem::take(&mut self.words);
        for at in 0..self.rest {
            let mut left = std::mem::take(&mut words[at]);
            while left != 0 {
                words[self.rest + at * BITS + left.trailing_zeros() as usize] = 0;
                left &= left - 1;
            }
        }
        ZEROS.set(words);
    }
}

/// Goes over the bits that are set.
pub(in crate::rules) struct InOrder<'c> {
    summary: &'c [u64],
    rest: &'c [u64],
    /// Which word of the summary is next.
    next: usize,
    /// What is left of the one before it.
    words: u64,
    /// Which word of the rest is looked at.
    word: usize,
    /// What is left of it.
    bits: u64,
}

impl Iterator for InOrder<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.bits == 0 {
            while self.words == 0 {
                self.words = *self.summary.get(self.next)?;
                self.next += 1;
            }
            self.word = (self.next - 1) * BITS + self.words.trailing_zeros() as usize;
            self.words &= self.words - 1;
            self.bits = self.rest[self.word];
        }
        let bit = self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        Some(self.word * BITS + bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_in_order_and_begins_empty_each_time(
            sets in proptest::collection::vec((1_u32..10_000, proptest::collection::vec(any::<u32>(), 0..200)), 1..4),
        ) {
            for (size, rules) in sets {
                let rules: Vec<u32> = rules.into_iter().map(|rule| rule % size).collect();
                let mut candidates = Candidates::none_of(size as usize);
                candidates.add_all(&rules);
                let expected: BTreeSet<usize> = rules.iter().map(|rule| *rule as usize).collect();
                prop_assert!(candidates.in_order().eq(expected));
            }
        }
    }
}
