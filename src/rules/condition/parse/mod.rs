//! Tokens to a tree: operator precedence by descent, one function a level, loosest first.
//!
//! What other languages write differently is recognised, reported and read on from, so that one run shows all of it.

mod value;

use std::ops::Range;

use super::ast::{Expr, Kind, Literal, Operator, Path};
use super::lex::{self, Token};
use super::{ConditionError, MAX_DEPTH, MAX_LENGTH, help};
use crate::rules::fields::Step;

/// More errors than this help nobody.
const MAX_ERRORS: usize = 20;

/// Reads a whole condition.
pub(super) fn parse(text: &str) -> Result<Expr, Vec<ConditionError>> {
    if text.len() > MAX_LENGTH {
        return Err(vec![help::too_long(text.len())]);
    }
    let tokens = lex::tokens(text).map_err(|error| vec![error])?;
    if tokens.len() == 1 {
        return Err(vec![help::error(
            "empty-condition",
            0..text.len(),
            "the condition is empty",
            "leave `when` out for a rule without condition".to_owned(),
        )]);
    }
    let mut parser = Parser { text, tokens, at: 0, depth: 0, errors: Vec::new() };
    let parsed = parser.whole();
    match parsed {
        Ok(expr) if parser.errors.is_empty() => Ok(expr),
        _ => Err(parser.errors),
    }
}

/// The error is recorded; there is nothing to go on with.
struct Stop;

type Parsed<T = Expr> = Result<T, Stop>;

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<(Token<'t>, Range<usize>)>,
    at: usize,
    depth: usize,
    errors: Vec<ConditionError>,
}

