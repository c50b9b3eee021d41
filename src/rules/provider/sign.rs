//! Standard Webhooks: how a generic webhook proves where it comes from.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The keys that sign: one, or two while rotating.
pub(super) struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

/// The bytes of a key: `whsec_` and base64, or the text itself.
pub(super) fn key_bytes(text: &str) -> Result<Vec<u8>, String> {
    match text.strip_prefix("whsec_") {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is not base64".to_owned())
        }
        None => Ok(text.as_bytes().to_vec()),
    }
}

impl Signer {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let key = |text| {
            let bytes = key_bytes(text)?;
            Hmac::<Sha256>::new_from_slice(&bytes).map_err(|e| e.to_string())
        };
        Ok(Self { keys: secrets.into_iter().map(key).collect::<Result<_, _>>()? })
    }

    /// `v1,…` for each key, separated by spaces.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let prefix = format!("{id}.{seconds}.");
        let one = |key: &Hmac<Sha256>| {
            let mut mac = key.clone();
            mac.update(prefix.as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        self.keys.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_official_libraries() {
        // The vector in the tests of the reference libraries of Standard Webhooks and Svix.
        let signer = Signer::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let signature =
            signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs_while_rotating() {
        let signer = Signer::new(["plain", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        assert_eq!(signer.sign("a", 1, b"").split(' ').count(), 2);
        assert!(Signer::new(["whsec_***"]).is_err());
    }
}
