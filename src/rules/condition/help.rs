//! What a condition can't say, by name, and what to write instead.
//!
//! People paste SQL, Python, JavaScript and the rest of CEL; each has an answer of its own here rather than
//! "unexpected token".

use std::ops::Range;

use super::ConditionError;
use super::ast::Function;

type Span = Range<usize>;

pub(super) fn error(
    code: &'static str,
    span: Span,
    message: impl Into<String>,
    hint: impl Into<Option<String>>,
) -> ConditionError {
    ConditionError { code, span, message: message.into(), hint: hint.into() }
}

fn hint(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

/// A piece of the person's text, short enough to stand in a message.
pub(super) fn excerpt(text: &str) -> String {
    const LENGTH: usize = 40;
    match text.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

pub(super) fn bytes(span: Span) -> ConditionError {
    error(
        "unsupported-bytes",
        span,
        "byte strings are not supported in conditions",
        hint("leave out the `b`: \"text\""),
    )
}

pub(super) fn character(c: char, span: Span) -> ConditionError {
    let (message, help) = match c {
        '“' | '”' | '„' | '‘' | '’' | '«' | '»' => {
            ("a typographic quote is no quote here".to_owned(), "use \" or '")
        }
        '≥' => ("`≥` is no operator here".to_owned(), "write `>=`"),
        '≤' => ("`≤` is no operator here".to_owned(), "write `<=`"),
        '≠' => ("`≠` is no operator here".to_owned(), "write `!=`"),
        '$' | '@' => (
            format!("`{c}` has no meaning in conditions"),
            "write a field's name alone: `sentiment`, `metadata.campaign_id`",
        ),
        '#' => ("`#` has no meaning in conditions".to_owned(), "a comment begins with `//`"),
        '`' => ("a backtick is no quote here".to_owned(), "use \" or '"),
        '\u{a0}' => ("a no-break space stands here".to_owned(), "write a plain space"),
        c if c.is_alphabetic() => (
            format!("a name can't hold `{c}` when it stands alone"),
            "write data[\"…\"] for a field with such a name, and texts in quotes",
        ),
        c => (
            format!("the character {:?} has no meaning in conditions", c.to_string()),
            "put texts in quotes",
        ),
    };
    error("unexpected-character", span, message, hint(help))
}

pub(super) fn number(text: &str, span: Span) -> ConditionError {
    let written = excerpt(&text[span.clone()]);
    error(
        "invalid-number",
        span,
        format!("`{written}` is no number"),
        hint(
            "numbers have no units or separators: 90, 12.5, 1e3; a length of time is in the field's own unit",
        ),
    )
}

pub(super) fn unclosed_string(span: Span, quote: &str) -> ConditionError {
    error(
        "unclosed-string",
        span,
        "this text is never closed",
        hint(format!("end it with {quote}, and write a quote inside it as \\{}", &quote[..1])),
    )
}

pub(super) fn escape(text: &str, span: Span) -> ConditionError {
    let written = excerpt(&text[span.clone()]);
    error(
        "invalid-escape",
        span,
        format!("`{written}` is no escape"),
        hint("a backslash is written \\\\, or put an r before the quotes: r\"\\d+\""),
    )
}

pub(super) fn too_long(length: usize) -> ConditionError {
    error(
        "condition-too-long",
        0..length,
        format!("the condition has {length} bytes, more than {}", super::MAX_LENGTH),
        hint("split it into several rules"),
    )
}

pub(super) fn too_deep(span: Span) -> ConditionError {
    error(
        "condition-too-deep",
        span,
        format!("the condition is nested more than {} levels deep", super::MAX_DEPTH),
        hint("split it into several rules"),
    )
}

pub(super) fn arithmetic(span: Span, hyphenated: Option<String>) -> ConditionError {
    let help = hyphenated.map_or_else(
        || "compare with the result: `duration > 60`, not `duration / 60 > 1`".to_owned(),
        |path| format!("if it is one field with a hyphen in its name, write {path}"),
    );
    error("unsupported-arithmetic", span, "arithmetic is not supported in conditions", hint(help))
}

pub(super) fn ternary(span: Span) -> ConditionError {
    error(
        "unsupported-ternary",
        span,
        "`a ? b : c` is not supported in conditions",
        hint("write `(a and b) or (not a and c)`, or two rules"),
    )
}

pub(super) fn null_operator(span: Span) -> ConditionError {
    error(
        "unsupported-operator",
        span,
        "`??` and `?.` are not supported in conditions",
        hint(
            "null and missing need no care here: `metadata.tier == \"gold\"` is false when there is no metadata",
        ),
    )
}

pub(super) fn comparison(written: &str, span: Span) -> ConditionError {
    let help = match written {
        "=" | "===" | ":=" => "write `==`",
        "!==" | "<>" => "write `!=`",
        "=<" => "write `<=`",
        "=>" => "write `>=`",
        "=~" | "~" | "!~" => "write `x.matches(\"…\")`, or `not x.matches(\"…\")`",
        "is" => "write `== null` or `!= null`, `== true` or `== false`",
        "not in" => "write `not (x in […])`",
        "like" | "ilike" | "not like" => {
            "write `x.contains(\"…\")`, `x.startsWith(\"…\")` or `x.endsWith(\"…\")`"
        }
        "between" | "not between" => "write `x >= 1 and x <= 5`",
        "eq" => "write `==`",
        "ne" => "write `!=`",
        "lt" => "write `<`",
        "le" | "lte" => "write `<=`",
        "gt" => "write `>`",
        "ge" | "gte" => "write `>=`",
        "contains" | "includes" => "write `x.contains(\"…\")`",
        "startswith" => "write `x.startsWith(\"…\")`",
        "endswith" => "write `x.endsWith(\"…\")`",
        "matches" => "write `x.matches(\"…\")`",
        _ => "write `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`",
    };
    error(
        "unsupported-operator",
        span,
        format!("`{written}` is no operator in conditions"),
        hint(help),
    )
}

pub(super) fn logic(written: &str, span: Span) -> ConditionError {
    let help = match written.to_ascii_lowercase().as_str() {
        "&" | "and" => "write `and` or `&&`",
        "|" | "or" => "write `or` or `||`",
        "xor" | "^" => "write `(a and not b) or (not a and b)`",
        _ => "write `not` or `!`",
    };
    error(
        "unsupported-operator",
        span,
        format!("`{written}` is no operator in conditions"),
        hint(help),
    )
}

pub(super) fn chained(span: Span) -> ConditionError {
    error(
        "chained-comparison",
        span,
        "comparisons can't be chained",
        hint("write `1 < x and x < 5` instead of `1 < x < 5`"),
    )
}

pub(super) fn ambiguous_not(span: Span, not: &str, inner: &str) -> ConditionError {
    error(
        "ambiguous-not",
        span,
        format!("`{not}` binds tighter than a comparison, which is rarely meant"),
        hint(if not == "!" {
            format!("write `!({inner})`")
        } else {
            format!("write `not ({inner})`")
        }),
    )
}

/// What a bare word means that other languages have as a value.
pub(super) fn literal(word: &str, span: Span) -> Option<ConditionError> {
    let meant = match word {
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        "None" | "nil" | "Null" | "NULL" | "Nil" | "undefined" => "null",
        _ => return None,
    };
    Some(error(
        "unsupported-literal",
        span,
        format!("`{word}` is no value in conditions"),
        hint(format!("write `{meant}`; a field that is called so is data.{word}")),
    ))
}

/// Functions that other languages (or the rest of CEL) have, and ours that people look for under another name.
pub(super) fn function(name: &str, span: Span) -> ConditionError {
    let written = excerpt(name);
    let lower = name.to_ascii_lowercase();
    let known = match lower.as_str() {
        "all" | "exists" | "exists_one" | "existsone" | "map" | "filter" | "any" | "some"
        | "every" => {
            return error(
                "unsupported-macro",
                span,
                format!("`{written}` and other macros are not supported in conditions"),
                hint(
                    "ask whether a list holds a value with `\"vip\" in metadata.tags`, and whether a field is there with has(x)",
                ),
            );
        }
        "timestamp" | "duration" | "now" | "date" | "time" | "today" | "gethours"
        | "getminutes" | "getseconds" | "getdayofweek" | "getfullyear" | "getmonth" | "getdate"
        | "getdayofmonth" => {
            return error(
                "unsupported-time",
                span,
                format!("`{written}()` is not supported in conditions: they know no time"),
                hint(
                    "times of day have keys of their own in a rule; a field's time compares as text: `startedAt > \"2026-01-01\"`",
                ),
            );
        }
        "int" | "uint" | "double" | "float" | "number" | "string" | "str" | "bool" | "bytes"
        | "dyn" | "type" | "parseint" | "parsefloat" | "tostring" | "tonumber" => {
            return error(
                "unsupported-conversion",
                span,
                format!("`{written}()` is not supported in conditions: values are never converted"),
                hint(
                    "compare with a value of the field's own type: `duration > 60`, `zip == \"04109\"`",
                ),
            );
        }
        "upper" | "toupper" | "touppercase" | "upperascii" | "uppercase" | "upcase" => {
            return error(
                "unknown-function",
                span,
                format!("there is no function `{written}`"),
                hint("compare in lower case: `x.lowerAscii() == \"…\"`"),
            );
        }
        "isnull" | "isempty" | "defined" | "isdefined" | "notnull" | "exist" => {
            return error(
                "unknown-function",
                span,
                format!("there is no function `{written}`"),
                hint("write `x == null`, `has(x)` or `x == \"\"`"),
            );
        }
        "len" | "length" | "count" => Some(Function::Size),
        "lower" | "tolower" | "tolowercase" | "lowercase" | "downcase" | "casefold" => {
            Some(Function::LowerAscii)
        }
        "includes" | "include" | "indexof" | "find" | "has" => Some(Function::Contains),
        "match" | "regex" | "regexp" | "regexmatch" | "test" | "re" => Some(Function::Matches),
        "hasprefix" | "prefix" | "beginswith" => Some(Function::StartsWith),
        "hassuffix" | "suffix" => Some(Function::EndsWith),
        _ => nearest(&lower),
    };
    let help = match known {
        Some(function) => format!("did you mean `{}`?", usage(function)),
        None => {
            let names: Vec<_> = Function::ALL.iter().map(|f| f.name()).collect();
            format!("the functions are {}", names.join(", "))
        }
    };
    error("unknown-function", span, format!("there is no function `{written}`"), hint(help))
}

fn nearest(lower: &str) -> Option<Function> {
    // Longer names are no slip of the pen, and comparing takes time by their length.
    if lower.len() > 32 {
        return None;
    }
    let bare = lower.replace('_', "");
    Function::ALL
        .into_iter()
        .map(|f| (strsim::damerau_levenshtein(&f.name().to_ascii_lowercase(), &bare), f))
        .filter(|(distance, f)| *distance * 3 <= f.name().len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, f)| f)
}

/// How a function is written.
pub(super) fn usage(function: Function) -> &'static str {
    match function {
        Function::Has => "has(x)",
        Function::Size => "size(x)",
        Function::StartsWith => "x.startsWith(\"…\")",
        Function::EndsWith => "x.endsWith(\"…\")",
        Function::Contains => "x.contains(\"…\")",
        Function::Matches => "x.matches(\"…\")",
        Function::LowerAscii => "x.lowerAscii()",
    }
}

pub(super) fn misused(function: Function, span: Span) -> ConditionError {
    error(
        "wrong-arguments",
        span,
        format!("`{}` is not used like this", function.name()),
        hint(format!("write `{}`", usage(function))),
    )
}

pub(super) fn wrong_type(span: Span, message: impl Into<String>, help: &str) -> ConditionError {
    error("impossible-type", span, message, hint(help))
}

pub(super) fn regex(pattern_span: Span, reason: &regex::Error) -> ConditionError {
    match reason {
        regex::Error::CompiledTooBig(_) => error(
            "regex-too-big",
            pattern_span,
            "the regular expression is too big",
            hint("use smaller repetitions, or contains and startsWith"),
        ),
        reason => {
            // The crate draws the pattern with a caret and ends with a line "error: …".
            let text = reason.to_string();
            let line = text.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
            let why = line.unwrap_or(text.trim());
            error(
                "invalid-regex",
                pattern_span,
                format!("the regular expression is invalid: {why}"),
                hint(
                    "write backslashes in a raw text: r\"\\d+\"; look-around and back references don't exist here",
                ),
            )
        }
    }
}
