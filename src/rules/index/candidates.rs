//! A set of rules that keeps them in the order of the file.

/// Rules to look at, each once. Two levels of bits: adding, forgetting doubles and finding the next in order cost the
/// same for any number of rules.
#[derive(Debug)]
pub(in crate::rules) struct Candidates {
    /// One bit a rule.
    rules: Vec<u64>,
    /// One bit for each of `rules` that isn't zero.
    summary: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;

impl Candidates {
    /// None yet of `rules` rules.
    pub(super) fn none_of(rules: usize) -> Self {
        let words = rules.div_ceil(BITS);
        Self { rules: vec![0; words], summary: vec![0; words.div_ceil(BITS)] }
    }

    /// Adds the rule at this place in the file.
    #[inline]
    pub(super) fn add(&mut self, rule: u32) {
        let word = rule as usize / BITS;
        self.rules[word] |= 1 << (rule as usize % BITS);
        self.summary[word / BITS] |= 1 << (word % BITS);
    }

    /// Adds all of them.
    #[inline]
    pub(super) fn add_all<'r>(&mut self, rules: impl IntoIterator<Item = &'r u32>) {
        for rule in rules {
            self.add(*rule);
        }
    }

    /// The places of the rules in ascending order.
    pub(in crate::rules) fn in_order(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.summary).flat_map(|word| {
            ones(std::slice::from_ref(&self.rules[word])).map(move |bit| word * BITS + bit)
        })
    }
}

/// The places of the bits that are set.
fn ones(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = left.trailing_zeros() as usize;
            // Clears the lowest bit; there is none left in zero.
            let found = (left != 0).then_some(at * BITS + bit);
            left &= left.wrapping_sub(1);
            found
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set_in_order(rules in proptest::collection::vec(0_u32..10_000, 0..200)) {
            let mut candidates = Candidates::none_of(10_000);
            candidates.add_all(&rules);
            let expected: BTreeSet<usize> = rules.iter().map(|rule| *rule as usize).collect();
            prop_assert!(candidates.in_order().eq(expected));
        }
    }
}
