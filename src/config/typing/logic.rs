//! Parts of a condition that say the same of every event: `duration > 60 and duration < 30`.
//!
//! For each part that asks about one value only, the values that can make it true and those that can make it false are
//! known; `and` and `or` join them. A part that no value makes true is never true, one that no value makes false is
//! never false.

use std::collections::BTreeSet;
use std::ops::Range;

use super::kinds::Kinds;
use super::sets::{Interval, Set, Texts};
use super::{Finding, Place, place, quoted};
use crate::config::Severity;
use crate::config::schemas::Seen;
use crate::rules::condition::ast::{Expr, Function, Kind, Literal, Operator, Path};
use crate::rules::fields::{Name, Number};

/// Longer parts aren't repeated in a message: the line below it shows them.
const SHOWN: usize = 48;

/// So many parts are looked at in pairs.
const PAIRED: usize = 64;

/// Finds what is always or never true. What stands at one of `taken` has been complained of already.
pub(super) fn check(condition: &Expr, seen: &Seen, taken: &[Range<usize>]) -> Vec<Finding> {
    let mut logic = Logic { seen, taken, findings: Vec::new() };
    logic.visit(condition);
    if let Kind::Literal(Literal::Bool(value)) = &condition.kind {
        let hint = if *value {
            "leave `when` out: without it a rule takes every event"
        } else {
            "write `enabled = false` to switch a rule off"
        };
        logic.constant(condition, *value, hint);
    }
    logic.findings
}

/// What makes a part true and what makes it false; it may be too much, never too little.
#[derive(Clone)]
struct Truth {
    /// The value that is asked about, written in one way only.
    of: String,
    /// The values that it may have at all.
    may: Set,
    yes: Set,
    no: Set,
    /// Whether `may` holds the documented values only.
    listed: bool,
}

struct Logic<'s> {
    seen: &'s Seen,
    taken: &'s [Range<usize>],
    findings: Vec<Finding>,
}

