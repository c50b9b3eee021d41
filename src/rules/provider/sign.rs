//! How a request proves where it comes from: signers by the names that definitions give them.
//!
//! Standard Webhooks: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//! AWS Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::definition::Encoding;

/// The keys of Standard Webhooks that sign: one, or two while rotating.
pub(super) struct StandardWebhooks {
    keys: Vec<Hmac<Sha256>>,
}

/// The bytes of a key: `whsec_` and base64, or the text itself.
pub(super) fn key_bytes(text: &str) -> Result<Vec<u8>, String> {
    let bytes = match text.strip_prefix("whsec_") {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| "what follows whsec_ is not base64".to_owned())?
        }
        None => text.as_bytes().to_vec(),
    };
    if bytes.is_empty() { Err("the key is empty".to_owned()) } else { Ok(bytes) }
}

impl StandardWebhooks {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let key = |text| {
            let bytes = key_bytes(text)?;
            Hmac::<Sha256>::new_from_slice(&bytes).map_err(|e| e.to_string())
        };
        Ok(Self { keys: secrets.into_iter().map(key).collect::<Result<_, _>>()? })
    }

    /// Adds its three headers.
    pub(super) fn sign(
        &self,
        id: &str,
        seconds: i64,
        body: &[u8],
        headers: &mut HeaderMap,
    ) -> Result<(), String> {
        for (name, value) in [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", self.signature(id, seconds, body)),
        ] {
            let value = HeaderValue::try_from(value).map_err(|e| e.to_string())?;
            headers.insert(HeaderName::from_static(name), value);
        }
        Ok(())
    }

    /// `v1,…` for each key, separated by spaces.
    fn signature(&self, id: &str, seconds: i64, body: &[u8]) -> String {
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

/// HMAC-SHA256 as text.
pub(super) fn hmac_sha256(
    key: &[u8],
    content: &[u8],
    encoding: Encoding,
) -> Result<String, String> {
    let bytes = mac(key, content)?;
    Ok(match encoding {
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Hex => hex(&bytes),
    })
}

/// Who signs requests to AWS.
pub(super) struct AwsSigv4 {
    pub(super) service: String,
    pub(super) region: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) session_token: Option<String>,
}

/// What AWS leaves unencoded.
const AWS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl AwsSigv4 {
    /// Adds `x-amz-date`, `x-amz-security-token` where there is a token, and `authorization`.
    pub(super) fn sign(
        &self,
        method: &Method,
        url: &Url,
        body: &[u8],
        now: Timestamp,
        headers: &mut HeaderMap,
    ) -> Result<(), String> {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = &time[..8];
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let mut signed = vec![("host", host), ("x-amz-date", time.clone())];
        if let Some(kind) = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()) {
            signed.push(("content-type", kind.to_owned()));
        }
        signed.extend(self.session_token.clone().map(|token| ("x-amz-security-token", token)));
        signed.sort();
        let names: Vec<_> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{method}\n{}\n{}\n", path(url), query(url));
        for (name, value) in &signed {
            // Writing to a String can't fail.
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", hex(&Sha256::digest(body)));
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let text =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
        let mut key = mac(format!("AWS4{}", self.secret_key).as_bytes(), date.as_bytes())?;
        for part in [self.region.as_str(), &self.service, "aws4_request"] {
            key = mac(&key, part.as_bytes())?;
        }
        let signature = hex(&mac(&key, text.as_bytes())?);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        let header = |text: &str| HeaderValue::from_str(text).map_err(|e| e.to_string());
        headers.insert(HeaderName::from_static("x-amz-date"), header(&time)?);
        if let Some(token) = &self.session_token {
            let mut token = header(token)?;
            token.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-amz-security-token"), token);
        }
        headers.insert(AUTHORIZATION, header(&authorization)?);
        Ok(())
    }
}

/// The path, encoded once more, as every service but S3 has it.
fn path(url: &Url) -> String {
    let segments = url.path().split('/').map(|s| utf8_percent_encode(s, AWS).to_string());
    segments.collect::<Vec<_>>().join("/")
}

/// The query's pairs, encoded by AWS's rules and sorted.
fn query(url: &Url) -> String {
    let encode = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(text).collect();
        percent_encoding::percent_encode(&plain, AWS).to_string()
    };
    let pairs = url.query().unwrap_or_default().split('&').filter(|p| !p.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort();
    pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("&")
}

fn mac(key: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|e| e.to_string())?;
    mac.update(content);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_official_libraries() {
        // The vector in the tests of the reference libraries of Standard Webhooks and Svix.
        let signer = StandardWebhooks::new(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let signature = signer.signature(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs_while_rotating() {
        let signer =
            StandardWebhooks::new(["plain", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        assert_eq!(signer.signature("a", 1, b"").split(' ').count(), 2);
        assert!(StandardWebhooks::new(["whsec_***"]).is_err());
    }

    #[test]
    fn aws_requests_are_signed_as_botocore_signs_them() {
        // Made with botocore's SigV4Auth for these requests at this time.
        let cases = [
            (
                (
                    Method::POST,
                    "https://sns.eu-west-1.amazonaws.com/",
                    "Action=Publish&Message=Hello+%C3%BC",
                ),
                ("application/x-www-form-urlencoded", "sns", "eu-west-1", None),
                "content-type;host;x-amz-date, Signature=3df138759d231c6bbbe346a3e019aedd1b3bfb05fdc44934c76ef0b228d0999f",
            ),
            (
                (
                    Method::POST,
                    "https://email.us-east-1.amazonaws.com/v2/email/outbound-emails",
                    "{\"a\":1}",
                ),
                ("application/json", "ses", "us-east-1", Some("tok/en==")),
                "content-type;host;x-amz-date;x-amz-security-token, Signature=b02020f1ea726f84443adc7f5215d2b8f30142f4ab2468467e75885456770851",
            ),
        ];
        for ((method, url, body), (kind, service, region, token), expected) in cases {
            let signer = AwsSigv4 {
                service: service.to_owned(),
                region: region.to_owned(),
                access_key: "AKIDEXAMPLE".to_owned(),
                secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: token.map(str::to_owned),
            };
            let mut headers =
                HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            let now = Timestamp::from_second(1_775_397_841).unwrap();
            let url = Url::parse(url).unwrap();
            signer.sign(&method, &url, body.as_bytes(), now, &mut headers).unwrap();
            let got = headers[AUTHORIZATION].to_str().unwrap();
            assert!(got.ends_with(expected), "{got}");
            assert_eq!(headers["x-amz-date"], "20260405T140401Z");
        }
        // A path is encoded once more, pairs are sorted.
        let url = Url::parse("http://127.0.0.1:5005/a%20b/c?z=1&a=%C3%BC&a=b%2Fc&flag").unwrap();
        assert_eq!(
            (path(&url), query(&url)),
            ("/a%2520b/c".to_owned(), "a=%C3%BC&a=b%2Fc&flag=&z=1".to_owned())
        );
    }
}
