//! Text to tokens.

use std::ops::Range;

use super::ConditionError;
use super::help;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A name or a keyword.
    Word(&'t str),
    /// A number without its sign, in JSON's notation.
    Number(String),
    /// A string, unescaped.
    Text(String),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
    End,
}

/// The longest first. Many are here only to be refused by name.
const SYMBOLS: &[&str] = &[
    "===", "!==", "==", "!=", "<=", ">=", "=<", "=>", "<>", "=~", "!~", "&&", "||", "??", "**",
    ":=", "(", ")", "[", "]", "{", "}", ".", ",", "<", ">", "=", "!", "&", "|", "+", "-", "*", "/",
    "%", "?", ":", "~", "^", ";",
];

/// Splits `text` up; the last token is always [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, ConditionError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push((token, start..lexer.at));
        if end {
            return Ok(tokens);
        }
    }
}

pub(super) fn is_word_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Takes characters while `wanted` holds.
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_space(&mut self) {
        loop {
            self.take(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token<'t>, ConditionError> {
        let Some(c) = self.peek() else { return Ok(Token::End) };
        if c == '"' || c == '\'' {
            return self.string(self.at, Escapes::Read);
        }
        let second = self.rest().as_bytes().get(1);
        if c.is_ascii_digit() || (c == '.' && second.is_some_and(u8::is_ascii_digit)) {
            return self.number();
        }
        if is_word_start(c) {
            let start = self.at;
            let word = self.take(is_word);
            if !matches!(self.peek(), Some('"' | '\'')) {
                return Ok(Token::Word(word));
            }
            return match word.to_ascii_lowercase().as_str() {
                "r" => self.string(start, Escapes::Keep),
                "b" | "br" | "rb" => Err(help::bytes(start..self.at + 1)),
                _ => Ok(Token::Word(word)),
            };
        }
        for symbol in SYMBOLS {
            if self.rest().starts_with(symbol) {
                self.at += symbol.len();
                return Ok(Token::Symbol(symbol));
            }
        }
        Err(help::character(c, self.at..self.at + c.len_utf8()))
    }

    fn number(&mut self) -> Result<Token<'t>, ConditionError> {
        let start = self.at;
        if self.rest().starts_with("0x") || self.rest().starts_with("0X") {
            self.at += 2;
            let digits = self.take(|c| c.is_ascii_hexdigit());
            let value = u64::from_str_radix(digits, 16);
            self.number_end(start)?;
            return match value {
                Ok(value) => Ok(Token::Number(value.to_string())),
                Err(_) => Err(help::number(self.text, start..self.at)),
            };
        }
        let mut number = String::new();
        let whole = self.take(|c| c.is_ascii_digit());
        number.push_str(if whole.is_empty() { "0" } else { whole });
        let mut fractional = false;
        if self.rest().starts_with('.')
            && self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            fractional = true;
            self.at += 1;
            number.push('.');
            number.push_str(self.take(|c| c.is_ascii_digit()));
        }
        if self.rest().starts_with(['e', 'E']) {
            let sign = self.rest()[1..].starts_with(['+', '-']);
            let digits = &self.rest()[1 + usize::from(sign)..];
            if digits.starts_with(|c: char| c.is_ascii_digit()) {
                fractional = true;
                number.push_str(&self.rest()[..1 + usize::from(sign)]);
                self.at += 1 + usize::from(sign);
                number.push_str(self.take(|c| c.is_ascii_digit()));
            }
        }
        if fractional && self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            return Err(help::number(self.text, start..self.at));
        }
        self.number_end(start)?;
        // JSON has no leading zeros.
        let zeros = number.bytes().take_while(|b| *b == b'0').count();
        let zeros = match number.as_bytes().get(zeros) {
            Some(b'0'..=b'9') => zeros,
            _ => zeros.saturating_sub(1),
        };
        number.drain(..zeros);
        Ok(Token::Number(number))
    }

    /// Takes CEL's `u` of an unsigned integer, which says nothing here: numbers have one type.
    fn number_end(&mut self, start: usize) -> Result<(), ConditionError> {
        if self.rest().starts_with(['u', 'U']) {
            self.at += 1;
        }
        let more = self.take(|c| is_word(c) || c == '.');
        if more.is_empty() { Ok(()) } else { Err(help::number(self.text, start..self.at)) }
    }

    /// A string; `start` is where it begins with its prefix, the lexer stands at the quote.
    fn string(&mut self, start: usize, escapes: Escapes) -> Result<Token<'t>, ConditionError> {
        let rest = self.rest();
        let quote = match rest.get(..3) {
            Some(triple @ ("\"\"\"" | "'''")) => triple,
            _ => &rest[..1],
        };
        let triple = quote.len() == 3;
        self.at += quote.len();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(quote) {
                self.at += quote.len();
                return Ok(Token::Text(text));
            }
            let Some(c) = self.peek() else {
                return Err(help::unclosed_string(start..self.at, quote));
            };
            if !triple && matches!(c, '\n' | '\r') {
                return Err(help::unclosed_string(start..self.at, quote));
            }
            if c == '\\' && matches!(escapes, Escapes::Read) {
                text.push(self.escape(start, quote)?);
            } else {
                self.at += c.len_utf8();
                text.push(c);
            }
        }
    }

    fn escape(&mut self, start: usize, quote: &str) -> Result<char, ConditionError> {
        let backslash = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(help::unclosed_string(start..self.at, quote));
        };
        self.at += c.len_utf8();
        let length = match c {
            'a' => return Ok('\x07'),
            'b' => return Ok('\x08'),
            'f' => return Ok('\x0c'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\x0b'),
            '\\' | '?' | '"' | '\'' | '`' => return Ok(c),
            'x' | 'X' => 2,
            'u' => 4,
            'U' => 8,
            '0'..='3' => {
                self.at -= 1;
                return self.code(backslash, 3, 8);
            }
            _ => return Err(help::escape(self.text, backslash..self.at)),
        };
        self.code(backslash, length, 16)
    }

    fn code(
        &mut self,
        backslash: usize,
        length: usize,
        radix: u32,
    ) -> Result<char, ConditionError> {
        let rest = self.rest();
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let digits = &rest[..end];
        let code = digits
            .chars()
            .all(|c| c.is_digit(radix))
            .then(|| u32::from_str_radix(digits, radix).ok())
            .flatten()
            .filter(|_| digits.len() == length)
            .and_then(char::from_u32);
        match code {
            Some(c) => {
                self.at += digits.len();
                Ok(c)
            }
            None => Err(help::escape(self.text, backslash..self.at)),
        }
    }
}

#[derive(Clone, Copy)]
enum Escapes {
    Read,
    Keep,
}
