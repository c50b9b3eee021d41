//! Conditions against what is known of the events: names that no event has, comparisons that can't be, and parts that
//! say the same of every event ([`logic`]).
//!
//! A pass of its own over the tree as written. Where a rule may also see events that nobody knows, a doubt is a warning
//! at most.

mod kinds;
mod logic;
mod sets;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::kinds::Kinds;
use super::Severity;
use super::reader::{nearest, suggest};
use super::schemas::Seen;
use crate::rules::condition::ast::{Expr, Function, Kind, Literal, Operator, Path};
use crate::rules::fields::{Name, Step};
use crate::rules::source::FieldType;
use crate::rules::source::schema::{Found, Schema};

/// Something wrong or suspicious in a condition.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: &'static str,
    pub(super) severity: Severity,
    /// The bytes of the condition's text.
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// Checks a condition against the events that its rule may see; in the order of the text.
pub(super) fn check(condition: &Expr, seen: &Seen) -> Vec<Finding> {
    let mut typing = Typing { seen, findings: Vec::new() };
    typing.part(condition);
    let taken: Vec<Range<usize>> = typing.findings.iter().map(|f| f.span.clone()).collect();
    let mut findings = typing.findings;
    findings.extend(logic::check(condition, seen, &taken));
    findings.sort_by_key(|f| f.span.start);
    findings
}

/// What is known of a field.
struct Place<'s> {
    kinds: Kinds,
    /// Of each type of event that has it; empty if nothing is known.
    schemas: Vec<&'s Schema>,
    /// Whether it is there and not null in every event that the rule may see.
    never_null: bool,
    /// The step that no event has, and what it was looked for in.
    missing: Option<(usize, &'s Schema)>,
}

impl Place<'_> {
    fn anything() -> Self {
        Self { kinds: Kinds::ANY, schemas: Vec::new(), never_null: false, missing: None }
    }

    fn envelope(kinds: Kinds) -> Self {
        Self { kinds, schemas: Vec::new(), never_null: !kinds.meets(Kinds::NULL), missing: None }
    }

    /// The texts that it is known to have; none where some event may have any.
    fn values(&self) -> Option<Vec<&str>> {
        let listed = self.schemas.iter().all(|s| !s.values.is_empty() || !s.is(FieldType::String));
        let mut all: Vec<&str> =
            self.schemas.iter().flat_map(|s| s.values.iter().map(String::as_str)).collect();
        all.dedup();
        (listed && !all.is_empty()).then_some(all)
    }

    fn is_time(&self) -> bool {
        self.schemas.iter().any(|s| s.is(FieldType::Time))
    }

    fn is_whole(&self) -> bool {
        !self.schemas.is_empty()
            && self.schemas.iter().all(|s| s.is(FieldType::Integer) && !s.is(FieldType::Number))
    }
}

/// What is known of the field `path`.
fn place<'s>(path: &Path, seen: &'s Seen) -> Place<'s> {
    let steps = match path.name() {
        Some(Name::Data(steps)) if !steps.is_empty() => steps,
        Some(Name::Data(_)) => return Place::envelope(Kinds::OBJECT),
        Some(Name::Timestamp) => return Place::envelope(Kinds::TEXT.or(Kinds::NULL)),
        Some(Name::Kind | Name::Id | Name::Source) => return Place::envelope(Kinds::TEXT),
        None => return Place::anything(),
    };
    let mut place = Place { kinds: Kinds::NONE, never_null: seen.complete, ..Place::anything() };
    let (mut missing, mut open) = (None, false);
    for known in &seen.known {
        match known.schema.at(&steps) {
            Found::Known { schema, nullable } => {
                place.kinds = place.kinds.or(Kinds::of(schema));
                place.schemas.push(schema);
                place.never_null &= !nullable && !Kinds::of(schema).meets(Kinds::NULL);
            }
            Found::Open => open = true,
            Found::Missing { step, within } => {
                place.never_null = false;
                missing = Some((step, within));
            }
        }
    }
    if open || place.schemas.is_empty() {
        let missing = missing.filter(|_| !open && place.schemas.is_empty());
        return Place { missing, ..Place::anything() };
    }
    if !place.never_null {
        place.kinds = place.kinds.or(Kinds::NULL);
    }
    place
}

struct Typing<'s> {
    seen: &'s Seen,
    findings: Vec<Finding>,
}

