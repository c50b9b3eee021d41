//! The tree as written becomes the tree that is evaluated: slots for fields, typed constants, built regexes.
//!
//! What can never come out true or false whatever the event (`"a" > 5`, `null < x`, `duration and 5`) is refused
//! here. What depends on the type of a field is not: that is for `check`, which knows the schemas.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::ast::{Expr, Function, Kind, Literal, Operator, Path};
use super::constant::{Constant, ConstantList, constant, is_constant};
use super::{ConditionError, help};
use crate::rules::fields::{Fields, Slot};

/// The bytes that one compiled regular expression may take, as the regex crate counts them.
const REGEX_SIZE: usize = 1 << 20;

/// So many regular expressions may stand in one condition.
const MAX_REGEXES: usize = 32;

/// A part that is true, false or unknown.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) span: Range<usize>,
    pub(super) test: Test,
}

#[derive(Debug)]
pub(super) enum Test {
    And(Vec<Arc<Part>>),
    Or(Vec<Arc<Part>>),
    Not(Arc<Part>),
    Constant(bool),
    /// A field that stands alone.
    Flag(Operand),
    Equal {
        left: Operand,
        right: Operand,
        negated: bool,
    },
    Order {
        left: Operand,
        right: Operand,
        operator: Operator,
    },
    In {
        item: Operand,
        list: Operand,
    },
    /// `item` in a list that names fields.
    OneOf {
        item: Operand,
        list: Vec<Operand>,
    },
    Has(Operand),
    Text {
        function: Function,
        subject: Operand,
        argument: Operand,
    },
    Matches {
        subject: Operand,
        regex: Regex,
    },
}

/// Something that has a value.
#[derive(Debug)]
pub(super) enum Operand {
    /// A field; `read` is its place among the condition's reads.
    Field {
        slot: Slot,
        read: usize,
    },
    Constant(Constant),
    Size(Box<Operand>),
    Lower(Box<Operand>),
    /// A part that stands as a value: `(duration > 60) == true`.
    Part(Box<Part>),
}

/// What is known of a part's type before any event is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Field,
    Bool,
    Number,
    Text,
    List,
    Null,
}

impl Type {
    fn of(expr: &Expr) -> Self {
        match &expr.kind {
            Kind::Path(_) => Self::Field,
            Kind::Literal(Literal::Null) => Self::Null,
            Kind::Literal(Literal::Bool(_)) => Self::Bool,
            Kind::Literal(Literal::Number(_)) => Self::Number,
            Kind::Literal(Literal::Text(_)) => Self::Text,
            Kind::List(_) => Self::List,
            Kind::Call(Function::Size, _) => Self::Number,
            Kind::Call(Function::LowerAscii, _) => Self::Text,
            Kind::Not(_) | Kind::And(_) | Kind::Or(_) | Kind::Compare(..) | Kind::Call(..) => {
                Self::Bool
            }
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Field => "a field",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Null => "null",
        }
    }
}

/// What compiling a condition gathers.
pub(super) struct Compiler<'f> {
    pub(super) fields: &'f mut Fields,
    /// Each field once, as written where it first stands.
    pub(super) reads: Vec<(Arc<str>, Slot)>,
    /// Where each slot is among the reads.
    pub(super) places: HashMap<Slot, usize>,
    pub(super) paths: Vec<(String, Range<usize>)>,
    pub(super) errors: Vec<ConditionError>,
    pub(super) regexes: usize,
}