impl<'t> Parser<'t> {
    fn token(&self) -> &Token<'t> {
        &self.tokens[self.at].0
    }

    fn ahead(&self, by: usize) -> &Token<'t> {
        &self.tokens[(self.at + by).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Range<usize> {
        self.tokens[self.at].1.clone()
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.token(), Token::Symbol(s) if *s == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let found = self.is(symbol);
        if found {
            self.advance();
        }
        found
    }

    /// From the token at index `start` to the last one taken.
    fn since(&self, start: usize) -> Range<usize> {
        let end = self.at.saturating_sub(1).max(start);
        self.tokens[start].1.start..self.tokens[end].1.end
    }

    fn report(&mut self, error: ConditionError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    fn stop<T>(&mut self, error: ConditionError) -> Parsed<T> {
        self.report(error);
        Err(Stop)
    }

    fn node(&mut self, kind: Kind, span: Range<usize>) -> Parsed {
        let node = Expr::new(kind, span);
        if node.height > MAX_DEPTH { self.stop(help::too_deep(node.span)) } else { Ok(node) }
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            let span = self.span();
            return self.stop(help::too_deep(span));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn whole(&mut self) -> Parsed {
        let expr = self.expression()?;
        if *self.token() == Token::End {
            return Ok(expr);
        }
        let error = self.leftover();
        self.stop(error)
    }

    fn leftover(&self) -> ConditionError {
        let span = self.span();
        let written = help::excerpt(&self.text[span.clone()]);
        let not = self.at.checked_sub(1).map(|at| &self.tokens[at]);
        if let Some((Token::Word(word), span)) = not
            && word.eq_ignore_ascii_case("not")
        {
            return help::logic(word, span.clone());
        }
        let hint = match self.token() {
            Token::Symbol(")") => "there is no ( for it".to_owned(),
            Token::Symbol("]") => "there is no [ for it".to_owned(),
            Token::Symbol(",") => "join conditions with `and` or `or`".to_owned(),
            Token::Symbol(";") => "a condition is one expression; leave it out".to_owned(),
            Token::Symbol("{") => {
                "objects can't be written in conditions; compare one field at a time".to_owned()
            }
            _ => "join conditions with `and` or `or`, and put texts in quotes".to_owned(),
        };
        help::error("unexpected-token", span, format!("unexpected `{written}`"), hint)
    }

    /// `a or b`, and the ternary that isn't supported.
    fn expression(&mut self) -> Parsed {
        let start = self.at;
        let expr = self.or()?;
        if self.is("?") {
            self.advance();
            self.deeper(Self::expression)?;
            if self.eat(":") {
                self.deeper(Self::expression)?;
            }
            let span = self.since(start);
            self.report(help::ternary(span));
        } else if self.is("??") {
            let span = self.span();
            self.report(help::null_operator(span));
            self.advance();
            self.deeper(Self::expression)?;
        }
        Ok(expr)
    }

    fn or(&mut self) -> Parsed {
        self.chain(Self::and, "||", "or", &["|", "^"], &["xor"], Kind::Or)
    }

    fn and(&mut self) -> Parsed {
        self.chain(Self::relation, "&&", "and", &["&"], &[], Kind::And)
    }

    /// `part symbol part word part …`: one node for any number of parts, so that length is not depth.
    fn chain(
        &mut self,
        part: fn(&mut Self) -> Parsed,
        symbol: &str,
        word: &str,
        wrong_symbols: &[&str],
        wrong_words: &[&str],
        kind: fn(Vec<Expr>) -> Kind,
    ) -> Parsed {
        let start = self.at;
        let first = part(self)?;
        let mut parts = vec![first];
        loop {
            let wrong = match *self.token() {
                Token::Symbol(s) if s == symbol => None,
                Token::Word(w) if w == word => None,
                Token::Symbol(s) if wrong_symbols.contains(&s) => Some(s),
                Token::Word(w)
                    if w.eq_ignore_ascii_case(word)
                        || wrong_words.iter().any(|wrong| w.eq_ignore_ascii_case(wrong)) =>
                {
                    Some(w)
                }
                _ => break,
            };
            if let Some(written) = wrong {
                let span = self.span();
                self.report(help::logic(written, span));
            }
            self.advance();
            parts.push(part(self)?);
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            last => {
                parts.extend(last);
                let span = self.since(start);
                self.node(kind(parts), span)
            }
        }
    }

    /// `a == b`; at most one comparison.
    fn relation(&mut self) -> Parsed {
        let start = self.at;
        let not = matches!(self.token(), Token::Symbol("!") | Token::Word("not"));
        let mut expr = self.operand()?;
        let mut compared = false;
        while let Some(operator) = self.operator() {
            let right = self.operand()?;
            let span = self.since(start);
            if compared {
                self.report(help::chained(span));
                continue;
            }
            compared = true;
            if not {
                let sign = &self.text[self.tokens[start].1.clone()];
                let inner = help::excerpt(&self.text[self.tokens[start].1.end..span.end]);
                self.report(help::ambiguous_not(span.clone(), sign, inner.trim()));
            }
            expr = self.node(Kind::Compare(operator, Box::new(expr), Box::new(right)), span)?;
        }
        Ok(expr)
    }

    /// Takes a comparison's operator, or what other languages have for one.
    fn operator(&mut self) -> Option<Operator> {
        let start = self.at;
        let (operator, wrong) = match *self.token() {
            Token::Symbol("==") => (Operator::Equal, None),
            Token::Symbol("!=") => (Operator::NotEqual, None),
            Token::Symbol("<") => (Operator::Less, None),
            Token::Symbol("<=") => (Operator::LessOrEqual, None),
            Token::Symbol(">") => (Operator::Greater, None),
            Token::Symbol(">=") => (Operator::GreaterOrEqual, None),
            Token::Word("in") => (Operator::In, None),
            Token::Symbol(
                s @ ("=" | "===" | "!==" | "<>" | "=<" | "=>" | "=~" | "!~" | "~" | ":="),
            ) => (Operator::Equal, Some(s.to_owned())),
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                let negated = lower == "not";
                let word = match (negated, self.ahead(1)) {
                    (true, Token::Word(next)) => next.to_ascii_lowercase(),
                    (true, _) => return None,
                    (false, _) => lower,
                };
                let known = matches!(
                    word.as_str(),
                    "is" | "like"
                        | "ilike"
                        | "between"
                        | "eq"
                        | "ne"
                        | "lt"
                        | "le"
                        | "lte"
                        | "gt"
                        | "ge"
                        | "gte"
                        | "contains"
                        | "includes"
                        | "startswith"
                        | "endswith"
                        | "matches"
                        | "in"
                );
                if !known {
                    return None;
                }
                if negated {
                    self.advance();
                }
                let written = if negated { format!("not {word}") } else { word };
                (Operator::Equal, Some(written))
            }
            _ => return None,
        };
        self.advance();
        if let Some(written) = wrong {
            let is = written == "is";
            if is && matches!(self.token(), Token::Word(w) if w.eq_ignore_ascii_case("not")) {
                self.advance();
            }
            let span = self.since(start);
            self.report(help::comparison(&written, span));
            if is && matches!(self.token(), Token::Word(w) if w.eq_ignore_ascii_case("null")) {
                // `is NULL` is one mistake, not two.
                self.tokens[self.at].0 = Token::Word("null");
            }
        }
        Some(operator)
    }

    /// A value, and the arithmetic that isn't supported.
    fn operand(&mut self) -> Parsed {
        let start = self.at;
        let expr = self.unary()?;
        let mut hyphenated = None;
        let mut arithmetic = false;
        while let Token::Symbol("+" | "-" | "*" | "/" | "%" | "**") = self.token() {
            if !arithmetic && self.is("-") {
                hyphenated = self.hyphenated(&expr);
            }
            arithmetic = true;
            self.advance();
            self.unary()?;
        }
        if arithmetic {
            let span = self.since(start);
            self.report(help::arithmetic(span, hyphenated));
        }
        Ok(expr)
    }

    /// `metadata.campaign-id` without spaces is a name that needs quotes rather than a subtraction.
    fn hyphenated(&self, left: &Expr) -> Option<String> {
        let Kind::Path(path) = &left.kind else { return None };
        let (Some(Step::Key(last)), Token::Word(next)) = (path.steps.last(), self.ahead(1)) else {
            return None;
        };
        let minus = self.span();
        if left.span.end != minus.start || self.tokens[self.at + 1].1.start != minus.end {
            return None;
        }
        let key = Step::Key(format!("{last}-{next}").into());
        let mut steps = path.steps[..path.steps.len() - 1].to_vec();
        if steps.is_empty() {
            steps.push(Step::Key("data".into()));
        }
        steps.push(key);
        Some(help::excerpt(&Path { steps }.to_string()))
    }

    /// `not x`, `-5`.
    fn unary(&mut self) -> Parsed {
        let start = self.at;
        match *self.token() {
            Token::Symbol("!") | Token::Word("not") => {
                self.advance();
                let inner = self.deeper(Self::unary)?;
                let span = self.since(start);
                self.node(Kind::Not(Box::new(inner)), span)
            }
            Token::Word(word)
                if word.eq_ignore_ascii_case("not")
                    && matches!(self.ahead(1), Token::Word(_) | Token::Symbol("(")) =>
            {
                let span = self.span();
                self.report(help::logic(word, span));
                self.advance();
                self.deeper(Self::unary)
            }
            Token::Symbol("-") => {
                self.advance();
                if let Token::Number(number) = self.token() {
                    let number = format!("-{number}");
                    self.advance();
                    let span = self.since(start);
                    return self.node(Kind::Literal(Literal::Number(number)), span);
                }
                let inner = self.deeper(Self::unary)?;
                let span = self.since(start);
                self.report(help::arithmetic(span, None));
                Ok(inner)
            }
            Token::Symbol("+") => {
                let span = self.span();
                self.advance();
                self.report(help::arithmetic(span, None));
                self.deeper(Self::unary)
            }
            _ => self.member(),
        }
    }

    fn close(&mut self, symbol: &'static str, open: Range<usize>) -> Parsed<()> {
        if self.eat(symbol) {
            return Ok(());
        }
        if *self.token() == Token::End {
            let what = &self.text[open.clone()];
            return self.stop(help::error(
                "unclosed-bracket",
                open,
                format!("this `{what}` is never closed"),
                format!("add a `{symbol}`"),
            ));
        }
        let error = self.leftover();
        self.stop(error)
    }

    /// Expressions up to the closing bracket; a comma may stand behind the last one, as CEL allows in lists.
    fn arguments(&mut self, end: &'static str, open: Range<usize>) -> Parsed<Vec<Expr>> {
        let mut arguments = Vec::new();
        while !self.eat(end) {
            arguments.push(self.deeper(Self::expression)?);
            if !self.eat(",") {
                self.close(end, open)?;
                break;
            }
        }
        Ok(arguments)
    }
}
