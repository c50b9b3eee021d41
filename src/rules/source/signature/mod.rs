//! Signature schemes, compiled with their secrets: checks signatures and makes them.
//!
//! What passes, for hex as for base64: exactly one header of that name, with exactly the prefix, exactly as many
//! characters as the signature needs, nothing around them. (White space around a header's value is not part of it, and
//! HTTP has removed it before.) Hex digits may be upper or lower case. A header that is a list by its definition holds
//! at most [`MOST_PARTS`] parts, of which those with the right prefix are signatures. Bytes are compared in constant
//! time, and every signature is tried with every secret whether or not an earlier pair fitted, so that time tells
//! nothing about either. A signed time is looked at after the signature, and a scheme that isn't the first one is tried
//! whatever came out of the first.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::HeaderName;
use jiff::Timestamp;

use self::content::{Piece, pieces};
use self::key::Key;
use super::form::Form;
use super::scheme::{
    Algorithm, ClockUnit, Encoding, Keyed, SecretForm, Separator, Signature, Token, TokenEncoding,
};
use crate::secret::Secret;

mod check;
mod content;
mod key;
#[cfg(test)]
mod tests;

pub(super) use check::check;

/// The most parts of a header that is a list. While a secret is rotated, a sender signs twice, seldom more.
pub(super) const MOST_PARTS: usize = 16;

/// The longest signed id, in bytes.
const MAX_SIGNED_ID: usize = 256;

/// What is signed, and where.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// None if the body is no form.
    pub(super) form: Option<&'a Form>,
    pub(super) now: Timestamp,
}

/// A request whose signature was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed<'a> {
    /// The header of the signed id and its value, if the signature covers one.
    pub(super) id: Option<(&'a HeaderName, &'a str)>,
}

/// What is put into the headers of a request that this side sends.
#[derive(Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) now: Timestamp,
    pub(super) id: &'a str,
    /// The sender's private key, for a scheme whose secret is only the public one.
    pub(super) private: Option<&'a Secret>,
}

/// The schemes of a source, each with the secrets that are its.
#[derive(Debug)]
pub(super) struct Schemes {
    schemes: Vec<Scheme>,
    /// The scheme of the first secret: the one that signs.
    first: usize,
}

#[derive(Debug)]
enum Scheme {
    Signed(Box<Signed>),
    Token(Box<Presented>),
}

/// Signatures over content.
struct Signed {
    header: HeaderName,
    prefix: String,
    separator: Option<Separator>,
    algorithm: Option<Algorithm>,
    encoding: Encoding,
    content: Vec<Piece>,
    url: String,
    secret: SecretForm,
    timestamp: Option<TimestampRule>,
    id: Option<HeaderName>,
    keys: Vec<Key>,
}

struct TimestampRule {
    place: TimestampPlace,
    unit: ClockUnit,
    tolerance: i64,
}

enum TimestampPlace {
    Header(HeaderName),
    /// The beginning of a part of the signatures' header.
    Item(String),
}

/// The secret itself in a header.
struct Presented {
    header: HeaderName,
    prefix: String,
    /// What the header must hold behind the prefix.
    expected: Vec<Secret>,
    /// Hashes both sides: comparing two hashes tells nothing about the length of either.
    hash: Key,
}

impl Schemes {
    /// Takes in the secrets. `url` is the source's public URL.
    pub(super) fn compile(
        signature: &Signature,
        secrets: &[Secret],
        url: Option<&str>,
    ) -> Result<Self, String> {
        let mut schemes = Vec::new();
        let mut forms = Vec::new();
        for (_, keyed) in signature.keyed() {
            forms.push(keyed.secret.clone());
            schemes.push(Scheme::Signed(Box::new(Signed::compile(keyed, url)?)));
        }
        if let Some(token) = &signature.token {
            forms.push(token.secret.clone());
            schemes.push(Scheme::Token(Box::new(Presented::compile(token)?)));
        }
        let mut first = None;
        for secret in secrets {
            let at = of_secret(&forms, secret);
            let scheme = schemes.get_mut(at).ok_or("there is nothing that a secret is for")?;
            match scheme {
                Scheme::Signed(signed) => signed.add(secret)?,
                Scheme::Token(presented) => presented.add(signature.token.as_ref(), secret)?,
            }
            first.get_or_insert(at);
        }
        Ok(Self { schemes, first: first.unwrap_or_default() })
    }