impl Logic<'_> {
    /// What a part says of the one value that it asks about; none if there are several, or something is wrong in it.
    fn visit(&mut self, expr: &Expr) -> Option<Truth> {
        match &expr.kind {
            Kind::And(parts) => self.joined(expr, parts, true),
            Kind::Or(parts) => self.joined(expr, parts, false),
            Kind::Not(inner) => {
                let truth = self.visit(inner)?;
                Some(Truth { yes: truth.no, no: truth.yes, ..truth })
            }
            _ => {
                let known = self.findings.len();
                let truth = self.leaf(expr);
                if self.findings.len() > known || self.is_taken(expr) {
                    return None;
                }
                let truth = truth?;
                (!self.says_the_same(expr, &truth, &[])).then_some(truth)
            }
        }
    }

    fn joined(&mut self, expr: &Expr, parts: &[Expr], and: bool) -> Option<Truth> {
        let mut truths: Vec<(&Expr, Truth)> = Vec::new();
        let mut others = false;
        for part in parts {
            if let Kind::Literal(Literal::Bool(value)) = &part.kind {
                let hint = if *value == and {
                    "leave it out: it changes nothing"
                } else {
                    "leave it out: beside it the rest doesn't matter"
                };
                self.constant(part, *value, hint);
                others = true;
                continue;
            }
            match self.visit(part) {
                Some(truth) => truths.push((part, truth)),
                None => others = true,
            }
        }
        let mut told = false;
        let mut all: Option<Truth> = None;
        while let Some((_, first)) = truths.first() {
            let (of, may, listed) = (first.of.clone(), first.may.clone(), first.listed);
            let (group, rest): (Vec<_>, Vec<_>) = truths.into_iter().partition(|(_, t)| t.of == of);
            truths = rest;
            let joined = join(group.iter().map(|(_, t)| t), and, of, may, listed);
            if group.len() > 1 {
                let parts: Vec<_> = group.iter().map(|(e, t)| (*e, t)).collect();
                told |= self.says_the_same(expr, &joined, &meant(&parts, and));
            }
            others |= !truths.is_empty();
            all = Some(joined);
        }
        all.filter(|_| !others && !told)
    }

    /// A comparison of one value with constants.
    fn leaf(&mut self, expr: &Expr) -> Option<Truth> {
        match &expr.kind {
            Kind::Path(_) => {
                let mut truth = self.about(expr)?;
                truth.yes = Set { yes: true, ..Set::none() };
                truth.no = Set { no: true, ..Set::none() };
                Some(truth)
            }
            Kind::Call(Function::Has, arguments) => {
                let mut truth = self.about(arguments.first()?)?;
                truth.yes = Set { null: false, ..Set::all() };
                truth.no = Set { null: true, ..Set::none() };
                Some(truth)
            }
            Kind::Compare(operator, left, right) => self.compare(*operator, expr, left, right),
            _ => None,
        }
    }

    fn compare(
        &mut self,
        operator: Operator,
        expr: &Expr,
        left: &Expr,
        right: &Expr,
    ) -> Option<Truth> {
        if is_constant(left) && is_constant(right) {
            let message =
                format!("{} names no field: it says the same of every event", quoted(expr));
            let hint = "a field's name stands without quotes".to_owned();
            self.push("constant-part", expr.span.clone(), message, hint);
            return None;
        }
        let (value, constant, operator) = if is_constant(right) {
            (left, right, operator)
        } else if is_constant(left) && operator != Operator::In {
            (right, left, flipped(operator))
        } else {
            let (a, b) = (self.about(left)?, self.about(right)?);
            if a.of == b.of && operator != Operator::In {
                let message = format!("{} compares {} with itself", quoted(expr), quoted(left));
                let hint = "compare it with another field or a value".to_owned();
                self.push("constant-part", expr.span.clone(), message, hint);
            }
            return None;
        };
        let mut truth = self.about(value)?;
        let whole = truth.whole(value, self.seen);
        match (operator, &constant.kind) {
            (Operator::In, Kind::List(items)) => {
                let sets: Option<Vec<Set>> = items.iter().map(one).collect();
                let yes = sets?.iter().fold(Set::none(), |all, one| all.or(one));
                truth.no = other_than(items)?;
                truth.yes = yes;
            }
            (Operator::Equal | Operator::NotEqual, _) => {
                let yes = one(constant)?;
                let no = other_than(std::slice::from_ref(constant))?;
                (truth.yes, truth.no) =
                    if operator == Operator::Equal { (yes, no) } else { (no, yes) };
                if let (Kind::Call(Function::LowerAscii, _), Kind::Literal(Literal::Text(text))) =
                    (&value.kind, &constant.kind)
                    && text.bytes().any(|b| b.is_ascii_uppercase())
                {
                    let message = format!(
                        "{} has no capital letters, so it never equals {text:?}",
                        quoted(value)
                    );
                    let hint = format!("write {:?}", text.to_ascii_lowercase());
                    self.push("always-false", expr.span.clone(), message, hint);
                    return None;
                }
            }
            (_, Kind::Literal(Literal::Number(number))) => {
                let (yes, no) = order(operator, number, whole);
                truth.yes = Set { numbers: vec![yes], ..Set::none() };
                truth.no = Set { numbers: vec![no], ..Set::none() };
            }
            // The order of texts isn't followed.
            _ => return None,
        }
        Some(truth)
    }

    /// A truth of which only the value that it is about is known.
    fn about(&self, value: &Expr) -> Option<Truth> {
        let text = |path: &Path| match path.name() {
            Some(Name::Data(steps)) if !steps.is_empty() => Some(Path { steps }.to_string()),
            Some(_) => Some(path.to_string()),
            None => None,
        };
        let (of, may, listed) = match &value.kind {
            Kind::Path(path) => {
                let place = place(path, self.seen);
                let (may, listed) = domain(&place);
                (text(path)?, may, listed)
            }
            Kind::Call(function @ (Function::Size | Function::LowerAscii), arguments) => {
                let Kind::Path(path) = &arguments.first()?.kind else { return None };
                let of = format!("{}({})", function.name(), text(path)?);
                let may = match function {
                    Function::Size => {
                        Set { numbers: vec![Interval::above("0", true)], ..Set::none() }
                    }
                    _ => Set { texts: Texts::AllBut(BTreeSet::new()), ..Set::none() },
                };
                let nullable = !place(path, self.seen).never_null;
                (of, Set { null: nullable, ..may }, false)
            }
            _ => return None,
        };
        Some(Truth { of, may, yes: Set::none(), no: Set::none(), listed })
    }

    /// Says so if no value makes it true, or none makes it false. `parts` are those that it comes from.
    fn says_the_same(&mut self, expr: &Expr, truth: &Truth, parts: &[&Expr]) -> bool {
        // The documented values are not all that may come, so only what is true of each of them counts on the list.
        let never = truth.yes.and(&widened(&truth.may, truth.listed)).is_empty();
        let always = !never && truth.no.and(&truth.may).is_empty();
        if !never && !always {
            return false;
        }
        let (from, to) = match (parts.first(), parts.last()) {
            (Some(first), Some(last)) => (first.span.start, last.span.end),
            _ => (expr.span.start, expr.span.end),
        };
        if self.taken.iter().any(|t| from <= t.start && t.end <= to) {
            return true;
        }
        let shown: Vec<String> = parts.iter().map(|p| quoted(p)).collect();
        let (code, message) = if never {
            let message = match shown.as_slice() {
                [] => format!("{} is never true", quoted(expr)),
                [a, b] if a.len() + b.len() < SHOWN => format!("{a} and {b} are never both true"),
                [_, _] => "the first and the last of these are never both true".to_owned(),
                _ => "these parts are never all true of the same event".to_owned(),
            };
            ("always-false", message)
        } else {
            let exact = truth.no.and(&widened(&truth.may, truth.listed)).is_empty();
            let value = &truth.of;
            let of = if exact {
                format!("whatever `{value}` is")
            } else {
                format!("for every documented value of `{value}`")
            };
            let but = if truth.may.null && !truth.yes.null { ", null aside" } else { "" };
            let message = match shown.as_slice() {
                [] => format!("{} is true {of}{but}", quoted(expr)),
                [a, b] if a.len() + b.len() < SHOWN => format!("{a} or {b} is true {of}{but}"),
                _ => format!("one of these is true {of}{but}"),
            };
            ("always-true", message)
        };
        let hint = hint(never, parts, truth);
        self.push(code, from..to, message, hint);
        true
    }

    fn constant(&mut self, expr: &Expr, value: bool, hint: &str) {
        let message = format!("`{value}` says the same of every event");
        self.push("constant-part", expr.span.clone(), message, hint.to_owned());
    }

    fn is_taken(&self, expr: &Expr) -> bool {
        self.taken.iter().any(|t| expr.span.start <= t.start && t.end <= expr.span.end)
    }

    fn push(&mut self, code: &'static str, span: Range<usize>, message: String, hint: String) {
        let severity = Severity::Warning;
        self.findings.push(Finding { code, severity, span, message, hint: Some(hint) });
    }
}

