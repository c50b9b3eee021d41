//! How a kind of sender signs, as data: the `signature` of a definition.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// How a kind of sender signs: whichever of these it has set up. Without any it doesn't sign at all, and whoever
/// reaches the listener may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// A keyed hash over what it sends.
    pub hmac: Option<Keyed>,
    /// A signature with a private key that only the sender has.
    pub ed25519: Option<Keyed>,
    /// The secret itself in a header.
    pub token: Option<Token>,
}

impl Signature {
    /// The schemes that sign content, with the name of their table.
    pub(super) fn keyed(&self) -> impl Iterator<Item = (&'static str, &Keyed)> {
        let pairs = [("hmac", &self.hmac), ("ed25519", &self.ed25519)];
        pairs.into_iter().filter_map(|(name, keyed)| Some((name, keyed.as_ref()?)))
    }

    /// Whether it doesn't sign at all.
    pub fn is_none(&self) -> bool {
        self.keyed().next().is_none() && self.token.is_none()
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Tables {
            hmac: Option<Keyed>,
            ed25519: Option<Keyed>,
            token: Option<Token>,
        }
        struct NoneOrTables;

        impl<'de> Visitor<'de> for NoneOrTables {
            type Value = Signature;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[signature.hmac], [signature.ed25519], [signature.token] or \"none\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Signature, E> {
                match text {
                    "none" => Ok(Signature::default()),
                    other => Err(E::unknown_variant(other, &["none"])),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Signature, A::Error> {
                let tables = Tables::deserialize(MapAccessDeserializer::new(map))?;
                let Tables { hmac, ed25519, token } = tables;
                let signature = Signature { hmac, ed25519, token };
                if signature.is_none() {
                    return Err(A::Error::custom(
                        "an empty `signature`: add [signature.hmac], [signature.ed25519] or [signature.token]",
                    ));
                }
                Ok(signature)
            }
        }

        from.deserialize_any(NoneOrTables)
    }
}

/// Signatures in one header, over content that a template describes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyed {
    /// The hash below an HMAC; Ed25519 has none.
    pub algorithm: Option<Algorithm>,
    /// How a signature's bytes are written.
    pub encoding: Encoding,
    /// The header that holds them. It must come exactly once.
    pub header: String,
    /// What stands before a signature, for example `sha256=`; it is required then.
    #[serde(default)]
    pub prefix: String,
    /// What stands between the parts of the header, if it has several. Parts with another beginning than `prefix` are
    /// not looked at.
    pub separator: Option<Separator>,
    /// What is signed, with `{body}`, `{form}`, `{timestamp}`, `{id}` and `{url}`.
    #[serde(default = "whole_body")]
    pub content: String,
    /// How the key is written.
    #[serde(default)]
    pub secret: SecretForm,
    /// Where the signed time of sending stands.
    pub timestamp: Option<TimestampAt>,
    /// The header of the signed id.
    pub id: Option<IdAt>,
}

fn whole_body() -> String {
    "{body}".to_owned()
}

/// The secret itself in a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The header. It must come exactly once.
    pub header: String,
    /// What stands before the secret, in upper or lower case, for example `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// How the secret is written there: as it is, or in base64.
    #[serde(default)]
    pub encoding: TokenEncoding,
    /// How the secret is written in the configuration.
    #[serde(default)]
    pub secret: SecretForm,
}

/// How a secret is written in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenEncoding {
    /// As it is.
    #[default]
    Text,
    /// In base64, as HTTP's basic authentication has it.
    Base64,
}

/// How a secret is written in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretForm {
    /// What it begins with, for example `whsec_`. It is no part of the key, and picks the scheme if there are several.
    pub prefix: String,
    /// What the sender's private key begins with, which has no place in a configuration.
    pub private_prefix: String,
    /// How the key's bytes are written behind the prefix.
    pub encoding: SecretEncoding,
    /// What must be in it, for example the `:` between user and password.
    pub contains: String,
}

/// How a key's bytes are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// The text is the key.
    #[default]
    Text,
    /// In base64, with padding or without.
    Base64,
    /// In hex.
    Hex,
}

/// What stands between several parts of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Separator {
    /// `,`
    #[serde(rename = ",")]
    Comma,
    /// One space.
    #[serde(rename = " ")]
    Space,
}

impl Separator {
    /// As a character.
    pub fn char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Space => ' ',
        }
    }
}

/// Where the signed time of sending stands: a header of its own, or a part of the signatures' header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampAt {
    /// A header of its own.
    pub header: Option<String>,
    /// The beginning of the part of the signatures' header, for example `t=`.
    pub item: Option<String>,
    /// What it counts.
    #[serde(default)]
    pub unit: ClockUnit,
    /// How far it may be from now, in either direction: `300s`, `5m`, `1h`.
    #[serde(default = "five_minutes")]
    pub tolerance: String,
}

fn five_minutes() -> String {
    "5m".to_owned()
}

impl TimestampAt {
    /// The tolerance in seconds: 1 s to 24 h.
    pub(super) fn tolerance_seconds(&self) -> Option<i64> {
        let unit = self.tolerance.char_indices().next_back()?.0;
        let (number, unit) = self.tolerance.split_at(unit);
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let seconds = number.parse::<i64>().ok()?.checked_mul(factor)?;
        (1..=86_400).contains(&seconds).then_some(seconds)
    }
}

/// What a signed time counts since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
}

/// The header of the signed id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdAt {
    /// Its name.
    pub header: String,
}

/// The hash below an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 20 bytes. Old, yet sound as an HMAC; for senders that know nothing else.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits a byte; upper case is read as well as lower case.
    Hex,
    /// The standard alphabet with padding.
    Base64,
}
