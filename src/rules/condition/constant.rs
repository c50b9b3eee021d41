//! Values written in a condition, ready to be compared.

use crate::rules::condition::ast::{Expr, Kind, Literal};
use crate::rules::fields::Number;

/// A value written in the condition.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(ConstantNumber),
    Text(Box<str>),
    List(ConstantList),
}

/// A number that owns its digits.
#[derive(Debug)]
pub(super) struct ConstantNumber {
    /// Filled for what is an integer: the common case needs no reading of digits.
    int: Option<i64>,
    digits: Box<str>,
}

impl ConstantNumber {
    pub(super) fn new(digits: &str) -> Self {
        let int = match Number::parse(digits) {
            Some(Number::Int(int)) => Some(int),
            _ => None,
        };
        Self { int, digits: digits.into() }
    }

    pub(super) fn get(&self) -> Number<'_> {
        match self.int {
            Some(int) => Number::Int(int),
            // The lexer made the digits, so they are a number.
            None => Number::parse(&self.digits).unwrap_or(Number::Int(0)),
        }
    }
}

/// A list of constants, with its texts sorted for a quick search.
#[derive(Debug)]
pub(super) struct ConstantList {
    pub(super) items: Vec<Constant>,
    texts: Vec<Box<str>>,
}

impl ConstantList {
    pub(super) fn new(items: Vec<Constant>) -> Self {
        let mut texts: Vec<Box<str>> = items
            .iter()
            .filter_map(|item| match item {
                Constant::Text(text) => Some(text.clone()),
                _ => None,
            })
            .collect();
        texts.sort_unstable();
        Self { items, texts }
    }

    pub(super) fn holds_text(&self, text: &str) -> bool {
        self.texts.binary_search_by(|t| (**t).cmp(text)).is_ok()
    }
}

/// Whether it names no field.
pub(super) fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Literal(_) => true,
        Kind::List(items) => items.iter().all(is_constant),
        _ => false,
    }
}

pub(super) fn constant(literal: &Literal) -> Constant {
    match literal {
        Literal::Null => Constant::Null,
        Literal::Bool(value) => Constant::Bool(*value),
        Literal::Number(digits) => Constant::Number(ConstantNumber::new(digits)),
        Literal::Text(text) => Constant::Text(text.as_str().into()),
    }
}
