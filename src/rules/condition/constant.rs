//! Values written in a condition, ready to be compared.

use crate::rules::condition::ast::{Expr, Kind, Literal};
use crate::rules::fields::{Number, OwnedNumber, Scalar};

/// A value written in the condition.
#[derive(Debug)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Number(OwnedNumber),
    Text(Box<str>),
    List(ConstantList),
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
        // The lexer made the digits, so they are a number.
        Literal::Number(digits) => {
            Constant::Number(Number::parse(digits).unwrap_or(Number::Int(0)).into())
        }
        Literal::Text(text) => Constant::Text(text.as_str().into()),
    }
}

impl Constant {
    /// As what a symbol can stand for; none for a list.
    pub(super) fn scalar(&self) -> Option<Scalar<'_>> {
        Some(match self {
            Self::Null => Scalar::Null,
            Self::Bool(value) => Scalar::Bool(*value),
            Self::Number(number) => Scalar::Number(number.get()),
            Self::Text(text) => Scalar::Text(text),
            Self::List(_) => return None,
        })
    }
}
