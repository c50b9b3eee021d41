//! The tree of a condition as written: what `check` looks at.
//!
//! `Display` writes it in one canonical way (`and`, `or`, `not` as words, as few parentheses as needed); parsing that
//! gives the same tree.

use std::fmt;
use std::ops::Range;

use super::lex;
use crate::rules::fields::{Name, Step};

/// A part of a condition.
#[derive(Clone, Debug)]
pub struct Expr {
    /// The bytes of the condition's text.
    pub span: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// How many levels it has; bounded by [`super::MAX_DEPTH`].
    pub(super) height: usize,
}

/// What a part of a condition is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A value written in the condition.
    Literal(Literal),
    /// `[a, b, c]`.
    List(Vec<Expr>),
    /// A field.
    Path(Path),
    /// `not x`.
    Not(Box<Expr>),
    /// `a and b and c`.
    And(Vec<Expr>),
    /// `a or b or c`.
    Or(Vec<Expr>),
    /// `a == b`.
    Compare(Operator, Box<Expr>, Box<Expr>),
    /// `x.contains("y")`, with what stands before the dot as the first argument.
    Call(Function, Vec<Expr>),
}

/// A value written in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in JSON's notation.
    Number(String),
    /// A string, unescaped.
    Text(String),
}

/// A field as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// At least one; the first is always a key.
    pub steps: Vec<Step>,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `in`
    In,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `has(x)`: the same as `x != null`.
    Has,
    /// `size(x)`: of a text in code points, of a list in items, of an object in keys.
    Size,
    /// `x.startsWith("y")`
    StartsWith,
    /// `x.endsWith("y")`
    EndsWith,
    /// `x.contains("y")`
    Contains,
    /// `x.matches("y")`: a regular expression that need not match the whole text.
    Matches,
    /// `x.lowerAscii()`
    LowerAscii,
}

impl Function {
    /// Every function.
    pub const ALL: [Self; 7] = [
        Self::Has,
        Self::Size,
        Self::StartsWith,
        Self::EndsWith,
        Self::Contains,
        Self::Matches,
        Self::LowerAscii,
    ];

    /// The name as written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Has => "has",
            Self::Size => "size",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Contains => "contains",
            Self::Matches => "matches",
            Self::LowerAscii => "lowerAscii",
        }
    }

    /// How many arguments it takes, with what stands before the dot.
    pub(super) fn arity(self) -> usize {
        match self {
            Self::Has | Self::Size | Self::LowerAscii => 1,
            Self::StartsWith | Self::EndsWith | Self::Contains | Self::Matches => 2,
        }
    }
}

impl Operator {
    /// The operator as written.
    pub fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

impl Path {
    /// What it means; none if it goes below a word of the envelope.
    pub fn name(&self) -> Option<Name> {
        Name::resolve(&self.steps)
    }
}

impl Expr {
    pub(super) fn new(kind: Kind, span: Range<usize>) -> Self {
        let mut below = 0;
        each_child(&kind, |child| below = below.max(child.height));
        Self { span, kind, height: below + 1 }
    }

    /// Calls `visit` with this part and every part below it, in the order of the text.
    pub fn walk<'e>(&'e self, visit: &mut impl FnMut(&'e Self)) {
        visit(self);
        each_child(&self.kind, |child| child.walk(visit));
    }
}

fn each_child<'e>(kind: &'e Kind, mut visit: impl FnMut(&'e Expr)) {
    match kind {
        Kind::Literal(_) | Kind::Path(_) => {}
        Kind::Not(inner) => visit(inner),
        Kind::Compare(_, left, right) => {
            visit(left);
            visit(right);
        }
        Kind::List(parts) | Kind::And(parts) | Kind::Or(parts) | Kind::Call(_, parts) => {
            parts.iter().for_each(visit);
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Literal(literal) => literal.fmt(f),
            Kind::List(items) => {
                f.write_str("[")?;
                joined(f, items, ", ", Binding::Or)?;
                f.write_str("]")
            }
            Kind::Path(path) => path.fmt(f),
            Kind::Not(inner) => {
                f.write_str("not ")?;
                // A comparison keeps its parentheses: `not a == b` is refused as ambiguous.
                grouped(f, inner, Binding::Not)
            }
            Kind::And(parts) => joined(f, parts, " and ", Binding::Compare),
            Kind::Or(parts) => joined(f, parts, " or ", Binding::And),
            Kind::Compare(operator, left, right) => {
                grouped(f, left, Binding::Value)?;
                write!(f, " {} ", operator.text())?;
                grouped(f, right, Binding::Value)
            }
            Kind::Call(function @ (Function::Has | Function::Size), arguments) => {
                write!(f, "{}(", function.name())?;
                joined(f, arguments, ", ", Binding::Or)?;
                f.write_str(")")
            }
            Kind::Call(function, arguments) => {
                let (subject, arguments) = arguments.split_at(arguments.len().min(1));
                joined(f, subject, "", Binding::Value)?;
                write!(f, ".{}(", function.name())?;
                joined(f, arguments, ", ", Binding::Or)?;
                f.write_str(")")
            }
        }
    }
}

/// How tightly a part must bind to stand somewhere without parentheses, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Compare,
    Not,
    Value,
}

fn grouped(f: &mut fmt::Formatter<'_>, expr: &Expr, wanted: Binding) -> fmt::Result {
    let binding = match &expr.kind {
        Kind::Or(_) => Binding::Or,
        Kind::And(_) => Binding::And,
        Kind::Compare(..) => Binding::Compare,
        Kind::Not(_) => Binding::Not,
        _ => Binding::Value,
    };
    if binding < wanted { write!(f, "({expr})") } else { write!(f, "{expr}") }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    separator: &str,
    wanted: Binding,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        grouped(f, part, wanted)?;
    }
    Ok(())
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(number) => f.write_str(number),
            Self::Text(text) => quoted(f, text),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) if is_word(key) => write!(f, ".{key}")?,
                Step::Key(key) => {
                    f.write_str("[")?;
                    quoted(f, key)?;
                    f.write_str("]")?;
                }
            }
        }
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    key.starts_with(lex::is_word_start) && key.chars().all(lex::is_word)
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