/// One side of a comparison.
struct Side<'e, 's> {
    expr: &'e Expr,
    kinds: Kinds,
    place: Option<Place<'s>>,
}

impl Side<'_, '_> {
    /// `` `duration` is a number``, `60 is a number`.
    fn is(&self) -> String {
        format!("{} is {}", quoted(self.expr), self.kinds.words())
    }
}

/// A part as a message shows it.
fn quoted(expr: &Expr) -> String {
    let text = expr.to_string();
    let short = match text.char_indices().nth(48) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    };
    if matches!(expr.kind, Kind::Literal(_)) { short } else { format!("`{short}`") }
}

impl<'s> Typing<'s> {
    /// A part in the place of a condition.
    fn part(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(|part| self.part(part)),
            Kind::Not(inner) => self.part(inner),
            Kind::Literal(_) | Kind::List(_) => {}
            Kind::Path(_) => self.flag(expr),
            Kind::Compare(operator, left, right) => self.compare(*operator, expr, left, right),
            Kind::Call(Function::Has, arguments) => {
                for argument in arguments {
                    let side = self.operand(argument, None);
                    self.never_null(expr, &side, "true");
                }
            }
            Kind::Call(function, arguments) => self.text_test(*function, arguments),
        }
    }

    /// A field that stands alone: it has to be true or false.
    fn flag(&mut self, expr: &Expr) {
        let side = self.operand(expr, None);
        if side.kinds.meets(Kinds::BOOL) {
            return;
        }
        let field = quoted(expr).replace('`', "");
        let value = side.place.as_ref().and_then(Place::values).and_then(|v| v.first().copied());
        let hint = match value {
            Some(value) => format!("write `{field} == \"{value}\"`, or `has({field})`"),
            None if side.kinds.meets(Kinds::NUMBER) => {
                format!("write `{field} > 0`, or `has({field})`")
            }
            None if side.kinds.meets(Kinds::LIST) => format!("write `size({field}) > 0`"),
            None => format!("write `has({field})`, or compare it with something"),
        };
        let message = format!("{}, where true or false is needed", side.is());
        self.mismatch(expr.span.clone(), message, hint);
    }

    fn compare(&mut self, operator: Operator, expr: &Expr, left: &Expr, right: &Expr) {
        if operator == Operator::In {
            return self.member(expr, left, right);
        }
        let a = self.operand(left, None);
        let b = self.operand(right, Some(&a));
        match operator {
            Operator::Equal | Operator::NotEqual => self.equal(operator, expr, &a, &b),
            _ => self.order(expr, &a, &b),
        }
    }

    fn equal(&mut self, operator: Operator, expr: &Expr, a: &Side<'_, '_>, b: &Side<'_, '_>) {
        let equal = operator == Operator::Equal;
        for (field, other) in [(a, b), (b, a)] {
            if matches!(other.expr.kind, Kind::Literal(Literal::Null)) {
                return self.never_null(expr, field, if equal { "false" } else { "true" });
            }
        }
        if !a.kinds.without(Kinds::NULL).meets(b.kinds) {
            let never = if equal { "never equal" } else { "they always differ" };
            let message = format!("{}, {}: {never}", a.is(), b.is());
            let hint = convert(a, b, operator).or_else(|| convert(b, a, operator));
            return self.mismatch(expr.span.clone(), message, hint.unwrap_or_else(|| expected(a)));
        }
        for (field, other) in [(a, b), (b, a)] {
            if let (Some(place), Kind::Literal(Literal::Text(text))) =
                (&field.place, &other.expr.kind)
            {
                self.value(place, field.expr, text, &other.expr.span);
            }
        }
    }

    fn order(&mut self, expr: &Expr, a: &Side<'_, '_>, b: &Side<'_, '_>) {
        for side in [a, b] {
            if side.place.is_some() && !side.kinds.meets(Kinds::NUMBER.or(Kinds::TEXT)) {
                let message = format!("{}, which has no order", side.is());
                return self.mismatch(expr.span.clone(), message, expected(side));
            }
        }
        let both = a.kinds.and(b.kinds);
        if both.meets(Kinds::NUMBER.or(Kinds::TEXT)) {
            return;
        }
        let message = format!("{}, {}: they have no order", a.is(), b.is());
        let operator = match &expr.kind {
            Kind::Compare(operator, ..) => *operator,
            _ => Operator::Less,
        };
        let hint = convert(a, b, operator).or_else(|| convert(b, a, operator));
        let side = if a.place.is_some() { a } else { b };
        self.mismatch(expr.span.clone(), message, hint.unwrap_or_else(|| expected(side)));
    }

    fn member(&mut self, expr: &Expr, item: &Expr, list: &Expr) {
        let item = self.operand(item, None);
        let Kind::List(values) = &list.kind else {
            let side = self.operand(list, None);
            if side.place.is_some() && !side.kinds.meets(Kinds::LIST) {
                let message = format!("`in` needs a list, and {}", side.is());
                let field = quoted(list).replace('`', "");
                let hint = if side.kinds.meets(Kinds::TEXT) {
                    format!("write `{field}.contains(…)` for a part of a text")
                } else {
                    "write the values in brackets: `x in [\"a\", \"b\"]`".to_owned()
                };
                self.mismatch(list.span.clone(), message, hint);
            } else if let Some(items) = side.place.as_ref().and_then(items)
                && !item.kinds.without(Kinds::NULL).meets(items)
            {
                let message = format!(
                    "{}, and the items of {} are never that but {}",
                    item.is(),
                    quoted(list),
                    items.words()
                );
                self.mismatch(expr.span.clone(), message, "compare with an item's type".to_owned());
            }
            return;
        };
        for value in values {
            let other = self.operand(value, Some(&item));
            if matches!(value.kind, Kind::Literal(Literal::Null)) {
                self.never_null(value, &item, "false");
            } else if !item.kinds.without(Kinds::NULL).meets(other.kinds) {
                let message = format!("{}, {}: never equal", item.is(), other.is());
                let hint = convert(&item, &other, Operator::In).unwrap_or_else(|| expected(&item));
                self.mismatch(value.span.clone(), message, hint);
            } else if let (Some(place), Kind::Literal(Literal::Text(text))) =
                (&item.place, &value.kind)
            {
                self.value(place, item.expr, text, &value.span);
            }
        }
    }

    fn text_test(&mut self, function: Function, arguments: &[Expr]) {
        for (at, argument) in arguments.iter().enumerate() {
            let side = self.operand(argument, None);
            if side.place.is_none() || side.kinds.meets(Kinds::TEXT) {
                continue;
            }
            let message = format!("`{}` works on texts, and {}", function.name(), side.is());
            let field = quoted(argument).replace('`', "");
            let hint = if at == 0 && side.kinds.meets(Kinds::LIST) {
                format!("write `\"…\" in {field}` to look for an item")
            } else {
                expected(&side)
            };
            self.mismatch(argument.span.clone(), message, hint);
        }
    }

    /// A value; `beside` is what it is compared with, on its left.
    fn operand<'e>(&mut self, expr: &'e Expr, beside: Option<&Side<'_, '_>>) -> Side<'e, 's> {
        let kinds = match &expr.kind {
            Kind::Path(path) => {
                let place = place(path, self.seen);
                if let Some((step, within)) = place.missing {
                    self.missing(expr, path, step, within, beside);
                } else if place.schemas.is_empty() {
                    self.bare_word(expr, path, beside);
                }
                return Side { expr, kinds: place.kinds, place: Some(place) };
            }
            Kind::Literal(Literal::Null) => Kinds::NULL,
            Kind::Literal(Literal::Bool(_)) => Kinds::BOOL,
            Kind::Literal(Literal::Number(_)) => Kinds::NUMBER,
            Kind::Literal(Literal::Text(_)) => Kinds::TEXT,
            Kind::List(items) => {
                for item in items {
                    self.operand(item, None);
                }
                Kinds::LIST
            }
            Kind::Call(Function::Size, arguments) => {
                let sized = Kinds::TEXT.or(Kinds::LIST).or(Kinds::OBJECT);
                for argument in arguments {
                    let side = self.operand(argument, None);
                    if side.place.is_some() && !side.kinds.meets(sized) {
                        let message = format!("`size` counts, and {}", side.is());
                        self.mismatch(argument.span.clone(), message, expected(&side));
                    }
                }
                Kinds::NUMBER
            }
            Kind::Call(Function::LowerAscii, arguments) => {
                self.text_test(Function::LowerAscii, arguments);
                Kinds::TEXT
            }
            _ => {
                self.part(expr);
                Kinds::BOOL
            }
        };
        Side { expr, kinds, place: None }
    }

    /// A field that none of the known events has.
    fn missing(
        &mut self,
        expr: &Expr,
        path: &Path,
        step: usize,
        within: &Schema,
        beside: Option<&Side<'_, '_>>,
    ) {
        let steps = match path.name() {
            Some(Name::Data(steps)) => steps,
            _ => path.steps.clone(),
        };
        let Some(Step::Key(name)) = steps.get(step) else {
            let above = Path { steps: steps[..step].to_vec() };
            let message = format!("`{above}` is {}, not a list", Kinds::of(within).words());
            return self.push(
                "unknown-field",
                expr.span.clone(),
                message,
                "write the field alone".to_owned(),
            );
        };
        let text = beside.filter(|_| steps.len() == 1 && path.steps.len() == 1);
        if step == 0 {
            let known = self.seen.fields();
            let near = nearest(name, &known);
            let quotes = format!("did you mean \"{name}\"? text stands in quotes");
            let hint = match (near, text) {
                // The text that is compared with may be known to be this one.
                (_, Some(side)) if near_value(side, name).is_some() => {
                    let value = near_value(side, name).unwrap_or_default();
                    format!("did you mean \"{value}\"? text stands in quotes")
                }
                (Some(field), _) => format!("did you mean `{field}`?"),
                (None, Some(_)) => quotes,
                (None, None) => suggest(name, &known, "its fields are"),
            };
            if self.seen.complete {
                let message = format!("{} has no field `{name}`", self.seen.names());
                self.push("unknown-field", expr.span.clone(), message, hint);
            } else if !self.seen.elsewhere.iter().any(|f| **f == **name) {
                let known = "no known event has a field";
                if text.is_some() {
                    let message = format!("{known} `{name}`");
                    self.warn("bare-word", expr.span.clone(), message, hint);
                } else if near.is_some() {
                    self.warn(
                        "doubtful-field",
                        expr.span.clone(),
                        format!("{known} `{name}`"),
                        hint,
                    );
                }
            }
            return;
        }
        let above = Path { steps: steps[..step].to_vec() };
        let known: Vec<&str> = within.fields.keys().map(String::as_str).collect();
        let (message, hint) = if within.fields.is_empty() {
            let words = Kinds::of(within).words();
            (format!("`{above}` is {words}, without fields"), "write the field alone".to_owned())
        } else {
            (format!("`{above}` has no field `{name}`"), suggest(name, &known, "its fields are"))
        };
        if self.seen.complete {
            self.push("unknown-field", expr.span.clone(), message, hint);
        } else {
            self.warn("doubtful-field", expr.span.clone(), message, hint);
        }
    }

    /// A word on the right of a comparison that no event anywhere is known to have as a field, where nothing is known
    /// of the rule's own events.
    fn bare_word(&mut self, expr: &Expr, path: &Path, beside: Option<&Side<'_, '_>>) {
        let [Step::Key(name)] = path.steps.as_slice() else { return };
        let elsewhere = &self.seen.elsewhere;
        if beside.is_none()
            || !self.seen.known.is_empty()
            || elsewhere.is_empty()
            || !matches!(path.name(), Some(Name::Data(steps)) if !steps.is_empty())
            || elsewhere.iter().any(|f| **f == **name)
        {
            return;
        }
        let message = format!("no known event has a field `{name}`");
        let hint = format!("did you mean \"{name}\"? text stands in quotes");
        self.warn("bare-word", expr.span.clone(), message, hint);
    }

    /// A text that a field is compared with, against the values that it is known to have.
    fn value(&mut self, place: &Place<'_>, field: &Expr, text: &str, span: &Range<usize>) {
        let Some(known) = place.values() else { return };
        if known.contains(&text) {
            return;
        }
        let near = nearest(text, &known);
        if near.is_none() && !self.seen.complete {
            return;
        }
        let hint = match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => {
                let listed: Vec<String> =
                    known.iter().take(12).map(|v| format!("\"{v}\"")).collect();
                format!("its values are {}; there may be others", listed.join(", "))
            }
        };
        let message = format!("{text:?} is no documented value of {}", quoted(field));
        self.warn("undocumented-value", span.clone(), message, hint);
    }

    /// A question for null where there never is one.
    fn never_null(&mut self, expr: &Expr, side: &Side<'_, '_>, always: &str) {
        let Some(place) = side.place.as_ref().filter(|p| p.never_null) else { return };
        let of = if place.schemas.is_empty() {
            String::new()
        } else {
            format!(" in {}", self.seen.names())
        };
        let message = format!("{} is never null{of}: this is always {always}", quoted(side.expr));
        self.warn("never-null", expr.span.clone(), message, "leave this part out".to_owned());
    }

    /// Types that don't fit: an error where every event is known, else a doubt.
    fn mismatch(&mut self, span: Range<usize>, message: String, hint: String) {
        if self.seen.complete || self.seen.known.is_empty() {
            self.push("impossible-type", span, message, hint);
        } else {
            self.warn("doubtful-type", span, message, hint);
        }
    }

    fn push(&mut self, code: &'static str, span: Range<usize>, message: String, hint: String) {
        let severity = Severity::Error;
        self.findings.push(Finding { code, severity, span, message, hint: Some(hint) });
    }

    fn warn(&mut self, code: &'static str, span: Range<usize>, message: String, hint: String) {
        let severity = Severity::Warning;
        self.findings.push(Finding { code, severity, span, message, hint: Some(hint) });
    }
}

