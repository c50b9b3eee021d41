//! Constants as small integers: what a field is compared with is looked up once for each event, not once for each
//! rule.
//!
//! [`Interner`] gives each constant that a slot is compared with a [`Symbol`]; [`Symbols`] is the table that it becomes;
//! [`Symbols::of`] finds an event's symbol for each slot by one look-up. Two values of one slot are equal exactly if
//! their symbols are, unless both are [`Symbol::OTHER`].

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::number::{Number, OwnedNumber};
use super::value::Reading;
use super::{Slot, Value, Values};

/// What a slot has in one event, among the constants that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// Null or missing.
    pub const NULL: Self = Self(0);
    /// `false`.
    pub const FALSE: Self = Self(1);
    /// `true`.
    pub const TRUE: Self = Self(2);
    /// Something that no constant of the slot is equal to. Lists and objects are always this.
    pub const OTHER: Self = Self(3);

    const FIRST: u32 = 4;

    /// Its number, unique within a slot.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether it stands for `true` or `false`.
    pub fn is_bool(self) -> bool {
        matches!(self, Self::FALSE | Self::TRUE)
    }
}

/// A constant that a symbol can stand for.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'c> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number<'c>),
    /// A text.
    Text(&'c str),
}

/// Gathers the constants of each slot.
#[derive(Debug, Default)]
pub struct Interner {
    slots: Vec<Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    texts: HashMap<Box<str>, Symbol, FixedState>,
    numbers: HashMap<OwnedNumber, Symbol, FixedState>,
    next: u32,
}

impl Interner {
    /// The symbol of a constant that `slot` is compared with; equal constants have the same.
    pub fn intern(&mut self, slot: Slot, constant: Scalar<'_>) -> Symbol {
        if self.slots.len() <= slot.0 {
            self.slots.resize_with(slot.0 + 1, Gathered::default);
        }
        let gathered = &mut self.slots[slot.0];
        let new = Symbol(Symbol::FIRST + gathered.next);
        let symbol = match constant {
            Scalar::Null => return Symbol::NULL,
            Scalar::Bool(false) => return Symbol::FALSE,
            Scalar::Bool(true) => return Symbol::TRUE,
            Scalar::Number(number) => {
                *gathered.numbers.entry(OwnedNumber::from(number)).or_insert(new)
            }
            Scalar::Text(text) => match gathered.texts.get(text) {
                Some(known) => *known,
                None => *gathered.texts.entry(text.into()).or_insert(new),
            },
        };
        if symbol == new {
            gathered.next += 1;
        }
        symbol
    }

    /// The table for looking constants up.
    pub fn finish(self) -> Symbols {
        let slots = self.slots.into_iter().map(|gathered| {
            let mut numbers: Vec<_> = gathered.numbers.into_iter().collect();
            numbers.sort_unstable_by(|(a, _), (b, _)| a.get().cmp(&b.get()));
            Table { count: gathered.next, texts: gathered.texts, numbers }
        });
        Symbols { slots: slots.collect() }
    }
}

/// The symbols of every slot's constants.
#[derive(Debug, Default)]
pub struct Symbols {
    slots: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    count: u32,
    texts: HashMap<Box<str>, Symbol, FixedState>,
    /// In ascending order.
    numbers: Vec<(OwnedNumber, Symbol)>,
}

impl Symbols {
    /// How many different texts and numbers the slot is compared with: the more, the less likely each is.
    pub fn count(&self, slot: Slot) -> u32 {
        self.slots.get(slot.0).map_or(0, |table| table.count)
    }

    /// The symbol of a constant; [`Symbol::OTHER`] if it was not interned.
    pub fn find(&self, slot: Slot, constant: Scalar<'_>) -> Symbol {
        let table = self.slots.get(slot.0);
        match constant {
            Scalar::Null => Symbol::NULL,
            Scalar::Bool(false) => Symbol::FALSE,
            Scalar::Bool(true) => Symbol::TRUE,
            Scalar::Number(number) => table.map_or(Symbol::OTHER, |t| t.number(&number)),
            Scalar::Text(text) => table.map_or(Symbol::OTHER, |t| t.text(text)),
        }
    }

    /// The symbol of each slot of one event.
    pub fn of(&self, values: &Values<'_>) -> Found {
        let find = |(at, reading): (usize, &Reading<'_>)| {
            let constant = match &reading.value {
                Value::Missing | Value::Null => Scalar::Null,
                Value::Bool(value) => Scalar::Bool(*value),
                Value::Text(text) => Scalar::Text(text),
                Value::Number(number) => Scalar::Number(*number),
                Value::List(_) | Value::Object(_) => return Symbol::OTHER,
            };
            self.find(Slot(at), constant)
        };
        Found { slots: values.slots.iter().enumerate().map(find).collect() }
    }
}

impl Table {
    fn text(&self, text: &str) -> Symbol {
        // An empty map answers without hashing.
        self.texts.get(text).copied().unwrap_or(Symbol::OTHER)
    }

    fn number(&self, number: &Number<'_>) -> Symbol {
        let found = self.numbers.binary_search_by(|(constant, _)| constant.get().cmp(number));
        found.map_or(Symbol::OTHER, |at| self.numbers[at].1)
    }
}

/// The symbols of one event.
#[derive(Debug)]
pub struct Found {
    slots: Vec<Symbol>,
}

impl Found {
    /// The symbol at a slot; null's if the slot was interned after the event was read.
    #[inline]
    pub fn get(&self, slot: Slot) -> Symbol {
        self.slots.get(slot.0).copied().unwrap_or(Symbol::NULL)
    }
}
