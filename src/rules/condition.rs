//! Conditions: a small subset of CEL, parsed by our own parser and compiled at load.

use std::ops::Range;

use super::fields::Fields;

/// A compiled condition. It holds compiled values only and never fails while it is evaluated.
#[derive(Debug)]
pub struct Condition {}

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
        let _ = (text, fields);
        todo!()
    }

    /// Every path that the condition reads, as written, with its place: for checking names against a schema.
    pub fn paths(&self) -> &[(String, Range<usize>)] {
        todo!()
    }
}
