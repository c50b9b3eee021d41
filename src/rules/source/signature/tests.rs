//! Schemes as tables: what is signed passes, every mutation doesn't.

use super::*;

fn now() -> Timestamp {
    Timestamp::from_second(1_775_397_841).unwrap()
}

fn signature(toml: &str) -> Signature {
    #[derive(serde::Deserialize)]
    struct Only {
        signature: Signature,
    }
    toml::from_str::<Only>(toml).unwrap_or_else(|e| panic!("{toml}: {e}")).signature
}

fn schemes(toml: &str, secrets: &[&str]) -> Schemes {
    let secrets: Vec<Secret> = secrets.iter().copied().map(Secret::new).collect();
    Schemes::compile(&signature(toml), &secrets, Some("https://bell.example/hooks/x")).unwrap()
}

fn stamp() -> Stamp<'static> {
    Stamp { now: now(), id: "msg_1", private: None }
}

fn map(headers: &[(String, String)]) -> HeaderMap {
    let pairs = headers.iter().map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap())
    });
    pairs.collect()
}

fn verify(schemes: &Schemes, headers: &HeaderMap, body: &[u8]) -> Result<(), &'static str> {
    verify_at(schemes, headers, body, now())
}

fn verify_at(
    schemes: &Schemes,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<(), &'static str> {
    let form = Form::read(body);
    schemes.verify(Request { headers, body, form: form.as_ref(), now }).map(drop)
}

const STRIPE: &str = r#"
[signature.hmac]
algorithm = "sha256"
encoding = "hex"
header = "Stripe-Signature"
separator = ","
prefix = "v1="
content = "{timestamp}.{body}"
timestamp = { item = "t=", unit = "seconds", tolerance = "300s" }
"#;

const STANDARD: &str = r#"
[signature.hmac]
algorithm = "sha256"
encoding = "base64"
header = "webhook-signature"
separator = " "
prefix = "v1,"
content = "{id}.{timestamp}.{body}"
secret = { prefix = "whsec_", encoding = "base64" }
timestamp = { header = "webhook-timestamp" }
id = { header = "webhook-id" }
[signature.ed25519]
encoding = "base64"
header = "webhook-signature"
separator = " "
prefix = "v1a,"
content = "{id}.{timestamp}.{body}"
secret = { prefix = "whpk_", private_prefix = "whsk_", encoding = "base64" }
timestamp = { header = "webhook-timestamp" }
id = { header = "webhook-id" }
"#;

