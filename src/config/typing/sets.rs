//! Sets of values: which ones make a comparison true.
//!
//! They may be too large, never too small: what is found empty is empty.

use std::collections::BTreeSet;

use crate::rules::fields::Number;

/// Past so many pieces a set of numbers becomes the set of all: nobody reads a condition of that size.
const PIECES: usize = 64;

/// A set of values of every type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) null: bool,
    pub(super) yes: bool,
    pub(super) no: bool,
    /// Lists and objects.
    pub(super) other: bool,
    pub(super) numbers: Vec<Interval>,
    pub(super) texts: Texts,
}

/// A set of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    Only(BTreeSet<String>),
    AllBut(BTreeSet<String>),
}

/// Numbers between two ends; each with its digits and whether it belongs to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: Option<(String, bool)>,
    pub(super) high: Option<(String, bool)>,
}

impl Set {
    pub(super) fn none() -> Self {
        Self {
            null: false,
            yes: false,
            no: false,
            other: false,
            numbers: Vec::new(),
            texts: Texts::Only(BTreeSet::new()),
        }
    }

    pub(super) fn all() -> Self {
        Self {
            null: true,
            yes: true,
            no: true,
            other: true,
            numbers: vec![Interval::default()],
            texts: Texts::AllBut(BTreeSet::new()),
        }
    }

    pub(super) fn and(&self, with: &Self) -> Self {
        let mut numbers = Vec::new();
        for a in &self.numbers {
            numbers.extend(with.numbers.iter().filter_map(|b| a.and(b)));
        }
        Self {
            null: self.null && with.null,
            yes: self.yes && with.yes,
            no: self.no && with.no,
            other: self.other && with.other,
            numbers: bounded(numbers),
            texts: self.texts.and(&with.texts),
        }
    }

    pub(super) fn or(&self, with: &Self) -> Self {
        let numbers = self.numbers.iter().chain(&with.numbers).cloned().collect();
        Self {
            null: self.null || with.null,
            yes: self.yes || with.yes,
            no: self.no || with.no,
            other: self.other || with.other,
            numbers: bounded(numbers),
            texts: self.texts.not().and(&with.texts.not()).not(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::none()
    }
}

fn bounded(numbers: Vec<Interval>) -> Vec<Interval> {
    if numbers.len() > PIECES { vec![Interval::default()] } else { numbers }
}

impl Texts {
    pub(super) fn not(&self) -> Self {
        match self {
            Self::Only(texts) => Self::AllBut(texts.clone()),
            Self::AllBut(texts) => Self::Only(texts.clone()),
        }
    }

    fn and(&self, with: &Self) -> Self {
        match (self, with) {
            (Self::Only(a), Self::Only(b)) => Self::Only(a & b),
            (Self::Only(a), Self::AllBut(b)) | (Self::AllBut(b), Self::Only(a)) => {
                Self::Only(a - b)
            }
            (Self::AllBut(a), Self::AllBut(b)) => Self::AllBut(a | b),
        }
    }
}

impl Interval {
    pub(super) fn point(number: &str) -> Self {
        let end = Some((number.to_owned(), true));
        Self { low: end.clone(), high: end }
    }

    pub(super) fn above(number: &str, included: bool) -> Self {
        Self { low: Some((number.to_owned(), included)), high: None }
    }

    pub(super) fn below(number: &str, included: bool) -> Self {
        Self { low: None, high: Some((number.to_owned(), included)) }
    }

    /// None if they share no number.
    fn and(&self, with: &Self) -> Option<Self> {
        let tighter = |a: &Option<(String, bool)>, b: &Option<(String, bool)>, low: bool| {
            let (Some(x), Some(y)) = (a, b) else { return a.clone().or_else(|| b.clone()) };
            let order = Number::parse(&x.0).cmp(&Number::parse(&y.0));
            let order = if low { order } else { order.reverse() };
            let takes_first = match order {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => !x.1,
            };
            if takes_first { a.clone() } else { b.clone() }
        };
        let low = tighter(&self.low, &with.low, true);
        let high = tighter(&self.high, &with.high, false);
        if let (Some(l), Some(h)) = (&low, &high) {
            let (a, b) = (Number::parse(&l.0), Number::parse(&h.0));
            if a > b || (a == b && !(l.1 && h.1)) {
                return None;
            }
        }
        Some(Self { low, high })
    }
}
