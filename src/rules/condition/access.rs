//! By what a condition can be found: keys of which at least one must be met for it to be anything but false.
//!
//! A conjunction has the keys of its most selective part, a disjunction those of all its parts. Whether a key is met
//! can itself be unknown (a threshold on a null): then the key counts as met, so that unknown conditions are found too.

use super::Condition;
use super::ast::Function;
use super::code::{Order, Simple};
use super::compile::{Part, Test};
use super::constant::Constant;
use crate::rules::fields::{OwnedNumber, Slot, Symbol, Symbols};

/// How a condition can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only by looking at it.
    Always,
    /// It is false of every event unless at least one of these is met.
    Any(Vec<Key>),
}

/// Something an event can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The slot has the symbol.
    Equal(Slot, Symbol),
    /// The slot has this truth value; also met by whatever is no truth value.
    Flag(Slot, bool),
    /// The slot is a number not below this; also met by whatever is no number.
    AtLeast(Slot, OwnedNumber),
    /// The slot is a number not above this; also met by whatever is no number.
    AtMost(Slot, OwnedNumber),
    /// The slot is a text that begins with this; also met by whatever is no text.
    Prefix(Slot, Box<str>),
    /// The slot is a text that contains this; also met by whatever is no text.
    Contains(Slot, Box<str>),
}

impl Key {
    /// The slot that it looks at.
    pub fn slot(&self) -> Slot {
        match self {
            Self::Equal(slot, _)
            | Self::Flag(slot, _)
            | Self::AtLeast(slot, _)
            | Self::AtMost(slot, _)
            | Self::Prefix(slot, _)
            | Self::Contains(slot, _) => *slot,
        }
    }
}

/// The keys, and which share of all events is guessed to meet one of them.
struct Guess {
    access: Access,
    share: f64,
}

/// More keys than this for one condition make the index bigger without making it quicker.
const MAX_KEYS: usize = 256;

impl Condition {
    /// The keys of the condition. `symbols` is the table of all constants, made after its code was written.
    pub fn access(&self, symbols: &Symbols) -> Access {
        guess(&self.root, false, symbols).access
    }
}

impl Guess {
    fn always() -> Self {
        Self { access: Access::Always, share: 1.0 }
    }

    fn key(key: Key, share: f64) -> Self {
        Self { access: Access::Any(vec![key]), share }
    }

    fn constant(value: bool) -> Self {
        if value { Self::always() } else { Self { access: Access::Any(Vec::new()), share: 0.0 } }
    }

    fn both(self, other: Self) -> Self {
        match (self.access, other.access) {
            (Access::Any(mut keys), Access::Any(more)) if keys.len() + more.len() <= MAX_KEYS => {
                keys.extend(more);
                Self { access: Access::Any(keys), share: (self.share + other.share).min(1.0) }
            }
            _ => Self::always(),
        }
    }
}

fn guess(part: &Part, negated: bool, symbols: &Symbols) -> Guess {
    match (&part.test, negated) {
        (Test::Constant(value), _) => Guess::constant(*value != negated),
        (Test::Not(inner), _) => guess(inner, !negated, symbols),
        (Test::And(parts), false) | (Test::Or(parts), true) => {
            let guesses = parts.iter().map(|part| guess(part, negated, symbols));
            guesses.min_by(|a, b| a.share.total_cmp(&b.share)).unwrap_or_else(Guess::always)
        }
        (Test::Or(parts), false) | (Test::And(parts), true) => {
            let guesses = parts.iter().map(|part| guess(part, negated, symbols));
            guesses.fold(Guess::constant(false), Guess::both)
        }
        _ => Simple::of(part).map_or_else(Guess::always, |simple| leaf(&simple, negated, symbols)),
    }
}

fn leaf(simple: &Simple<'_>, negated: bool, symbols: &Symbols) -> Guess {
    match *simple {
        Simple::Equal(slot, constant, unequal) if negated == unequal => {
            equal(slot, symbols.find(slot, constant), symbols)
        }
        Simple::Among(slot, list) if !negated => list
            .iter()
            .filter_map(Constant::scalar)
            .map(|constant| equal(slot, symbols.find(slot, constant), symbols))
            .fold(Guess::constant(false), Guess::both),
        Simple::Equal(..) | Simple::Among(..) => Guess::always(),
        Simple::Flag(slot) => Guess::key(Key::Flag(slot, !negated), 0.5),
        Simple::Order(slot, order, bound) => {
            let order = if negated { order.negated() } else { order };
            let key = match order {
                Order::Greater | Order::GreaterOrEqual => Key::AtLeast(slot, bound.clone()),
                Order::Less | Order::LessOrEqual => Key::AtMost(slot, bound.clone()),
            };
            Guess::key(key, 0.5)
        }
        // Every text begins with nothing and has it in it.
        Simple::Text(_, _, "") => Guess::always(),
        Simple::Text(slot, Function::StartsWith, text) if !negated => {
            Guess::key(Key::Prefix(slot, text.into()), 0.1)
        }
        Simple::Text(slot, Function::Contains, text) if !negated => {
            Guess::key(Key::Contains(slot, text.into()), 0.3)
        }
        Simple::Text(..) => Guess::always(),
    }
}

fn equal(slot: Slot, symbol: Symbol, symbols: &Symbols) -> Guess {
    let share = if symbol.is_bool() || symbol == Symbol::NULL {
        0.5
    } else {
        1.0 / (1.0 + f64::from(symbols.count(slot)))
    };
    Guess::key(Key::Equal(slot, symbol), share)
}