#[test]
fn signatures_are_those_of_the_rfcs() {
    // RFC 2202 and RFC 4231, test case 2.
    let body = b"what do ya want for nothing?";
    for (algorithm, expected) in [
        ("sha1", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("sha256", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            "sha512",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let toml = format!(
            "[signature.hmac]\nalgorithm = '{algorithm}'\nencoding = 'hex'\nheader = 'X-Sig'"
        );
        let headers = schemes(&toml, &["Jefe"]).sign(body, None, stamp()).unwrap();
        assert_eq!(headers, [("x-sig".to_owned(), expected.to_owned())]);
    }
}

#[test]
fn an_ed25519_signature_is_that_of_the_rfc() {
    // RFC 8032, 7.1, test 2: the message is the one byte 0x72.
    let toml = "[signature.ed25519]\nencoding = 'hex'\nheader = 'x-sig'\nsecret = { encoding = 'hex', private_prefix = 'sk_' }";
    let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let private =
        Secret::new("sk_4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb\n");
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    let schemes = schemes(toml, &[public]);
    assert!(schemes.needs_private_key());
    assert!(schemes.sign(b"r", None, stamp()).is_err());
    let signed = schemes.sign(b"r", None, Stamp { private: Some(&private), ..stamp() }).unwrap();
    assert_eq!(signed, [("x-sig".to_owned(), expected.to_owned())]);
    assert_eq!(verify(&schemes, &map(&signed), b"r"), Ok(()));
    assert_eq!(verify(&schemes, &map(&signed), b"s"), Err("signature_wrong"));
}

#[test]
fn what_is_signed_is_verified_in_every_scheme() {
    for algorithm in ["sha1", "sha256", "sha512"] {
        for encoding in ["hex", "base64"] {
            for (prefix, content) in [("", "{body}"), ("v1=", "v1:{body}:end"), ("", "{url}{form}")]
            {
                let schemes = schemes(
                    &format!(
                        "[signature.hmac]\nalgorithm = '{algorithm}'\nencoding = '{encoding}'\nheader = 'X-Sig'\n\
                         prefix = '{prefix}'\ncontent = '{content}'"
                    ),
                    &["Jefe"],
                );
                let body: &[u8] = b"a=1&b=2";
                let form = Form::read(body);
                let (_, value) = schemes.sign(body, form.as_ref(), stamp()).unwrap().remove(0);
                let with = |value: &str| map(&[("x-sig".to_owned(), value.to_owned())]);
                assert_eq!(verify(&schemes, &with(&value), body), Ok(()));
                assert_eq!(verify(&schemes, &with(&value), b"a=1&b=3"), Err("signature_wrong"));
                if !prefix.is_empty() {
                    assert_eq!(verify(&schemes, &with(&value[3..]), body), Err("signature_prefix"));
                }
                let longer = format!("{value}0");
                assert_eq!(verify(&schemes, &with(&longer), body), Err("signature_length"));
                let odd = value.replace(&value[4..5], "!");
                assert_eq!(verify(&schemes, &with(&odd), body), Err("signature_encoding"));
            }
        }
    }
}

#[test]
fn every_signature_of_a_list_is_tried_with_every_secret() {
    let old = schemes(STRIPE, &["old"]);
    let new = schemes(STRIPE, &["new"]);
    let value = |s: &Schemes| s.sign(b"{}", None, stamp()).unwrap().remove(0).1;
    let (old_value, new_value) = (value(&old), value(&new));
    let (timestamp, old_part) = old_value.split_once(',').unwrap();
    let (_, new_part) = new_value.split_once(',').unwrap();
    let v0 = old_part.replace("v1=", "v0=");
    let both = schemes(STRIPE, &["older", "new", "old"]);
    let check = |s: &Schemes, value: String| {
        verify(s, &map(&[("stripe-signature".to_owned(), value)]), b"{}")
    };
    for good in [
        format!("{timestamp},{old_part}"),
        format!("{timestamp},{old_part},{new_part}"),
        format!("{timestamp},{new_part},{old_part}"),
        format!("{old_part},{timestamp}"),
        format!("{timestamp},v1=nonsense,{old_part},{v0}"),
    ] {
        assert_eq!(check(&old, good.clone()), Ok(()), "{good}");
        assert_eq!(check(&both, good.clone()), Ok(()), "{good}");
    }
    let many = |n: usize| format!("{timestamp},{}{old_part}", "v1=00,".repeat(n));
    for (bad, reason) in [
        (format!("{timestamp},{new_part}"), "signature_wrong"),
        (format!("{timestamp},{v0}"), "signature_prefix"),
        (timestamp.to_owned(), "signature_prefix"),
        (old_part.to_owned(), "timestamp_missing"),
        (format!("{timestamp},{timestamp},{old_part}"), "timestamp_several"),
        (format!("t=+1775397841,{old_part}"), "timestamp_unreadable"),
        (format!("t=,{old_part}"), "timestamp_unreadable"),
        (format!("t=1775397842,{old_part}"), "signature_wrong"),
        (format!("t=01775397841,{old_part}"), "signature_wrong"),
        (format!("{timestamp}, {old_part}"), "signature_prefix"),
        (many(15), "signature_several"),
        (",".repeat(100_000), "signature_several"),
    ] {
        assert_eq!(check(&old, bad.clone()), Err(reason), "{}", bad.get(..99).unwrap_or(&bad));
    }
    assert_eq!(check(&old, many(14)), Ok(()));
}

#[test]
fn the_signed_time_may_be_so_far_off_and_no_farther() {
    let schemes = schemes(STRIPE, &["s"]);
    let headers = map(&schemes.sign(b"{}", None, stamp()).unwrap());
    let at = |seconds: i64| {
        let now = Timestamp::from_second(now().as_second() + seconds).unwrap();
        verify_at(&schemes, &headers, b"{}", now)
    };
    for (seconds, expected) in [
        (0, Ok(())),
        (300, Ok(())),
        (-300, Ok(())),
        (301, Err("timestamp_old")),
        (-301, Err("timestamp_early")),
        (1_000_000_000, Err("timestamp_old")),
    ] {
        assert_eq!(at(seconds), expected, "{seconds}");
    }
}

#[test]
fn a_secret_goes_to_the_scheme_that_it_is_for() {
    let public = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    let symmetric = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let private = Secret::new("whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=");
    let both = schemes(STANDARD, &[symmetric, public]);
    let v1 = schemes(STANDARD, &[symmetric]).sign(b"{}", None, stamp()).unwrap();
    let asymmetric = schemes(STANDARD, &[public]);
    let v1a = asymmetric.sign(b"{}", None, Stamp { private: Some(&private), ..stamp() }).unwrap();
    assert!(v1.iter().any(|(_, value)| value.starts_with("v1,")));
    assert!(v1a.iter().any(|(_, value)| value.starts_with("v1a,")));
    for headers in [&v1, &v1a] {
        assert_eq!(verify(&both, &map(headers), b"{}"), Ok(()));
    }
    assert_eq!(verify(&asymmetric, &map(&v1), b"{}"), Err("signature_prefix"));
    // Both in one header, as the specification's example has it.
    let mut list = map(&v1);
    let joined = format!("{} {}", v1[2].1, v1a[2].1);
    list.insert("webhook-signature", joined.parse().unwrap());
    for schemes in [&both, &asymmetric, &schemes(STANDARD, &[symmetric])] {
        assert_eq!(verify(schemes, &list, b"{}"), Ok(()));
    }
    for (name, reason, several) in [
        ("webhook-id", "signed_id_missing", "signed_id_several"),
        ("webhook-timestamp", "timestamp_missing", "timestamp_several"),
    ] {
        let mut lacking = map(&v1);
        lacking.remove(name);
        assert_eq!(verify(&both, &lacking, b"{}"), Err(reason));
        let mut twice = map(&v1);
        let value = twice[name].clone();
        twice.append(HeaderName::from_static(name), value);
        assert_eq!(verify(&both, &twice, b"{}"), Err(several));
    }
    for (secret, expected) in [
        ("whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=", "private key"),
        ("whpk_AAAA", "a public key has 32 bytes, this one 3"),
        ("whsec_?", "`whsec_` with base64"),
        ("whsec_", "a secret is empty"),
        ("plain-text", "`whsec_` with base64"),
    ] {
        let error =
            Schemes::compile(&signature(STANDARD), &[Secret::new(secret)], None).unwrap_err();
        assert!(error.contains(expected), "{secret}: {error}");
        assert!(!error.contains("TM0I") && !error.contains("plain-text"), "{error}");
    }
}

#[test]
fn a_token_is_compared_whole() {
    let bearer = schemes(
        "[signature.token]\nheader = 'Authorization'\nprefix = 'Bearer '",
        &["a", "tok-en"],
    );
    let basic = schemes(
        "[signature.token]\nheader = 'Authorization'\nprefix = 'Basic '\nencoding = 'base64'\nsecret = { contains = ':' }",
        &["Aladdin:open sesame"],
    );
    // RFC 7617, 2.
    let expected = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
    assert_eq!(
        basic.sign(b"", None, stamp()),
        Ok(vec![("authorization".to_owned(), expected.clone())])
    );
    let with = |value: &str| map(&[("authorization".to_owned(), value.to_owned())]);
    assert_eq!(verify(&basic, &with(&expected), b""), Ok(()));
    assert_eq!(verify(&bearer, &with("bearer tok-en"), b""), Ok(()));
    for (value, reason) in [
        ("Bearer tok-e", "signature_wrong"),
        ("Bearer tok-enn", "signature_wrong"),
        ("Bearer Tok-en", "signature_wrong"),
        ("Bearer  tok-en", "signature_wrong"),
        ("Bearer ", "signature_wrong"),
        ("tok-en", "signature_prefix"),
        ("Basic tok-en", "signature_prefix"),
        ("", "signature_empty"),
    ] {
        assert_eq!(verify(&bearer, &with(value), b""), Err(reason), "{value}");
    }
    let mut twice = with("Bearer tok-en");
    twice.append("authorization", "Bearer tok-en".parse().unwrap());
    assert_eq!(verify(&bearer, &twice, b""), Err("signature_several"));
    let basic = signature("[signature.token]\nheader = 'A'\nsecret = { contains = ':' }");
    assert!(Schemes::compile(&basic, &[Secret::new("user")], None).unwrap_err().contains("no `:`"));
}

#[test]
fn debug_output_holds_no_secret() {
    let text = format!("{:?}", schemes(STANDARD, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]));
    let token = format!("{:?}", schemes("[signature.token]\nheader = 'A'", &["hunter2"]));
    assert!(text.contains("secrets: 1") && !text.contains("MfKQ"), "{text}");
    assert!(token.contains("secrets: 1") && !token.contains("hunter2"), "{token}");
}