    /// Checks `request`; on failure says what is counted.
    pub(super) fn verify<'a>(&'a self, request: Request<'a>) -> Result<Passed<'a>, &'static str> {
        let mut outcome = Err("signature_missing");
        let mut tried = false;
        for scheme in &self.schemes {
            let this = match scheme {
                Scheme::Signed(signed) if signed.keys.is_empty() => continue,
                Scheme::Token(presented) if presented.expected.is_empty() => continue,
                Scheme::Signed(signed) => signed.verify(request),
                Scheme::Token(presented) => presented.verify(request),
            };
            let better = match (&outcome, &this) {
                (Ok(_), _) => false,
                (Err(_), Ok(_)) => true,
                // A scheme whose header is there says more about what is wrong.
                (Err(before), Err(_)) => !tried || *before == "signature_missing",
            };
            if better {
                outcome = this;
            }
            tried = true;
        }
        outcome
    }

    /// Whether [`Self::sign`] needs the sender's private key.
    pub(super) fn needs_private_key(&self) -> bool {
        matches!(self.schemes.get(self.first), Some(Scheme::Signed(s)) if s.algorithm.is_none())
    }

    /// The headers that a sender with the first secret puts on a request.
    pub(super) fn sign(
        &self,
        body: &[u8],
        form: Option<&Form>,
        stamp: Stamp<'_>,
    ) -> Result<Vec<(String, String)>, String> {
        match self.schemes.get(self.first) {
            Some(Scheme::Signed(signed)) => signed.sign(body, form, stamp),
            Some(Scheme::Token(presented)) => Ok(presented.sign()),
            None => Ok(Vec::new()),
        }
    }
}

/// The scheme that a secret is for: the one whose prefix it has, else the one without a prefix, else the first.
fn of_secret(forms: &[SecretForm], secret: &Secret) -> usize {
    let begins = |prefix: &str| !prefix.is_empty() && secret.expose().starts_with(prefix);
    forms
        .iter()
        .position(|form| begins(&form.prefix) || begins(&form.private_prefix))
        .or_else(|| forms.iter().position(|form| form.prefix.is_empty()))
        .unwrap_or_default()
}

/// Bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    key::encode(Encoding::Hex, bytes)
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))
}

/// The value of a header that must come exactly once. Of several values, one program may check the first and another
/// trust the last.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    missing: &'static str,
    several: &'static str,
) -> Result<&'a [u8], &'static str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(missing)?.as_bytes();
    if values.next().is_some() { Err(several) } else { Ok(value) }
}

impl Signed {
    fn compile(keyed: &Keyed, url: Option<&str>) -> Result<Self, String> {
        let timestamp = keyed.timestamp.as_ref().map(|at| {
            let place = match (&at.header, &at.item) {
                (Some(name), _) => TimestampPlace::Header(header_name(name)?),
                (None, Some(item)) => TimestampPlace::Item(item.clone()),
                (None, None) => return Err("the time stands nowhere".to_owned()),
            };
            let tolerance = at.tolerance_seconds().ok_or("the tolerance can't be read")?;
            Ok(TimestampRule { place, unit: at.unit, tolerance })
        });
        Ok(Self {
            header: header_name(&keyed.header)?,
            prefix: keyed.prefix.clone(),
            separator: keyed.separator,
            algorithm: keyed.algorithm,
            encoding: keyed.encoding,
            content: pieces(&keyed.content)?,
            url: url.unwrap_or_default().to_owned(),
            secret: keyed.secret.clone(),
            timestamp: timestamp.transpose()?,
            id: keyed.id.as_ref().map(|at| header_name(&at.header)).transpose()?,
            keys: Vec::new(),
        })
    }

    fn add(&mut self, secret: &Secret) -> Result<(), String> {
        self.keys.push(Key::new(self.algorithm, &key::secret_bytes(&self.secret, secret)?)?);
        Ok(())
    }

