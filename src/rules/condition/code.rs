//! Conditions as flat jump code: what an event is decided by.
//!
//! Negation is pushed down to the leaves, so that each leaf asks one question with two answers ("is this definitely
//! true?", "definitely false?") and says where to go on. A condition has two entries: one comes out true exactly where
//! the condition is true, the other exactly where it is false; where neither does, it is unknown. The second is run
//! only if a leaf on the way was unknown. Nothing recurses, and nothing is allocated but by leaves that the tree
//! evaluates. `eval` says the same, more slowly; a property test holds the two together.

use std::sync::Arc;

use super::Condition;
use super::ast::{Function, Operator};
use super::compile::{Operand, Part, Test};
use super::constant::Constant;
use super::eval::Truth;
use crate::rules::fields::{
    Found, Interner, Number, OwnedNumber, Scalar, Slot, Symbol, Value, Values,
};

/// The code of any number of conditions.
#[derive(Debug, Default)]
pub struct Code {
    steps: Vec<Step>,
    /// What [`Leaf::Among`] looks into: sorted runs of symbols.
    sets: Vec<Symbol>,
    texts: Vec<Box<str>>,
    numbers: Vec<OwnedNumber>,
    parts: Vec<Arc<Part>>,
}

/// Where a condition's code begins.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Comes out true where the condition is true.
    when_true: u32,
    /// Comes out true where the condition is false.
    when_false: u32,
}

const YES: u32 = u32::MAX;
const NO: u32 = u32::MAX - 1;

/// One question and where to go on.
#[derive(Clone, Copy, Debug)]
struct Step {
    leaf: Leaf,
    yes: u32,
    no: u32,
}

