//! Conditions: a small subset of CEL, parsed by our own parser and compiled at load.
//!
//! The way of a condition: `lex` and `parse` make the tree as written ([`ast`]), `compile` resolves it to slots and
//! typed constants, `eval` says [`Truth`] for an event's [`Values`], `trace` shows how that came about. `code` is the same
//! as flat code for many rules at once, `access` says by what a condition can be found. `help` has a message for
//! everything that the language leaves out.
//!
//! Beside CEL's `&&`, `||` and `!` there are the words `and`, `or` and `not`. Where CEL gives true or false, so does a
//! condition, and the same. The intended differences: null and a missing field are the same (`has(x)` is false of
//! both); numbers compare by their digits rather than as doubles; numbers beyond 64 bits can be written; what is an
//! error in CEL is unknown here, or refused at load; `!a == b` is refused, since it rarely means what it says.
//!
//! It promises: no text can make it panic or take more than linear time, whatever it is given; and a compiled
//! condition never fails.

mod access;
pub mod ast;
mod code;
mod compile;
mod constant;
mod eval;
mod help;
mod lex;
mod parse;
#[cfg(test)]
pub(in crate::rules) mod tests;
mod trace;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

pub use self::access::{Access, Key};
pub use self::code::{Code, Entry};
pub use self::eval::Truth;
pub use self::trace::{Join, Read, Trace};
use super::fields::{Fields, Slot, Values};

/// The bytes that a condition may have.
pub const MAX_LENGTH: usize = 16 * 1024;

/// The levels that a condition may have; any number of parts joined by `and` are one level.
pub const MAX_DEPTH: usize = 64;

/// A compiled condition. It holds compiled values only and never fails while it is evaluated.
#[derive(Debug)]
pub struct Condition {
    text: Box<str>,
    tree: ast::Expr,
    root: Arc<compile::Part>,
    /// Each field once, as written where it first stands.
    reads: Vec<(Arc<str>, Slot)>,
    paths: Vec<(String, Range<usize>)>,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionError {
    /// A stable code in kebab case, for example `unsupported-arithmetic`.
    pub code: &'static str,
    /// The bytes of the condition's text that are meant.
    pub span: Range<usize>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Condition {
    /// Parses `text` and interns the paths that it reads in `fields`.
    pub fn compile(text: &str, fields: &mut Fields) -> Result<Self, Vec<ConditionError>> {
        let tree = parse::parse(text)?;
        let mut compiler = compile::Compiler {
            fields,
            reads: Vec::new(),
            places: HashMap::new(),
            paths: Vec::new(),
            errors: Vec::new(),
            regexes: 0,
        };
        let root = Arc::new(compiler.part(&tree));
        if !compiler.errors.is_empty() {
            return Err(compiler.errors);
        }
        let (reads, paths) = (compiler.reads, compiler.paths);
        Ok(Self { text: text.into(), tree, root, reads, paths })
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tree as written, for checks that look at more than names.
    pub fn tree(&self) -> &ast::Expr {
        &self.tree
    }

    /// Every path that the condition reads, as written, with its place: for checking names against a schema. A path
    /// that stands there twice is listed twice. [`ast::Path::name`] says what one means.
    pub fn paths(&self) -> &[(String, Range<usize>)] {
        &self.paths
    }

    /// What it says of an event whose fields were read by the [`Fields`] that it was compiled with.
    pub fn eval(&self, values: &Values<'_>) -> Truth {
        self.root.eval(values)
    }

    /// The paths (as first written) whose null, absence or type makes the condition unknown; empty if it isn't.
    pub fn unknown_fields(&self, values: &Values<'_>) -> Vec<Arc<str>> {
        let mut blamed = trace::Blamed::none_of(self.reads.len());
        trace::unknown_reads(&self.root, values, &mut blamed);
        blamed.found.into_iter().map(|read| Arc::clone(&self.reads[read].0)).collect()
    }

    /// Every part with its value, for explaining.
    pub fn trace(&self, values: &Values<'_>) -> Trace {
        let tracer = trace::Tracer { text: &self.text, reads: &self.reads, values };
        let mut trace = tracer.trace(&self.root);
        trace.mark(trace.value);
        trace
    }
}

/// Reads a path alone, such as `metadata.campaign_id`: for settings that name a field.
pub fn parse_path(text: &str) -> Result<ast::Path, ConditionError> {
    let not_a_path = || {
        help::error(
            "not-a-field",
            0..text.len(),
            "this is no field",
            "write a field's name: sentiment, metadata.campaign_id, metadata[\"campaign id\"]"
                .to_owned(),
        )
    };
    match parse::parse(text) {
        Ok(ast::Expr { kind: ast::Kind::Path(path), .. }) => Ok(path),
        Ok(_) => Err(not_a_path()),
        Err(mut errors) if !errors.is_empty() => Err(errors.swap_remove(0)),
        Err(_) => Err(not_a_path()),
    }
}
