//! A request as a person may see it: everything that is sent, secrets masked.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{Destination, HttpTarget, Outgoing, SmtpSecurity, SmtpTarget, Transport};

/// What stands for a secret.
const MASK: &str = "***";

/// The ending of hosts that are nobody's (RFC 2606): those of stand-ins for URLs that aren't set.
const NOBODY: &str = ".invalid";

/// What stands in for a setting that isn't set here, in the shapes that providers ask for. The definition's own checks
/// choose: the first that it takes is used. None of these leads anywhere (RFC 2606, 555 numbers).
pub const STAND_INS: [&str; 7] = [
    "https://stand-in.invalid/",
    "+15550000000",
    "stand-in@example.invalid",
    "smtps://stand-in.invalid:465",
    "AC00000000000000000000000000000000",
    "whsec_c3RhbmQtaW4tc2lnbmluZy1zZWNyZXQ=",
    "stand-in",
];

/// A value in a path or a query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A value in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// What goes out for a notification. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The HTTP method; `SMTP`, `CONSOLE` or `INBOX` for what isn't HTTP.
    pub method: String,
    /// Where it goes; none for the console and the inbox.
    pub url: Option<String>,
    /// The headers, without those of the connection. For a mail `From`, `To` and `Subject`.
    pub headers: BTreeMap<String, String>,
    /// The body as it is sent; of a message in several parts each on a line. For a mail its text.
    pub body: String,
    /// The HTML part of a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl Destination {
    /// What would go out for `outgoing`, or why nothing can.
    ///
    /// # Errors
    ///
    /// The reason why no request can be made; it may hold a secret until it is redacted.
    pub fn show(&self, outgoing: &Outgoing<'_>) -> Result<Shown, String> {
        let message = outgoing.message;
        let plain = |method: &str| Shown {
            method: method.to_owned(),
            url: None,
            headers: BTreeMap::new(),
            body: message.text.clone(),
            html: None,
        };
        Ok(match &self.transport {
            Transport::Http(target) => http(target, outgoing)?,
            Transport::Smtp(target) => Shown {
                url: Some(server(target)),
                headers: [
                    ("From", Some(target.from.as_str())),
                    ("To", outgoing.recipient),
                    ("Subject", message.subject.as_deref()),
                ]
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), masked(value?, &variants(&[])))))
                .collect(),
                html: message.html.clone(),
                ..plain("SMTP")
            },
            Transport::Console => plain("CONSOLE"),
            Transport::Inbox => plain("INBOX"),
        })
    }
}

fn http(target: &HttpTarget, outgoing: &Outgoing<'_>) -> Result<Shown, String> {
    let requests = target.requests(outgoing)?;
    let request = requests.first().ok_or("there is no request")?;
    let secrets = variants(target.secrets());
    let mask = |text: &str| masked(text, &secrets);
    let bodies: Vec<_> = requests.iter().map(|r| String::from_utf8_lossy(&r.body)).collect();
    let url = &request.url;
    let host = url.host_str().unwrap_or_default();
    let host = if host.ends_with(NOBODY) { MASK.to_owned() } else { mask(host) };
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let user = if url.username().is_empty() && url.password().is_none() { "" } else { "***@" };
    let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
    let rest = mask(&format!("{}{query}", url.path()));
    let slash = if rest.starts_with('/') { "" } else { "/" };
    Ok(Shown {
        method: request.method.to_string(),
        url: Some(format!("{}://{user}{host}{port}{slash}{rest}", url.scheme())),
        headers: headers(&request.headers, mask),
        body: mask(&bodies.join("\n")),
        html: None,
    })
}

/// Of `Authorization` only the scheme is shown: its value is a secret, however it is encoded.
fn headers(headers: &HeaderMap, mask: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if name == AUTHORIZATION {
            match text.split_once(' ') {
                Some((scheme, _)) => format!("{scheme} {MASK}"),
                None => MASK.to_owned(),
            }
        } else {
            mask(&text)
        };
        let entry = shown.entry(name.to_string());
        entry.and_modify(|all| *all = format!("{all}, {text}")).or_insert(text);
    }
    shown
}

/// Each secret as it may stand in a URL, a form, JSON, or as it is.
fn variants(secrets: &[String]) -> Vec<String> {
    let mut all = Vec::new();
    let stand_ins = STAND_INS.iter().filter(|s| s.len() > "stand-in".len());
    for secret in secrets.iter().map(String::as_str).chain(stand_ins.copied()) {
        all.push(secret.to_owned());
        all.push(utf8_percent_encode(secret, UNRESERVED).to_string());
        all.push(utf8_percent_encode(secret, FORM).to_string().replace("%20", "+"));
        if let Ok(json) = serde_json::to_string(secret) {
            all.push(json[1..json.len() - 1].to_owned());
        }
    }
    all.sort_by_key(|s| std::cmp::Reverse(s.len()));
    all.dedup();
    all
}

fn masked(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| {
        if text.contains(secret.as_str()) { text.replace(secret.as_str(), MASK) } else { text }
    })
}

/// Never with its credentials.
fn server(target: &SmtpTarget) -> String {
    let scheme = match target.security {
        SmtpSecurity::None => "smtp",
        SmtpSecurity::StartTls => "smtp+starttls",
        SmtpSecurity::Tls => "smtps",
    };
    let host = if target.host.ends_with(NOBODY) { MASK } else { &target.host };
    format!("{scheme}://{host}:{}", target.port)
}