impl Truth {
    /// Whether the value is a whole number.
    fn whole(&self, value: &Expr, seen: &Seen) -> bool {
        match &value.kind {
            Kind::Path(path) => place(path, seen).is_whole(),
            Kind::Call(Function::Size, _) => true,
            _ => false,
        }
    }
}

/// The set without a word of which texts are documented.
fn widened(may: &Set, listed: bool) -> Set {
    if !listed {
        return may.clone();
    }
    Set { texts: Texts::AllBut(BTreeSet::new()), ..may.clone() }
}

fn join<'t>(
    truths: impl Iterator<Item = &'t Truth>,
    and: bool,
    of: String,
    may: Set,
    listed: bool,
) -> Truth {
    let (yes, no) = if and { (Set::all(), Set::none()) } else { (Set::none(), Set::all()) };
    let start = Truth { of, may, yes, no, listed };
    truths.fold(start, |all, t| {
        let (yes, no) = if and {
            (all.yes.and(&t.yes), all.no.or(&t.no))
        } else {
            (all.yes.or(&t.yes), all.no.and(&t.no))
        };
        Truth { yes, no, ..all }
    })
}

/// The two parts that alone make it so, or all of them.
fn meant<'e>(parts: &[(&'e Expr, &Truth)], and: bool) -> Vec<&'e Expr> {
    let some = &parts[..parts.len().min(PAIRED)];
    for (at, (first, a)) in some.iter().enumerate() {
        for (second, b) in &some[at + 1..] {
            let may = widened(&a.may, a.listed);
            let pair = join([*a, *b].into_iter(), and, String::new(), may.clone(), false);
            let (decides, alone) =
                if and { (&pair.yes, [&a.yes, &b.yes]) } else { (&pair.no, [&a.no, &b.no]) };
            if decides.and(&may).is_empty() && alone.iter().all(|s| !s.and(&may).is_empty()) {
                return vec![first, second];
            }
        }
    }
    parts.iter().map(|(e, _)| *e).collect()
}