#[derive(Clone, Copy, Debug)]
enum Leaf {
    /// The slot has this value. Never unknown, so its negation swaps the ways.
    Equal { slot: Slot, symbol: Symbol },
    /// The slot has one of the values at `start..end` of the sets. Never unknown.
    Among { slot: Slot, start: u32, end: u32 },
    /// The slot is this truth value.
    Flag { slot: Slot, value: bool },
    /// The slot is a number in this order to an integer.
    Integer { slot: Slot, order: Order, bound: i64 },
    /// The slot is a number in this order to one of the numbers.
    Number { slot: Slot, order: Order, bound: u32 },
    /// The slot is a text with this beginning, end or part, or without it.
    Text { slot: Slot, function: Function, negated: bool, text: u32 },
    /// Anything else, by the tree.
    Part { part: u32, negated: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Less => Self::Less,
            Operator::LessOrEqual => Self::LessOrEqual,
            Operator::Greater => Self::Greater,
            Operator::GreaterOrEqual => Self::GreaterOrEqual,
            Operator::Equal | Operator::NotEqual | Operator::In => return None,
        })
    }

    /// `a < b` is `b > a`.
    fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// `not (a < b)` is `a >= b`, where there is an order.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }

    #[inline]
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// A leaf that compares one field with constants: what code and index can do quickly.
pub(super) enum Simple<'p> {
    /// Equal to the constant, or not.
    Equal(Slot, Scalar<'p>, bool),
    /// One of the constants.
    Among(Slot, &'p [Constant]),
    /// The field alone.
    Flag(Slot),
    /// In an order to a number.
    Order(Slot, Order, &'p OwnedNumber),
    /// Begins with, ends with or contains a text.
    Text(Slot, Function, &'p str),
}

impl Simple<'_> {
    pub(super) fn of(part: &Part) -> Option<Simple<'_>> {
        let field = |operand: &Operand| match operand {
            Operand::Field { slot, .. } => Some(*slot),
            _ => None,
        };
        match &part.test {
            Test::Flag(operand) => field(operand).map(Simple::Flag),
            Test::Has(operand) => Some(Simple::Equal(field(operand)?, Scalar::Null, true)),
            Test::Equal { left, right, negated } => {
                let (slot, constant) = match (left, right) {
                    (Operand::Field { slot, .. }, Operand::Constant(constant))
                    | (Operand::Constant(constant), Operand::Field { slot, .. }) => {
                        (*slot, constant)
                    }
                    _ => return None,
                };
                Some(Simple::Equal(slot, constant.scalar()?, *negated))
            }
            Test::In { item, list: Operand::Constant(Constant::List(list)) } => {
                let scalar = list.items.iter().all(|item| item.scalar().is_some());
                scalar.then_some(Simple::Among(field(item)?, &list.items))
            }
            Test::Order { left, right, operator } => {
                let order = Order::of(*operator)?;
                match (left, right) {
                    (Operand::Field { slot, .. }, Operand::Constant(Constant::Number(bound))) => {
                        Some(Simple::Order(*slot, order, bound))
                    }
                    (Operand::Constant(Constant::Number(bound)), Operand::Field { slot, .. }) => {
                        Some(Simple::Order(*slot, order.flipped(), bound))
                    }
                    _ => None,
                }
            }
            Test::Text { function, subject, argument: Operand::Constant(Constant::Text(text)) } => {
                Some(Simple::Text(field(subject)?, *function, text))
            }
            _ => None,
        }
    }
}

impl Code {
    /// Adds a condition. Its constants are interned in `symbols`; [`Self::run`] needs the table that these become.
    pub fn add(&mut self, condition: &Condition, symbols: &mut Interner) -> Entry {
        let mut writer = Writer { code: self, symbols };
        let when_true = writer.part(&condition.root, false, YES, NO);
        let when_false = writer.part(&condition.root, true, YES, NO);
        Entry { when_true, when_false }
    }

    /// What the condition says of an event.
    pub fn run(&self, entry: Entry, values: &Values<'_>, symbols: &Found) -> Truth {
        let mut met_unknown = false;
        if self.walk(entry.when_true, values, symbols, &mut met_unknown) {
            return Truth::True;
        }
        // Each leaf on the way was true or false, and they decided it.
        if !met_unknown || self.walk(entry.when_false, values, symbols, &mut met_unknown) {
            return Truth::False;
        }
        Truth::Unknown
    }

    fn walk(
        &self,
        mut at: u32,
        values: &Values<'_>,
        symbols: &Found,
        met_unknown: &mut bool,
    ) -> bool {
        // Steps lead only to steps that were written before them, so this ends.
        while let Some(step) = self.steps.get(at as usize) {
            let yes = match step.leaf {
                Leaf::Equal { slot, symbol } => symbols.get(slot) == symbol,
                Leaf::Among { slot, start, end } => {
                    let set = self.sets.get(start as usize..end as usize).unwrap_or_default();
                    set.binary_search(&symbols.get(slot)).is_ok()
                }
                Leaf::Flag { slot, value } => match values.get(slot) {
                    Value::Bool(found) => *found == value,
                    _ => unknown(met_unknown),
                },
                Leaf::Integer { slot, order, bound } => match values.get(slot) {
                    Value::Number(Number::Int(int)) => order.holds(int.cmp(&bound)),
                    Value::Number(number) => order.holds(number.cmp(&Number::Int(bound))),
                    _ => unknown(met_unknown),
                },
                Leaf::Number { slot, order, bound } => match values.get(slot) {
                    Value::Number(number) => {
                        order.holds(number.cmp(&self.numbers[bound as usize].get()))
                    }
                    _ => unknown(met_unknown),
                },
                Leaf::Text { slot, function, negated, text } => match values.get(slot) {
                    Value::Text(found) => {
                        let text = &*self.texts[text as usize];
                        negated
                            != match function {
                                Function::StartsWith => found.starts_with(text),
                                Function::EndsWith => found.ends_with(text),
                                _ => found.contains(text),
                            }
                    }
                    _ => unknown(met_unknown),
                },
                Leaf::Part { part, negated } => match self.parts[part as usize].eval(values) {
                    Truth::Unknown => unknown(met_unknown),
                    truth => (truth == Truth::True) != negated,
                },
            };
            at = if yes { step.yes } else { step.no };
        }
        at == YES
    }
}

/// An unknown leaf is neither definitely true nor definitely false.
fn unknown(met: &mut bool) -> bool {
    *met = true;
    false
}

struct Writer<'w> {
    code: &'w mut Code,
    symbols: &'w mut Interner,
}