    fn verify<'a>(&'a self, request: Request<'a>) -> Result<Passed<'a>, &'static str> {
        let value = only(request.headers, &self.header, "signature_missing", "signature_several")?;
        if value.is_empty() {
            return Err("signature_empty");
        }
        let parts: Vec<&[u8]> = match self.separator {
            Some(separator) => {
                value.split(|b| char::from(*b) == separator.char()).take(MOST_PARTS + 1).collect()
            }
            None if value[self.prefix.len().min(value.len())..].contains(&b',') => {
                return Err("signature_several");
            }
            None => vec![value],
        };
        if parts.len() > MOST_PARTS {
            return Err("signature_several");
        }
        let signatures = self.signatures(&parts)?;
        let timestamp = self.timestamp.as_ref().map(|t| t.find(request.headers, &parts));
        let timestamp = timestamp.transpose()?;
        let id = self.id.as_ref().map(|name| signed_id(request.headers, name)).transpose()?;
        let form = request.form.map(Form::signed);
        let feed = |piece: &'a Piece| match piece {
            Piece::Text(text) => Some(text.as_bytes()),
            Piece::Body => Some(request.body),
            Piece::Form => None,
            Piece::Timestamp => timestamp.map(str::as_bytes),
            Piece::Id => id.map(str::as_bytes),
            Piece::Url => Some(self.url.as_bytes()),
        };
        let form = form.as_deref().map(str::as_bytes);
        let content: Option<Vec<&[u8]>> = self
            .content
            .iter()
            .map(|piece| if *piece == Piece::Form { form } else { feed(piece) })
            .collect();
        let content = content.ok_or("form_unreadable")?;
        let mut fits = false;
        for key in &self.keys {
            let fed = key.feed(content.iter().copied());
            for signature in &signatures {
                fits |= fed.fits(signature);
            }
        }
        if !fits {
            return Err("signature_wrong");
        }
        if let (Some(rule), Some(timestamp)) = (&self.timestamp, timestamp) {
            rule.check(timestamp, request.now)?;
        }
        Ok(Passed { id: self.id.as_ref().zip(id) })
    }

    /// The signatures among `parts`, decoded. Beside one that can be read, others are passed over.
    fn signatures(&self, parts: &[&[u8]]) -> Result<Vec<Vec<u8>>, &'static str> {
        let length = key::signature_len(self.algorithm);
        let mut signatures = Vec::new();
        let mut problem = "signature_prefix";
        for part in parts {
            let Some(digits) = part.strip_prefix(self.prefix.as_bytes()) else { continue };
            match key::decode(self.encoding, digits, length) {
                Ok(signature) => signatures.push(signature),
                Err(why) => problem = why,
            }
        }
        if signatures.is_empty() { Err(problem) } else { Ok(signatures) }
    }

    fn sign(
        &self,
        body: &[u8],
        form: Option<&Form>,
        stamp: Stamp<'_>,
    ) -> Result<Vec<(String, String)>, String> {
        let timestamp = self.timestamp.as_ref().map(|rule| match rule.unit {
            ClockUnit::Seconds => stamp.now.as_second().to_string(),
            ClockUnit::Milliseconds => stamp.now.as_millisecond().to_string(),
        });
        let form = form.map(Form::signed).unwrap_or_default();
        let content: Vec<&[u8]> = self
            .content
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_bytes(),
                Piece::Body => body,
                Piece::Form => form.as_bytes(),
                Piece::Timestamp => timestamp.as_deref().unwrap_or_default().as_bytes(),
                Piece::Id => stamp.id.as_bytes(),
                Piece::Url => self.url.as_bytes(),
            })
            .collect();
        let signature = match (stamp.private, self.algorithm) {
            (Some(private), None) => key::sign_privately(&self.secret, private, &content.concat())?,
            (_, _) => {
                let key = self.keys.first().ok_or("there is no secret to sign with")?;
                key.feed(content.into_iter())
                    .sign()
                    .ok_or("it takes the sender's private key to sign")?
            }
        };
        let mut value = String::new();
        let mut headers = Vec::new();
        if let (Some(rule), Some(timestamp)) = (&self.timestamp, timestamp) {
            match &rule.place {
                TimestampPlace::Header(name) => headers.push((name.as_str().to_owned(), timestamp)),
                TimestampPlace::Item(item) => {
                    value = format!("{item}{timestamp}");
                    value.extend(self.separator.map(Separator::char));
                }
            }
        }
        if let Some(name) = &self.id {
            headers.push((name.as_str().to_owned(), stamp.id.to_owned()));
        }
        value.push_str(&self.prefix);
        value.push_str(&key::encode(self.encoding, &signature));
        headers.push((self.header.as_str().to_owned(), value));
        Ok(headers)
    }
}

