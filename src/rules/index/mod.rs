//! Finds the rules that an event can match without looking at the others.
//!
//! A rule is filed under each type of its `on` (or under every type), there under the keys by which its condition can
//! be found ([`Access`]). An event's candidates are those whose keys it meets; they are looked at in the order of the
//! file. A rule that is no candidate is false of the event: not true, and not unknown either.

mod candidates;
mod group;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::FixedState;

use self::candidates::Candidates;
use self::group::{Gathering, Group};
use super::condition::{Access, Code, Entry, Truth};
use super::fields::{Found, Interner, Symbols, Values};
use super::rule::{Rule, TypePattern};

/// The rules of a file, ready for events.
#[derive(Debug, Default)]
pub(super) struct Index {
    code: Code,
    symbols: Symbols,
    /// Where each rule's code begins; none if it has no condition.
    entries: Vec<Option<Entry>>,
    /// Rules for exactly this type.
    types: HashMap<Box<str>, Group, FixedState>,
    /// Rules for a family of types.
    families: Vec<(TypePattern, Group)>,
    /// Rules for every type.
    every: Group,
}

impl Index {
    pub(super) fn build(rules: &[Rule]) -> Self {
        let mut code = Code::default();
        let mut interner = Interner::default();
        let conditions = rules.iter().map(|rule| rule.when.as_ref());
        let entries =
            conditions.map(|when| when.map(|when| code.add(when, &mut interner))).collect();
        let symbols = interner.finish();
        let mut types: BTreeMap<&str, Gathering> = BTreeMap::new();
        let mut every = Gathering::default();
        for (at, rule) in (0_u32..).zip(rules).filter(|(_, rule)| rule.enabled) {
            let when = rule.when.as_ref();
            let access = when.map_or(Access::Always, |when| when.access(&symbols));
            if rule.on.is_empty() {
                every.add(at, &access);
            }
            for on in &rule.on {
                types.entry(&on.text).or_default().add(at, &access);
            }
        }
        let mut built = Self { code, symbols, entries, every: every.build(), ..Self::default() };
        for (text, gathering) in types {
            let group = gathering.build();
            if text.contains('*') {
                built.families.push((TypePattern { text: text.into() }, group));
            } else {
                built.types.insert(text.into(), group);
            }
        }
        built
    }

    /// The rules for events of type `kind` that may be true or unknown of the event, by their place in the file.
    /// `facts` is asked only if there is something to know.
    pub(super) fn candidates<'f>(
        &self,
        kind: &str,
        facts: impl Fn() -> &'f Facts<'f>,
    ) -> Candidates {
        let mut candidates = Candidates::none_of(self.entries.len());
        let families = self.families.iter().filter(|(family, _)| family.matches(kind));
        let groups = self.types.get(kind).into_iter().chain(families.map(|(_, group)| group));
        for group in groups.chain([&self.every]) {
            group.add_always(&mut candidates);
            if group.has_keys() {
                let facts = facts();
                group.add_met(&facts.values, &facts.symbols, &mut candidates);
            }
        }
        candidates
    }

    /// What the condition of the rule at this place says; none if it has none.
    pub(super) fn truth<'f>(
        &self,
        rule: usize,
        facts: impl Fn() -> &'f Facts<'f>,
    ) -> Option<Truth> {
        let entry = (*self.entries.get(rule)?)?;
        let facts = facts();
        Some(self.code.run(entry, &facts.values, &facts.symbols))
    }

    /// What an event has, ready for [`Self::candidates`] and [`Self::truth`].
    pub(super) fn facts<'a>(&self, values: Values<'a>) -> Facts<'a> {
        let symbols = self.symbols.of(&values);
        Facts { values, symbols }
    }
}

/// What one event has.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) values: Values<'a>,
    symbols: Found,
}