/// The known value of the field `side` that `word` is, or is near to.
fn near_value<'v>(side: &'v Side<'_, '_>, word: &str) -> Option<&'v str> {
    let known = side.place.as_ref().and_then(Place::values)?;
    known.iter().find(|v| **v == word).copied().or_else(|| nearest(word, &known))
}

/// What the items of a list may be, where that is known.
fn items(place: &Place<'_>) -> Option<Kinds> {
    let mut all = Kinds::NONE;
    for schema in &place.schemas {
        all = all.or(Kinds::of(schema.items.as_deref()?));
    }
    (all != Kinds::NONE && place.kinds.without(Kinds::NULL) == Kinds::LIST).then_some(all)
}

/// How the constant `other` is written for the type of `field`.
fn convert(field: &Side<'_, '_>, other: &Side<'_, '_>, operator: Operator) -> Option<String> {
    field.place.as_ref()?;
    let Kind::Literal(literal) = &other.expr.kind else { return None };
    let value = match literal {
        Literal::Text(text) if field.kinds.meets(Kinds::NUMBER) => {
            crate::rules::fields::Number::parse(text)?;
            text.clone()
        }
        Literal::Text(text) if field.kinds.meets(Kinds::BOOL) => match &*text.to_lowercase() {
            "true" | "yes" | "1" => "true".to_owned(),
            "false" | "no" | "0" => "false".to_owned(),
            _ => return None,
        },
        Literal::Number(number) if field.kinds.meets(Kinds::BOOL) => match &**number {
            "1" => "true".to_owned(),
            "0" => "false".to_owned(),
            _ => return None,
        },
        Literal::Number(_) | Literal::Bool(_)
            if field.kinds.meets(Kinds::TEXT)
                && !field.place.as_ref().is_some_and(Place::is_time)
                && matches!(operator, Operator::Equal | Operator::NotEqual | Operator::In) =>
        {
            format!("\"{literal}\"")
        }
        _ => return None,
    };
    Some(match operator {
        Operator::In => format!("write `{value}`"),
        _ => format!("write `{} {} {value}`", field.expr, operator.text()),
    })
}

/// How a field of this type is asked for.
fn expected(side: &Side<'_, '_>) -> String {
    let Some(place) = &side.place else {
        return "compare values of the same type".to_owned();
    };
    let field = side.expr;
    if let Some(value) = place.values().and_then(|v| v.first().copied()) {
        format!("write a text: `{field} == \"{value}\"`")
    } else if place.is_time() {
        format!("a time is a text: `{field} > \"2026-01-01\"`")
    } else if side.kinds.meets(Kinds::NUMBER) {
        format!("write a number without quotes: `{field} > 60`")
    } else if side.kinds.meets(Kinds::BOOL) {
        format!("write `{field} == true` or `{field} == false`")
    } else if side.kinds.meets(Kinds::TEXT) {
        format!("write a text in quotes: `{field} == \"…\"`, `{field}.contains(\"…\")`")
    } else if side.kinds.meets(Kinds::LIST) {
        format!("write `\"…\" in {field}` or `size({field}) > 0`")
    } else {
        format!("name one of its fields: `{field}.name == \"…\"`")
    }
}