impl TimestampRule {
    /// The time's text: digits alone, so that there is one way to write it.
    fn find<'a>(
        &self,
        headers: &'a HeaderMap,
        parts: &[&'a [u8]],
    ) -> Result<&'a str, &'static str> {
        let value = match &self.place {
            TimestampPlace::Header(name) => {
                only(headers, name, "timestamp_missing", "timestamp_several")?
            }
            TimestampPlace::Item(item) => {
                let mut found = parts.iter().filter_map(|p| p.strip_prefix(item.as_bytes()));
                let value = found.next().ok_or("timestamp_missing")?;
                if found.next().is_some() {
                    return Err("timestamp_several");
                }
                value
            }
        };
        let digits = !value.is_empty() && value.len() <= 16 && value.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(value).ok().filter(|_| digits).ok_or("timestamp_unreadable")
    }

    fn check(&self, text: &str, now: Timestamp) -> Result<(), &'static str> {
        // At most 16 digits: it fits.
        let sent: i64 = text.parse().map_err(|_| "timestamp_unreadable")?;
        let (now, tolerance) = match self.unit {
            ClockUnit::Seconds => (now.as_second(), self.tolerance),
            ClockUnit::Milliseconds => (now.as_millisecond(), self.tolerance * 1_000),
        };
        if now.abs_diff(sent) <= tolerance.unsigned_abs() {
            Ok(())
        } else if sent < now {
            Err("timestamp_old")
        } else {
            Err("timestamp_early")
        }
    }
}

/// The signed id: visible ASCII, as it goes into a header.
fn signed_id<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, &'static str> {
    let value = only(headers, name, "signed_id_missing", "signed_id_several")?;
    let fits = (1..=MAX_SIGNED_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(value).ok().filter(|_| fits).ok_or("signed_id_unusable")
}

impl Presented {
    fn compile(token: &Token) -> Result<Self, String> {
        Ok(Self {
            header: header_name(&token.header)?,
            prefix: token.prefix.clone(),
            expected: Vec::new(),
            hash: Key::new(Some(Algorithm::Sha256), b"token")?,
        })
    }

    fn add(&mut self, token: Option<&Token>, secret: &Secret) -> Result<(), String> {
        let Some(token) = token else { return Ok(()) };
        let bytes = key::secret_bytes(&token.secret, secret)?;
        let text = match token.encoding {
            TokenEncoding::Base64 => STANDARD.encode(bytes),
            TokenEncoding::Text => {
                String::from_utf8(bytes).map_err(|_| "a secret is no text".to_owned())?
            }
        };
        if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err("a secret has characters that a header can't hold".to_owned());
        }
        self.expected.push(Secret::new(text));
        Ok(())
    }

    fn verify<'a>(&'a self, request: Request<'a>) -> Result<Passed<'a>, &'static str> {
        let value = only(request.headers, &self.header, "signature_missing", "signature_several")?;
        if value.is_empty() {
            return Err("signature_empty");
        }
        // Names of authentication schemes may be written in upper or lower case (RFC 9110, 11.1).
        let (prefix, token) =
            value.split_at_checked(self.prefix.len()).ok_or("signature_prefix")?;
        if !prefix.eq_ignore_ascii_case(self.prefix.as_bytes()) {
            return Err("signature_prefix");
        }
        let presented = self.hash.feed(std::iter::once(token)).sign().unwrap_or_default();
        let mut fits = false;
        for expected in &self.expected {
            fits |= self.hash.feed(std::iter::once(expected.expose().as_bytes())).fits(&presented);
        }
        if fits { Ok(Passed::default()) } else { Err("signature_wrong") }
    }

    fn sign(&self) -> Vec<(String, String)> {
        let token = self.expected.first().map(Secret::expose).unwrap_or_default();
        vec![(self.header.as_str().to_owned(), format!("{}{token}", self.prefix))]
    }
}

impl fmt::Debug for Signed {
    /// Without the keys: they hold the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("header", &self.header)
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented")
            .field("header", &self.header)
            .field("secrets", &self.expected.len())
            .finish_non_exhaustive()
    }
}
