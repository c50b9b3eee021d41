//! What stands between operators: fields, texts, numbers, lists, parentheses and calls.

use std::ops::Range;

use super::{Parsed, Parser};
use crate::rules::condition::MAX_DEPTH;
use crate::rules::condition::ast::{Expr, Function, Kind, Literal, Path};
use crate::rules::condition::help;
use crate::rules::condition::lex::Token;
use crate::rules::fields::Step;

impl<'t> Parser<'t> {
    /// A value with what follows it: `.field`, `["key"]`, `[0]`, `.function(…)`.
    pub(super) fn member(&mut self) -> Parsed {
        let start = self.at;
        let mut expr = self.primary()?;
        loop {
            if self.is("?") && matches!(self.ahead(1), Token::Symbol(".")) {
                let span = self.span();
                self.report(help::null_operator(span));
                self.advance();
            }
            if self.eat(".") {
                let optional = self.eat("?");
                let span = self.span();
                if optional {
                    self.report(help::null_operator(span.clone()));
                }
                let Token::Word(word) = *self.token() else {
                    return self.stop(help::error(
                        "unexpected-token",
                        span,
                        "a name is missing behind the dot",
                        "a key that is no plain word is written metadata[\"…\"]".to_owned(),
                    ));
                };
                self.advance();
                expr = if self.eat("(") {
                    let mut arguments = vec![expr];
                    arguments.extend(self.arguments(")", span.clone())?);
                    self.call(word, span, arguments, start, Position::Method)?
                } else {
                    self.step(expr, Step::Key(word.into()), start)?
                };
            } else if self.is("[") {
                let open = self.span();
                self.advance();
                let index = self.deeper(Self::expression)?;
                self.close("]", open)?;
                let step = match index.kind {
                    Kind::Literal(Literal::Text(key)) => Some(Step::Key(key.into())),
                    Kind::Literal(Literal::Number(number)) => number.parse().ok().map(Step::Index),
                    _ => None,
                };
                match step {
                    Some(step) => expr = self.step(expr, step, start)?,
                    None => self.report(help::error(
                        "unsupported-index",
                        index.span,
                        "only a text or a whole number from 0 can stand in [ ]",
                        "write metadata[\"key\"] or metadata.tags[0]".to_owned(),
                    )),
                }
            } else {
                return Ok(expr);
            }
        }
    }

    fn step(&mut self, mut base: Expr, step: Step, start: usize) -> Parsed {
        let span = self.since(start);
        let Kind::Path(path) = &mut base.kind else {
            return self.stop(help::error(
                "unsupported-select",
                span,
                "only a field has fields",
                "write the path in one piece: metadata.tags[0]".to_owned(),
            ));
        };
        path.steps.push(step);
        if path.steps.len() > MAX_DEPTH {
            return self.stop(help::too_deep(span));
        }
        base.span = span;
        Ok(base)
    }

    fn call(
        &mut self,
        word: &str,
        name: Range<usize>,
        mut arguments: Vec<Expr>,
        start: usize,
        position: Position,
    ) -> Parsed {
        let span = self.since(start);
        let function = Function::ALL.into_iter().find(|f| f.name() == word);
        let fits = match (function, position) {
            // `metadata.has(x)` is no such thing.
            (Some(Function::Has), Position::Method) => false,
            (Some(Function::Has | Function::Size), _) | (Some(_), Position::Method) => true,
            _ => false,
        };
        match function {
            None => {
                let error = help::function(word, name);
                self.report(error);
            }
            Some(function)
                if !fits
                    || arguments.len() != function.arity()
                    || (function == Function::Has
                        && !matches!(arguments[0].kind, Kind::Path(_))) =>
            {
                self.report(help::misused(function, span.clone()));
            }
            Some(function) => return self.node(Kind::Call(function, arguments), span),
        }
        // Something to go on with; the tree is thrown away.
        arguments.truncate(1);
        Ok(arguments.pop().unwrap_or_else(|| Expr::new(Kind::Literal(Literal::Null), span)))
    }

    fn primary(&mut self) -> Parsed {
        let span = self.span();
        let start = self.at;
        match self.token().clone() {
            Token::Number(number) => {
                self.advance();
                self.node(Kind::Literal(Literal::Number(number)), span)
            }
            Token::Text(text) => {
                self.advance();
                self.node(Kind::Literal(Literal::Text(text)), span)
            }
            Token::Symbol("(") => {
                self.advance();
                let mut inner = self.deeper(Self::expression)?;
                self.close(")", span)?;
                // With its parentheses, so that an explanation shows them.
                inner.span = self.since(start);
                Ok(inner)
            }
            Token::Symbol("[") => {
                self.advance();
                let items = self.arguments("]", span)?;
                let span = self.since(start);
                self.node(Kind::List(items), span)
            }
            Token::Symbol("{") => self.stop(help::error(
                "unsupported-object",
                span,
                "objects can't be written in conditions",
                "compare one field at a time: metadata.tier == \"gold\"".to_owned(),
            )),
            Token::Word(word) => self.word(word, span, start),
            Token::Symbol(symbol) => self.stop(help::error(
                "unexpected-token",
                span,
                format!("a value is missing before `{symbol}`"),
                "a field, a text in quotes, a number, true, false or null can stand here"
                    .to_owned(),
            )),
            Token::End => self.stop(help::error(
                "unexpected-end",
                span,
                "the condition ends where a value should stand",
                "a field, a text in quotes, a number, true, false or null can stand here"
                    .to_owned(),
            )),
        }
    }

    fn word(&mut self, word: &'t str, span: Range<usize>, start: usize) -> Parsed {
        self.advance();
        let literal = match word {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            "and" | "or" | "in" => {
                return self.stop(help::error(
                    "unexpected-token",
                    span,
                    format!("a value is missing before `{word}`"),
                    format!("a field that is called `{word}` is data[\"{word}\"]"),
                ));
            }
            _ => None,
        };
        if let Some(literal) = literal {
            return self.node(Kind::Literal(literal), span);
        }
        if self.eat("(") {
            let arguments = self.arguments(")", span.clone())?;
            return self.call(word, span, arguments, start, Position::Free);
        }
        if !self.is(".")
            && !self.is("[")
            && let Some(error) = help::literal(word, span.clone())
        {
            self.report(error);
        }
        self.node(Kind::Path(Path { steps: vec![Step::Key(word.into())] }), span)
    }
}

/// Where a function's name stands.
#[derive(Clone, Copy)]
enum Position {
    /// `x.name(…)`
    Method,
    /// `name(…)`
    Free,
}
