//! Keys that have taken in their secrets: HMAC over three hashes, and Ed25519.

use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use hmac::{KeyInit, Mac};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::super::scheme::{Algorithm, Encoding, SecretEncoding, SecretForm};
use crate::secret::Secret;

/// The length of an Ed25519 public key and of the seed of a private one.
const ED25519_KEY: usize = 32;

/// A hash that has taken in its secret already: each message then costs two blocks less. Or a public key.
#[derive(Clone)]
pub(super) enum Key {
    Sha1(hmac::Hmac<Sha1>),
    Sha256(hmac::Hmac<Sha256>),
    Sha512(hmac::Hmac<Sha512>),
    Ed25519([u8; ED25519_KEY]),
}

/// A key with the content it is about, ready to be compared with signatures.
#[expect(
    clippy::large_enum_variant,
    reason = "it stays on the stack for the moment of a comparison; a box would cost each request an allocation"
)]
pub(super) enum Fed<'a> {
    Hash(Key),
    Ed25519(&'a [u8; ED25519_KEY], Vec<u8>),
}

/// Calls the same method on whichever hash it is.
macro_rules! each_hash {
    ($key:expr, $mac:ident => $hash:expr, $else:expr) => {
        match $key {
            Key::Sha1($mac) => $hash,
            Key::Sha256($mac) => $hash,
            Key::Sha512($mac) => $hash,
            Key::Ed25519(_) => $else,
        }
    };
}

impl Key {
    /// A key of an HMAC over `algorithm`, or the public key of an Ed25519 scheme if there is no algorithm.
    pub(super) fn new(algorithm: Option<Algorithm>, secret: &[u8]) -> Result<Self, String> {
        // HMAC takes keys of any length; the error exists for hashes with other ideas.
        let odd = |_| "the secret has a length that the hash can't take".to_owned();
        Ok(match algorithm {
            Some(Algorithm::Sha1) => Self::Sha1(KeyInit::new_from_slice(secret).map_err(odd)?),
            Some(Algorithm::Sha256) => Self::Sha256(KeyInit::new_from_slice(secret).map_err(odd)?),
            Some(Algorithm::Sha512) => Self::Sha512(KeyInit::new_from_slice(secret).map_err(odd)?),
            None => Self::Ed25519(secret.try_into().map_err(|_| {
                format!("a public key has {ED25519_KEY} bytes, this one {}", secret.len())
            })?),
        })
    }

    /// Takes in the content, which comes in pieces.
    pub(super) fn feed<'a>(&'a self, pieces: impl Iterator<Item = &'a [u8]>) -> Fed<'a> {
        if let Self::Ed25519(key) = self {
            return Fed::Ed25519(key, pieces.flatten().copied().collect());
        }
        let mut key = self.clone();
        for piece in pieces {
            each_hash!(&mut key, mac => mac.update(piece), ());
        }
        Fed::Hash(key)
    }
}

impl Fed<'_> {
    /// Whether `signature` is the one over the content. A hash is compared in constant time.
    pub(super) fn fits(&self, signature: &[u8]) -> bool {
        match self {
            Self::Hash(key) => {
                each_hash!(key.clone(), mac => mac.verify_slice(signature).is_ok(), false)
            }
            Self::Ed25519(key, content) => {
                UnparsedPublicKey::new(&ED25519, key).verify(content, signature).is_ok()
            }
        }
    }

    /// The signature. None with a public key, which can't make one.
    pub(super) fn sign(self) -> Option<Vec<u8>> {
        match self {
            Self::Hash(key) => {
                each_hash!(key, mac => Some(mac.finalize().into_bytes().to_vec()), None)
            }
            Self::Ed25519(..) => None,
        }
    }
}

/// The length of a signature in bytes.
pub(super) fn signature_len(algorithm: Option<Algorithm>) -> usize {
    match algorithm {
        Some(Algorithm::Sha1) => 20,
        Some(Algorithm::Sha256) => 32,
        Some(Algorithm::Sha512) | None => 64,
    }
}

/// The key's bytes in `secret`, which is written as `form` says.
pub(super) fn secret_bytes(form: &SecretForm, secret: &Secret) -> Result<Vec<u8>, String> {
    let text = secret.expose();
    if !form.private_prefix.is_empty() && text.starts_with(&form.private_prefix) {
        return Err(format!(
            "a secret is the sender's private key (`{}…`), which only the sender may have: take the public one \
             (`{}…`)",
            form.private_prefix, form.prefix
        ));
    }
    let digits = text.strip_prefix(&form.prefix).unwrap_or(text);
    if !form.contains.is_empty() && !digits.contains(&form.contains) {
        return Err(format!("a secret has no `{}` in it", form.contains));
    }
    let bytes = match form.encoding {
        SecretEncoding::Text => Some(digits.as_bytes().to_vec()),
        SecretEncoding::Base64 => base64_key(digits),
        SecretEncoding::Hex => hex(digits.as_bytes()),
    };
    let bytes = bytes.ok_or_else(|| {
        let what = if form.encoding == SecretEncoding::Hex { "hex" } else { "base64" };
        if form.prefix.is_empty() {
            format!("a secret is not written in {what}")
        } else {
            format!("a secret is not `{}` with {what} behind it", form.prefix)
        }
    })?;
    // An empty key would make a signature that anybody can compute.
    if bytes.is_empty() {
        return Err("a secret is empty".to_owned());
    }
    Ok(bytes)
}

/// Signs `content` with a private key that is written as `form` says, for `emit`: 32 bytes of seed, or those with the
/// public key behind them.
pub(super) fn sign_privately(
    form: &SecretForm,
    private: &Secret,
    content: &[u8],
) -> Result<Vec<u8>, String> {
    let text = private.expose().trim();
    let digits = text.strip_prefix(&form.private_prefix).unwrap_or(text);
    let bytes = match form.encoding {
        SecretEncoding::Hex => hex(digits.as_bytes()),
        SecretEncoding::Text | SecretEncoding::Base64 => base64_key(digits),
    };
    let pair = match bytes.as_deref() {
        Some(seed) if seed.len() == ED25519_KEY => Ed25519KeyPair::from_seed_unchecked(seed).ok(),
        Some(both) if both.len() == 2 * ED25519_KEY => {
            let (seed, public) = both.split_at(ED25519_KEY);
            Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
        }
        _ => None,
    };
    let pair = pair.ok_or_else(|| {
        format!(
            "the private key is not `{}` with the base64 of 32 or 64 bytes behind it",
            form.private_prefix
        )
    })?;
    Ok(pair.sign(content).as_ref().to_vec())
}

/// Base64 as people copy it: with its padding or without.
fn base64_key(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).ok()
}

/// Writes a signature's bytes.
pub(super) fn encode(encoding: Encoding, bytes: &[u8]) -> String {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    match encoding {
        Encoding::Hex => bytes
            .iter()
            .flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]])
            .map(char::from)
            .collect(),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}

/// Reads a signature of `length` bytes; exactly as many characters as those need, nothing around them.
pub(super) fn decode(
    encoding: Encoding,
    digits: &[u8],
    length: usize,
) -> Result<Vec<u8>, &'static str> {
    let expected = match encoding {
        Encoding::Hex => 2 * length,
        Encoding::Base64 => length.div_ceil(3) * 4,
    };
    if digits.len() != expected {
        return Err("signature_length");
    }
    let bytes = match encoding {
        Encoding::Hex => hex(digits),
        Encoding::Base64 => STANDARD.decode(digits).ok(),
    };
    let bytes = bytes.ok_or("signature_encoding")?;
    if bytes.len() == length { Ok(bytes) } else { Err("signature_length") }
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