impl Writer<'_> {
    /// Writes a part and gives its first step: whoever starts there gets to `yes` exactly if the part (or its
    /// negation) is definitely true, else to `no`. Written back to front, so every way leads to what is there already.
    fn part(&mut self, part: &Arc<Part>, negated: bool, yes: u32, no: u32) -> u32 {
        match (&part.test, negated) {
            (Test::Constant(value), _) => {
                if *value == negated {
                    no
                } else {
                    yes
                }
            }
            (Test::Not(inner), _) => self.part(inner, !negated, yes, no),
            (Test::And(parts), false) | (Test::Or(parts), true) => {
                let parts = cheapest_last(parts);
                parts.iter().fold(yes, |next, part| self.part(part, negated, next, no))
            }
            (Test::Or(parts), false) | (Test::And(parts), true) => {
                let parts = cheapest_last(parts);
                parts.iter().fold(no, |next, part| self.part(part, negated, yes, next))
            }
            _ => match Simple::of(part) {
                Some(simple) => self.simple(&simple, negated, yes, no),
                None => {
                    self.code.parts.push(Arc::clone(part));
                    let part = index(self.code.parts.len() - 1);
                    self.step(Leaf::Part { part, negated }, yes, no)
                }
            },
        }
    }

    fn simple(&mut self, simple: &Simple<'_>, negated: bool, yes: u32, no: u32) -> u32 {
        match *simple {
            Simple::Equal(slot, constant, unequal) => {
                let symbol = self.symbols.intern(slot, constant);
                let (yes, no) = if negated == unequal { (yes, no) } else { (no, yes) };
                self.step(Leaf::Equal { slot, symbol }, yes, no)
            }
            Simple::Among(slot, list) => {
                let start = index(self.code.sets.len());
                let symbols = list.iter().filter_map(Constant::scalar);
                let mut set: Vec<_> = symbols.map(|c| self.symbols.intern(slot, c)).collect();
                set.sort_unstable();
                self.code.sets.extend(set);
                let end = index(self.code.sets.len());
                let (yes, no) = if negated { (no, yes) } else { (yes, no) };
                self.step(Leaf::Among { slot, start, end }, yes, no)
            }
            Simple::Flag(slot) => self.step(Leaf::Flag { slot, value: !negated }, yes, no),
            Simple::Order(slot, order, bound) => {
                let order = if negated { order.negated() } else { order };
                let leaf = match bound.int() {
                    Some(bound) => Leaf::Integer { slot, order, bound },
                    None => {
                        self.code.numbers.push(bound.clone());
                        Leaf::Number { slot, order, bound: index(self.code.numbers.len() - 1) }
                    }
                };
                self.step(leaf, yes, no)
            }
            Simple::Text(slot, function, text) => {
                self.code.texts.push(text.into());
                let text = index(self.code.texts.len() - 1);
                self.step(Leaf::Text { slot, function, negated, text }, yes, no)
            }
        }
    }

    fn step(&mut self, leaf: Leaf, yes: u32, no: u32) -> u32 {
        self.code.steps.push(Step { leaf, yes, no });
        index(self.code.steps.len() - 1)
    }
}

/// A place in one of the tables. Their lengths are bounded by the bytes of rules.toml, which never come near.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NO)
}

/// In which order `and` and `or` look at their parts doesn't change what they say, only what it costs.
fn cheapest_last(parts: &[Arc<Part>]) -> Vec<&Arc<Part>> {
    let mut sorted: Vec<_> = parts.iter().rev().collect();
    sorted.sort_by_key(|part| std::cmp::Reverse(cost(part)));
    sorted
}

fn cost(part: &Part) -> u8 {
    match &part.test {
        Test::Constant(_) => 0,
        Test::Not(inner) => cost(inner),
        Test::And(parts) | Test::Or(parts) => {
            parts.iter().map(|part| cost(part)).max().unwrap_or(0).saturating_add(1)
        }
        Test::Matches { .. } => 20,
        _ => match Simple::of(part) {
            Some(Simple::Equal(..)) => 1,
            Some(Simple::Among(..)) => 2,
            Some(Simple::Flag(..) | Simple::Order(..)) => 3,
            Some(Simple::Text(_, Function::StartsWith | Function::EndsWith, _)) => 4,
            Some(Simple::Text(..)) => 6,
            None => 10,
        },
    }
}
