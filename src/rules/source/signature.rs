//! Signature schemes, compiled with their secrets: checks a signature and makes one.
//!
//! What passes, for hex as for base64: exactly one header of that name, with exactly the prefix, exactly as many
//! characters as the hash needs, nothing around them. (White space around a header's value is not part of it, and
//! HTTP has removed it before.) Hex digits may be upper or lower case. Bytes are compared in constant time, and every
//! secret is tried whether or not an earlier one fitted, so that time tells nothing about either.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::definition::{Algorithm, Encoding, Hmac};
use crate::secret::Secret;

/// The longest hash there is, in bytes: SHA-512's.
const LONGEST: usize = 64;

/// An HMAC scheme with its secrets.
pub(super) struct Scheme {
    header: HeaderName,
    prefix: String,
    encoding: Encoding,
    content: Vec<Piece>,
    keys: Vec<Key>,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Body,
}

/// A hash that has taken in its secret already: each message then costs two blocks less.
#[derive(Clone)]
enum Key {
    Sha1(hmac::Hmac<Sha1>),
    Sha256(hmac::Hmac<Sha256>),
    Sha512(hmac::Hmac<Sha512>),
}

/// Calls the same method on whichever hash it is.
macro_rules! each_hash {
    ($key:expr, $mac:ident => $what:expr) => {
        match $key {
            Key::Sha1($mac) => $what,
            Key::Sha256($mac) => $what,
            Key::Sha512($mac) => $what,
        }
    };
}

impl Key {
    fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        // HMAC takes keys of any length; the error exists for hashes with other ideas.
        let odd = |_| "the secret has a length that the hash can't take".to_owned();
        Ok(match algorithm {
            Algorithm::Sha1 => Self::Sha1(KeyInit::new_from_slice(secret).map_err(odd)?),
            Algorithm::Sha256 => Self::Sha256(KeyInit::new_from_slice(secret).map_err(odd)?),
            Algorithm::Sha512 => Self::Sha512(KeyInit::new_from_slice(secret).map_err(odd)?),
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        each_hash!(self, mac => mac.update(bytes));
    }

    /// Compares in constant time.
    fn fits(self, signature: &[u8]) -> bool {
        each_hash!(self, mac => mac.verify_slice(signature).is_ok())
    }

    fn finish(self) -> Vec<u8> {
        each_hash!(self, mac => mac.finalize().into_bytes().to_vec())
    }
}

impl Algorithm {
    /// The hash's length in bytes.
    fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Scheme {
    /// Whether `hmac` can be compiled.
    pub(super) fn check(hmac: &Hmac) -> Result<(), String> {
        Self::compile(hmac, &[]).map(drop)
    }

    /// Takes in the secrets.
    pub(super) fn compile(hmac: &Hmac, secrets: &[Secret]) -> Result<Self, String> {
        let header = HeaderName::from_bytes(hmac.header.as_bytes())
            .map_err(|_| format!("`{}` is no name of a header", hmac.header))?;
        let mut keys = Vec::with_capacity(secrets.len());
        for secret in secrets {
            // An empty key would make a signature that anybody can compute.
            if secret.expose().is_empty() {
                return Err("a secret is empty".to_owned());
            }
            keys.push(Key::new(hmac.algorithm, secret.expose().as_bytes())?);
        }
        Ok(Self {
            header,
            prefix: hmac.prefix.clone(),
            encoding: hmac.encoding,
            content: pieces(&hmac.content)?,
            keys,
        })
    }

    /// Checks the one signature in `headers` over `body`; on failure says what is counted.
    pub(super) fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
        let mut values = headers.get_all(&self.header).iter();
        let value = values.next().ok_or("signature_missing")?.as_bytes();
        // Of several values, one program may check the first and another trust the last.
        // A prefix may hold a comma itself, such as `v1,`.
        let digits = value.strip_prefix(self.prefix.as_bytes());
        if values.next().is_some() || digits.unwrap_or(value).contains(&b',') {
            return Err("signature_several");
        }
        if value.is_empty() {
            return Err("signature_empty");
        }
        let digits = digits.ok_or("signature_prefix")?;
        let mut decoded = [0; LONGEST];
        let mut fits = false;
        for key in &self.keys {
            let signature = self.decode(digits, key, &mut decoded)?;
            let mut key = key.clone();
            self.feed(&mut key, body);
            fits |= key.fits(signature);
        }
        if fits { Ok(()) } else { Err("signature_wrong") }
    }

    /// The header that a sender with the first secret puts on `body`.
    pub(super) fn sign(&self, body: &[u8]) -> Option<(String, String)> {
        let mut key = self.keys.first()?.clone();
        self.feed(&mut key, body);
        let mut value = self.prefix.clone();
        match self.encoding {
            Encoding::Hex => {
                for byte in key.finish() {
                    value.push(char::from(HEX[usize::from(byte >> 4)]));
                    value.push(char::from(HEX[usize::from(byte & 15)]));
                }
            }
            Encoding::Base64 => STANDARD.encode_string(key.finish(), &mut value),
        }
        Some((self.header.as_str().to_owned(), value))
    }