fn hint(never: bool, parts: &[&Expr], truth: &Truth) -> String {
    let operator = |e: &Expr| match &e.kind {
        Kind::Compare(operator, ..) => Some(*operator),
        _ => None,
    };
    let each =
        |wanted: Operator| parts.len() > 1 && parts.iter().all(|p| operator(p) == Some(wanted));
    let field = &truth.of;
    if never && each(Operator::Equal) {
        format!("for either of them write `{field} in [ … ]`")
    } else if never && parts.len() > 1 {
        "did you mean `or`?".to_owned()
    } else if never {
        "no event can make the rule fire by this part".to_owned()
    } else if each(Operator::NotEqual) {
        format!("for none of them write `not ({field} in [ … ])`, or join them by `and`")
    } else if each(Operator::Equal) {
        "leave it out, unless other values may come".to_owned()
    } else if parts.len() > 1 && truth.may.null && !truth.yes.null {
        format!("did you mean `and`? for any value but null write `has({field})`")
    } else if parts.len() > 1 {
        "did you mean `and`?".to_owned()
    } else {
        "leave this part out".to_owned()
    }
}

/// The values that a field may have, and whether its texts are only the documented ones.
fn domain(place: &Place<'_>) -> (Set, bool) {
    let has = |kind| place.kinds.meets(kind);
    let mut set = Set::none();
    set.null = has(Kinds::NULL);
    set.yes = has(Kinds::BOOL);
    set.no = has(Kinds::BOOL);
    set.other = has(Kinds::LIST.or(Kinds::OBJECT));
    if has(Kinds::NUMBER) {
        set.numbers = vec![Interval::default()];
    }
    let listed = place.values().filter(|_| !set.null);
    match &listed {
        Some(values) if has(Kinds::TEXT) => {
            set.texts = Texts::Only(values.iter().map(|v| (*v).to_owned()).collect());
        }
        _ if has(Kinds::TEXT) => set.texts = Texts::AllBut(BTreeSet::new()),
        _ => {}
    }
    (set, listed.is_some())
}

/// The one value that a constant is; none for lists.
fn one(constant: &Expr) -> Option<Set> {
    let Kind::Literal(literal) = &constant.kind else { return None };
    let none = Set::none();
    Some(match literal {
        Literal::Null => Set { null: true, ..none },
        Literal::Bool(value) => Set { yes: *value, no: !value, ..none },
        Literal::Number(number) => Set { numbers: vec![Interval::point(number)], ..none },
        Literal::Text(text) => Set { texts: Texts::Only(BTreeSet::from([text.clone()])), ..none },
    })
}

/// Every value but those of `constants`.
fn other_than(constants: &[Expr]) -> Option<Set> {
    let mut all = Set::all();
    let mut texts = BTreeSet::new();
    for constant in constants {
        let Kind::Literal(literal) = &constant.kind else { return None };
        match literal {
            Literal::Null => all.null = false,
            Literal::Bool(true) => all.yes = false,
            Literal::Bool(false) => all.no = false,
            Literal::Number(number) => {
                let but = Set {
                    numbers: vec![Interval::below(number, false), Interval::above(number, false)],
                    ..Set::all()
                };
                all = all.and(&but);
            }
            Literal::Text(text) => _ = texts.insert(text.clone()),
        }
    }
    all.texts = Texts::AllBut(texts);
    Some(all)
}

/// The numbers that an order takes and those that it doesn't. Between two whole numbers there is none.
fn order(operator: Operator, number: &str, whole: bool) -> (Interval, Interval) {
    let int = match Number::parse(number) {
        Some(Number::Int(int)) if whole => Some(int),
        _ => None,
    };
    let above = |included: bool| match int.and_then(|i| i.checked_add(1)) {
        Some(next) if !included => Interval::above(&next.to_string(), true),
        _ => Interval::above(number, included),
    };
    let below = |included: bool| match int.and_then(|i| i.checked_sub(1)) {
        Some(last) if !included => Interval::below(&last.to_string(), true),
        _ => Interval::below(number, included),
    };
    match operator {
        Operator::Less => (below(false), above(true)),
        Operator::LessOrEqual => (below(true), above(false)),
        Operator::Greater => (above(false), below(true)),
        _ => (above(true), below(false)),
    }
}

fn flipped(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        other => other,
    }
}

fn is_constant(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Literal(_) => true,
        Kind::List(items) => items.iter().all(is_constant),
        _ => false,
    }
}