impl Compiler<'_> {
    /// A part in the place of a condition. After an error it is a stand-in, and the errors count.
    pub(super) fn part(&mut self, expr: &Expr) -> Part {
        let test = match &expr.kind {
            Kind::And(parts) => {
                Test::And(parts.iter().map(|part| Arc::new(self.part(part))).collect())
            }
            Kind::Or(parts) => {
                Test::Or(parts.iter().map(|part| Arc::new(self.part(part))).collect())
            }
            Kind::Not(inner) => Test::Not(Arc::new(self.part(inner))),
            Kind::Literal(Literal::Bool(value)) => Test::Constant(*value),
            Kind::Path(_) => Test::Flag(self.operand(expr)),
            Kind::Compare(operator, left, right) => self.compare(*operator, left, right),
            Kind::Call(Function::Has, arguments) => match arguments.first() {
                Some(argument) => Test::Has(self.operand(argument)),
                None => Test::Constant(false),
            },
            Kind::Call(Function::Matches, arguments) => self.matches(arguments),
            Kind::Call(
                function @ (Function::StartsWith | Function::EndsWith | Function::Contains),
                arguments,
            ) => self.text_test(*function, arguments),
            Kind::Literal(_) | Kind::List(_) | Kind::Call(..) => {
                let word = Type::of(expr).word();
                self.errors.push(help::wrong_type(
                    expr.span.clone(),
                    format!("this is {word}, where true or false is needed"),
                    "compare it with something: `size(summary) > 100`",
                ));
                Test::Constant(false)
            }
        };
        Part { span: expr.span.clone(), test }
    }

    fn compare(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Test {
        match operator {
            Operator::Equal | Operator::NotEqual => Test::Equal {
                left: self.operand(left),
                right: self.operand(right),
                negated: operator == Operator::NotEqual,
            },
            Operator::In => self.member_of(left, right),
            _ => {
                self.check_order(left, right);
                Test::Order { left: self.operand(left), right: self.operand(right), operator }
            }
        }
    }

    fn check_order(&mut self, left: &Expr, right: &Expr) {
        for side in [left, right] {
            let kind = Type::of(side);
            if matches!(kind, Type::Null | Type::List) {
                self.errors.push(help::wrong_type(
                    side.span.clone(),
                    format!("{} has no order", kind.word()),
                    "`<` and `>` compare numbers or texts; null is compared with `==` and `!=`",
                ));
                return;
            }
        }
        let (a, b) = (Type::of(left), Type::of(right));
        if a != b && a != Type::Field && b != Type::Field {
            self.errors.push(help::wrong_type(
                left.span.start..right.span.end,
                format!("{} and {} have no order", a.word(), b.word()),
                "compare a number with a number and a text with a text",
            ));
        }
    }

    fn member_of(&mut self, item: &Expr, list: &Expr) -> Test {
        if let Kind::List(items) = &list.kind {
            if items.iter().all(is_constant) {
                return Test::In { item: self.operand(item), list: self.operand(list) };
            }
            let item = self.operand(item);
            return Test::OneOf { item, list: items.iter().map(|i| self.operand(i)).collect() };
        }
        let kind = Type::of(list);
        if kind != Type::Field {
            let help = if kind == Type::Text {
                "a part of a text is found with `x.contains(\"…\")`; one value is compared with `==`"
            } else {
                "write the values in brackets: `status in [\"failed\", \"cancelled\"]`"
            };
            self.errors.push(help::wrong_type(
                list.span.clone(),
                format!("`in` needs a list, this is {}", kind.word()),
                help,
            ));
        }
        Test::In { item: self.operand(item), list: self.operand(list) }
    }

    fn text_test(&mut self, function: Function, arguments: &[Expr]) -> Test {
        let [subject, argument] = arguments else { return Test::Constant(false) };
        self.needs_text(subject, function);
        self.needs_text(argument, function);
        Test::Text { function, subject: self.operand(subject), argument: self.operand(argument) }
    }

    fn needs_text(&mut self, expr: &Expr, function: Function) {
        let kind = Type::of(expr);
        if !matches!(kind, Type::Text | Type::Field) {
            let help = if function == Function::Contains && kind == Type::List {
                "write `x in [\"a\", \"b\"]`"
            } else {
                help::usage(function)
            };
            self.errors.push(help::wrong_type(
                expr.span.clone(),
                format!("`{}` works on texts, this is {}", function.name(), kind.word()),
                help,
            ));
        }
    }

    fn matches(&mut self, arguments: &[Expr]) -> Test {
        let [subject, pattern] = arguments else { return Test::Constant(false) };
        self.needs_text(subject, Function::Matches);
        let Kind::Literal(Literal::Text(text)) = &pattern.kind else {
            self.errors.push(help::wrong_type(
                pattern.span.clone(),
                "the regular expression must be written out, it can't come from the event",
                "write x.matches(r\"…\"), or x.contains(y) for a plain text",
            ));
            return Test::Constant(false);
        };
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            if self.regexes == MAX_REGEXES + 1 {
                self.errors.push(help::error(
                    "too-many-regexes",
                    pattern.span.clone(),
                    format!("a condition can have at most {MAX_REGEXES} regular expressions"),
                    "join them: x.matches(\"a|b|c\")".to_owned(),
                ));
            }
            return Test::Constant(false);
        }
        let built =
            RegexBuilder::new(text).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).build();
        match built {
            Ok(regex) => Test::Matches { subject: self.operand(subject), regex },
            Err(reason) => {
                self.errors.push(help::regex(pattern.span.clone(), &reason));
                Test::Constant(false)
            }
        }
    }

    fn operand(&mut self, expr: &Expr) -> Operand {
        match &expr.kind {
            Kind::Path(path) => self.field(path, expr.span.clone()),
            Kind::Literal(literal) => Operand::Constant(constant(literal)),
            Kind::List(items) => Operand::Constant(self.constant_list(items)),
            Kind::Call(Function::Size, arguments) => {
                let Some(subject) = arguments.first() else {
                    return Operand::Constant(Constant::Null);
                };
                let kind = Type::of(subject);
                if !matches!(kind, Type::Text | Type::List | Type::Field) {
                    self.errors.push(help::wrong_type(
                        subject.span.clone(),
                        format!(
                            "`size` works on texts, lists and objects, this is {}",
                            kind.word()
                        ),
                        "compare the value itself",
                    ));
                }
                Operand::Size(Box::new(self.operand(subject)))
            }
            Kind::Call(Function::LowerAscii, arguments) => {
                let Some(subject) = arguments.first() else {
                    return Operand::Constant(Constant::Null);
                };
                self.needs_text(subject, Function::LowerAscii);
                Operand::Lower(Box::new(self.operand(subject)))
            }
            _ => Operand::Part(Box::new(self.part(expr))),
        }
    }

    fn field(&mut self, path: &Path, span: Range<usize>) -> Operand {
        let written = path.to_string();
        self.paths.push((written.clone(), span.clone()));
        let Some(name) = path.name() else {
            let steps = std::iter::once(crate::rules::fields::Step::Key("data".into()));
            let inner = Path { steps: steps.chain(path.steps.iter().cloned()).collect() };
            let word = Path { steps: path.steps[..1].to_vec() };
            self.errors.push(help::error(
                "envelope-field",
                span,
                format!("`{word}` is the event's own {word}, a text without fields"),
                format!(
                    "a field of the data that is called so is {}",
                    help::excerpt(&inner.to_string())
                ),
            ));
            return Operand::Constant(Constant::Null);
        };
        let slot = self.fields.intern(&name);
        let next = self.reads.len();
        let read = *self.places.entry(slot).or_insert(next);
        if read == next {
            self.reads.push((written.into(), slot));
        }
        Operand::Field { slot, read }
    }

    fn constant_list(&mut self, items: &[Expr]) -> Constant {
        let mut constants = Vec::with_capacity(items.len());
        for item in items {
            match &item.kind {
                Kind::Literal(literal) => constants.push(constant(literal)),
                Kind::List(inner) => constants.push(self.constant_list(inner)),
                _ => self.errors.push(help::wrong_type(
                    item.span.clone(),
                    "a list that is compared as a whole can hold only values",
                    "fields can stand in a list behind `in`: `x in [customerPhone, fromNumber]`",
                )),
            }
        }
        Constant::List(ConstantList::new(constants))
    }
}

impl Part {
    /// The operands of a leaf; none for what joins parts.
    pub(super) fn operands(&self) -> Vec<&Operand> {
        match &self.test {
            Test::And(_) | Test::Or(_) | Test::Not(_) | Test::Constant(_) => Vec::new(),
            Test::Flag(operand) | Test::Has(operand) => vec![operand],
            Test::Matches { subject, .. } => vec![subject],
            Test::Equal { left, right, .. } | Test::Order { left, right, .. } => vec![left, right],
            Test::In { item, list } => vec![item, list],
            Test::OneOf { item, list } => std::iter::once(item).chain(list).collect(),
            Test::Text { subject, argument, .. } => vec![subject, argument],
        }
    }
}