    fn feed(&self, key: &mut Key, body: &[u8]) {
        for piece in &self.content {
            match piece {
                Piece::Text(text) => key.update(text.as_bytes()),
                Piece::Body => key.update(body),
            }
        }
    }

    fn decode<'a>(
        &self,
        digits: &[u8],
        key: &Key,
        into: &'a mut [u8; LONGEST],
    ) -> Result<&'a [u8], &'static str> {
        let length = match key {
            Key::Sha1(_) => Algorithm::Sha1.len(),
            Key::Sha256(_) => Algorithm::Sha256.len(),
            Key::Sha512(_) => Algorithm::Sha512.len(),
        };
        match self.encoding {
            Encoding::Hex => {
                if digits.len() != 2 * length {
                    return Err("signature_length");
                }
                for (pair, byte) in digits.chunks_exact(2).zip(into.iter_mut()) {
                    let (high, low) = (hex_digit(pair[0]), hex_digit(pair[1]));
                    *byte = high.zip(low).map(|(h, l)| h << 4 | l).ok_or("signature_encoding")?;
                }
            }
            Encoding::Base64 => {
                if digits.len() != length.div_ceil(3) * 4 {
                    return Err("signature_length");
                }
                let decoded = STANDARD.decode(digits).map_err(|_| "signature_encoding")?;
                if decoded.len() != length {
                    return Err("signature_length");
                }
                into[..length].copy_from_slice(&decoded);
            }
        }
        Ok(&into[..length])
    }
}

impl fmt::Debug for Scheme {
    /// Without the keys: they hold the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheme")
            .field("header", &self.header)
            .field("secrets", &self.keys.len())
            .finish_non_exhaustive()
    }
}

const HEX: [u8; 16] = *b"0123456789abcdef";

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Splits `content` at its `{…}`. `{body}` has to be there: what isn't signed can't be trusted.
fn pieces(content: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = content;
    while let Some(open) = rest.find('{') {
        let close = rest[open..]
            .find('}')
            .map(|at| open + at)
            .ok_or_else(|| "`content` has a `{` without its `}`".to_owned())?;
        if open > 0 {
            pieces.push(Piece::Text(rest[..open].to_owned()));
        }
        match &rest[open..=close] {
            "{body}" => pieces.push(Piece::Body),
            other => {
                return Err(format!("`{other}` is not known in `content`: it takes `{{body}}`"));
            }
        }
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    if !pieces.contains(&Piece::Body) {
        return Err("`content` has no `{body}`: the body would not be signed".to_owned());
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(algorithm: Algorithm, encoding: Encoding, prefix: &str, content: &str) -> Scheme {
        let hmac = Hmac {
            algorithm,
            encoding,
            header: "X-Sig".to_owned(),
            prefix: prefix.to_owned(),
            content: content.to_owned(),
        };
        Scheme::compile(&hmac, &[Secret::new("Jefe")]).unwrap()
    }

    #[test]
    fn signatures_are_those_of_the_rfcs() {
        // RFC 2202 and RFC 4231, test case 2.
        let body = b"what do ya want for nothing?";
        for (algorithm, expected) in [
            (Algorithm::Sha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Algorithm::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let (header, value) =
                scheme(algorithm, Encoding::Hex, "", "{body}").sign(body).unwrap();
            assert_eq!((header.as_str(), value.as_str()), ("x-sig", expected));
        }
    }

    #[test]
    fn what_is_signed_is_verified_in_every_scheme() {
        for algorithm in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512] {
            for encoding in [Encoding::Hex, Encoding::Base64] {
                for (prefix, content) in [("", "{body}"), ("v1=", "v1:{body}:end")] {
                    let scheme = scheme(algorithm, encoding, prefix, content);
                    let (_, value) = scheme.sign(b"{}").unwrap();
                    let mut headers = HeaderMap::new();
                    headers.insert("x-sig", value.parse().unwrap());
                    assert_eq!(scheme.verify(&headers, b"{}"), Ok(()));
                    assert_eq!(scheme.verify(&headers, b"{ }"), Err("signature_wrong"));
                    if !prefix.is_empty() {
                        headers.insert("x-sig", value[3..].parse().unwrap());
                        assert_eq!(scheme.verify(&headers, b"{}"), Err("signature_prefix"));
                    }
                    headers.insert("x-sig", format!("{value}0").parse().unwrap());
                    assert_eq!(scheme.verify(&headers, b"{}"), Err("signature_length"));
                    headers.insert("x-sig", value.replace(&value[4..5], "!").parse().unwrap());
                    assert_eq!(scheme.verify(&headers, b"{}"), Err("signature_encoding"));
                }
            }
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let text = format!("{:?}", scheme(Algorithm::Sha256, Encoding::Hex, "", "{body}"));
        assert_eq!(text, "Scheme { header: \"x-sig\", secrets: 1, .. }");
    }
}
