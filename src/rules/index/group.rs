//! The rules for one type of events, by what an event must have for them to be worth a look.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::AhoCorasick;
use foldhash::fast::FixedState;

use super::candidates::Candidates;
use crate::rules::condition::{Access, Key};
use crate::rules::fields::{Found, Number, OwnedNumber, Slot, Symbol, Value, Values};

/// Rules that have the same types in `on`.
#[derive(Debug, Default)]
pub(super) struct Group {
    always: Vec<u32>,
    slots: Vec<(Slot, Keys)>,
}

/// The keys of one slot, each with the rules that are found by it.
#[derive(Debug, Default)]
struct Keys {
    equal: HashMap<u32, Vec<u32>, FixedState>,
    /// Found by `false` and by `true`.
    flags: [Vec<u32>; 2],
    at_least: Bounds,
    at_most: Bounds,
    prefixes: Prefixes,
    needles: Option<Needles>,
}

/// Gathers what a group is built of.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    always: Vec<u32>,
    slots: BTreeMap<Slot, Vec<(Key, u32)>>,
}

impl Gathering {
    pub(super) fn add(&mut self, rule: u32, access: &Access) {
        match access {
            Access::Always => self.always.push(rule),
            Access::Any(keys) => {
                for key in keys {
                    self.slots.entry(key.slot()).or_default().push((key.clone(), rule));
                }
            }
        }
    }

    pub(super) fn build(self) -> Group {
        let slots = self.slots.into_iter().map(|(slot, keys)| (slot, Keys::build(keys)));
        Group { always: self.always, slots: slots.collect() }
    }
}

impl Group {
    /// Whether finding its rules needs the event's fields.
    pub(super) fn has_keys(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Adds the rules that are found whatever the event has.
    pub(super) fn add_always(&self, candidates: &mut Candidates) {
        candidates.add_all(&self.always);
    }

    /// Adds the rules whose keys the event meets.
    pub(super) fn add_met(
        &self,
        values: &Values<'_>,
        symbols: &Found,
        candidates: &mut Candidates,
    ) {
        for (slot, keys) in &self.slots {
            keys.add_met(values.get(*slot), symbols.get(*slot), candidates);
        }
    }
}

impl Keys {
    fn build(keys: Vec<(Key, u32)>) -> Self {
        let mut built = Self::default();
        let mut needles: BTreeMap<Box<str>, Vec<u32>> = BTreeMap::new();
        for (key, rule) in keys {
            match key {
                Key::Equal(_, symbol) => {
                    built.equal.entry(symbol.number()).or_default().push(rule);
                }
                Key::Flag(_, value) => built.flags[usize::from(value)].push(rule),
                Key::AtLeast(_, bound) => built.at_least.bounds.push((bound, rule)),
                Key::AtMost(_, bound) => built.at_most.bounds.push((bound, rule)),
                Key::Prefix(_, text) => {
                    built.prefixes.lengths.push(text.len());
                    built.prefixes.rules.entry(text).or_default().push(rule);
                }
                Key::Contains(_, text) => needles.entry(text).or_default().push(rule),
            }
        }
        built.at_least.sort();
        built.at_most.sort();
        built.prefixes.lengths.sort_unstable();
        built.prefixes.lengths.dedup();
        built.needles = (!needles.is_empty()).then(|| Needles::build(needles));
        built
    }

    fn add_met(&self, value: &Value<'_>, symbol: Symbol, candidates: &mut Candidates) {
        if let Some(rules) = self.equal.get(&symbol.number()) {
            candidates.add_all(rules);
        }
        match value {
            Value::Bool(value) => candidates.add_all(&self.flags[usize::from(*value)]),
            // Unknown for them: they are looked at.
            _ => candidates.add_all(self.flags.iter().flatten()),
        }
        match value {
            Value::Number(number) => {
                let least = &self.at_least.bounds[..self.at_least.up_to(number)];
                let most = &self.at_most.bounds[self.at_most.from(number)..];
                candidates.add_all(least.iter().chain(most).map(|(_, rule)| rule));
            }
            _ => {
                let all = self.at_least.bounds.iter().chain(&self.at_most.bounds);
                candidates.add_all(all.map(|(_, rule)| rule));
            }
        }
        match value {
            Value::Text(text) => {
                self.prefixes.add_met(text, candidates);
                if let Some(needles) = &self.needles {
                    needles.add_met(text, candidates);
                }
            }
            _ => {
                candidates.add_all(self.prefixes.rules.values().flatten());
                candidates.add_all(self.needles.iter().flat_map(|n| n.rules.iter().flatten()));
            }
        }
    }
}

/// Thresholds in ascending order. `<` and `<=` are not told apart: that is for the condition itself.
#[derive(Debug, Default)]
struct Bounds {
    bounds: Vec<(OwnedNumber, u32)>,
}

impl Bounds {
    fn sort(&mut self) {
        self.bounds.sort_by(|(a, _), (b, _)| a.get().cmp(&b.get()));
    }

    /// How many of them are not above the number.
    fn up_to(&self, number: &Number<'_>) -> usize {
        self.bounds.partition_point(|(bound, _)| bound.get() <= *number)
    }

    /// How many of them are below the number.
    fn from(&self, number: &Number<'_>) -> usize {
        self.bounds.partition_point(|(bound, _)| bound.get() < *number)
    }
}

#[derive(Debug, Default)]
struct Prefixes {
    /// Every length that a prefix has, in bytes.
    lengths: Vec<usize>,
    rules: HashMap<Box<str>, Vec<u32>, FixedState>,
}

impl Prefixes {
    fn add_met(&self, text: &str, candidates: &mut Candidates) {
        for length in &self.lengths {
            // Where the text is too short or has no boundary, no text of this length begins it.
            if let Some(rules) = text.get(..*length).and_then(|start| self.rules.get(start)) {
                candidates.add_all(rules);
            }
        }
    }
}

/// Every text that a condition looks for inside the slot, found in one pass.
#[derive(Debug)]
struct Needles {
    /// None if the automaton would be too big; then all the rules are looked at.
    automaton: Option<AhoCorasick>,
    rules: Vec<Vec<u32>>,
}

impl Needles {
    fn build(needles: BTreeMap<Box<str>, Vec<u32>>) -> Self {
        let automaton = AhoCorasick::new(needles.keys().map(|needle| needle.as_bytes())).ok();
        Self { automaton, rules: needles.into_values().collect() }
    }

    fn add_met(&self, text: &str, candidates: &mut Candidates) {
        // Needles that lie in each other, in a text made for it, are found over and over; past this many it is
        // cheaper to look at all the rules.
        let mut left = 4 * self.rules.len() + text.len();
        let found =
            self.automaton.iter().flat_map(|automaton| automaton.find_overlapping_iter(text));
        for found in found {
            candidates.add_all(&self.rules[found.pattern().as_usize()]);
            left = left.saturating_sub(1);
            if left == 0 {
                break;
            }
        }
        if self.automaton.is_none() || left == 0 {
            candidates.add_all(self.rules.iter().flatten());
        }
    }
}
