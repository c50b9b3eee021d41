//! A destination's settings, checked against the definition.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::{HeaderName, HeaderValue};
use lettre::message::Mailbox;
use regex::Regex;
use reqwest::Url;

use super::definition::{Definition, Kind, SettingDefinition};
use super::pattern::{Hole, Name, Part, Pattern};
use super::{SettingError, SettingValue, sign, smtp};
use crate::secret::Secret;

/// A checked setting.
#[derive(Clone)]
pub(super) enum Filled {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<String>),
}

impl Filled {
    /// Every text of it.
    pub(super) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(t) => vec![t],
            Self::List(list) => list.iter().map(String::as_str).collect(),
            Self::Integer(_) | Self::Boolean(_) => Vec::new(),
        }
    }
}

/// Checks `settings`; every problem at once.
pub(super) fn check(
    definition: &Definition,
    settings: &BTreeMap<String, SettingValue>,
) -> Result<BTreeMap<String, Filled>, Vec<SettingError>> {
    let mut errors = Vec::new();
    let mut filled = BTreeMap::new();
    for name in settings.keys().filter(|n| definition.setting(n).is_none()) {
        errors.push(unknown(definition, name));
    }
    for setting in &definition.settings {
        let given = settings.get(&setting.name).cloned();
        let value = given.or_else(|| default(setting, &filled));
        match value.map(|v| one(setting, &v)) {
            Some(Ok(value)) => drop(filled.insert(setting.name.clone(), value)),
            Some(Err((message, hint))) => errors.push(SettingError {
                setting: Some(setting.name.clone()),
                message: format!("`{}` {message}", setting.name),
                hint,
            }),
            None if setting.optional => {}
            None => errors.push(SettingError {
                setting: Some(setting.name.clone()),
                message: format!(
                    "`{}` is missing; provider `{}` needs it",
                    setting.name, definition.name
                ),
                hint: Some(format!("add {} = {}{}", setting.name, sample(setting), help(setting))),
            }),
        }
    }
    for group in &definition.one_of {
        let given: Vec<_> = group.iter().filter(|n| settings.contains_key(*n)).cloned().collect();
        if given.len() != 1 {
            errors.push(SettingError {
                setting: given.get(1).cloned(),
                message: format!(
                    "exactly one of `{}` is needed, {} are given",
                    group.join("` and `"),
                    given.len()
                ),
                hint: None,
            });
        }
    }
    for group in &definition.all_of {
        let (given, missing): (Vec<_>, Vec<_>) =
            group.iter().cloned().partition(|n| settings.contains_key(n));
        if let (Some(there), false) = (given.first(), missing.is_empty()) {
            errors.push(SettingError {
                setting: Some(there.clone()),
                message: format!("`{there}` needs `{}` beside it", missing.join("` and `")),
                hint: None,
            });
        }
    }
    if errors.is_empty() { Ok(filled) } else { Err(errors) }
}

fn unknown(definition: &Definition, name: &str) -> SettingError {
    let names = definition.settings.iter().map(|s| s.name.as_str());
    let close = names
        .clone()
        .map(|n| (strsim::jaro_winkler(n, name), n))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    SettingError {
        setting: Some(name.to_owned()),
        message: format!("provider `{}` has no setting `{name}`", definition.name),
        hint: Some(match close {
            Some((score, close)) if score > 0.8 => format!("did you mean `{close}`?"),
            _ => format!("its settings are {}", names.collect::<Vec<_>>().join(", ")),
        }),
    }
}

/// The default; none if it is made of a setting that is left out.
fn default(setting: &SettingDefinition, filled: &BTreeMap<String, Filled>) -> Option<SettingValue> {
    Some(match setting.default.as_ref()? {
        toml::Value::String(text) => {
            let mut value = String::new();
            for part in Pattern::parse(text).ok()?.parts {
                match part {
                    Part::Text(text) => value.push_str(&text),
                    Part::Hole(Hole { name: Name::Own(name, _), .. }) => match filled.get(&name)? {
                        Filled::Text(text) => value.push_str(text),
                        _ => return None,
                    },
                    Part::Hole(_) => return None,
                }
            }
            SettingValue::Text(Secret::new(value))
        }
        toml::Value::Integer(n) => SettingValue::Integer(*n),
        toml::Value::Boolean(b) => SettingValue::Boolean(*b),
        toml::Value::Array(list) => SettingValue::List(
            list.iter().filter_map(toml::Value::as_str).map(Secret::new).collect(),
        ),
        _ => return None,
    })
}

type Problem = (String, Option<String>);

fn one(setting: &SettingDefinition, value: &SettingValue) -> Result<Filled, Problem> {
    let plain = |text: &str| (text.to_owned(), None);
    let in_range = |n: i64| {
        let (min, max) = (setting.min.unwrap_or(i64::MIN), setting.max.unwrap_or(i64::MAX));
        if (min..=max).contains(&n) {
            Ok(Filled::Integer(n))
        } else {
            let range = match (setting.min, setting.max) {
                (Some(min), Some(max)) => format!("from {min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                _ => format!("at most {max}"),
            };
            Err((format!("must be {range}; {n} is not"), None))
        }
    };
    match (setting.kind, value) {
        (Kind::Integer, SettingValue::Integer(n)) => in_range(*n),
        (Kind::Integer, SettingValue::Text(t)) => match t.expose().trim().parse() {
            Ok(n) => in_range(n),
            Err(_) => Err(plain("must be a whole number")),
        },
        (Kind::Integer, _) => Err(plain("must be a whole number")),
        (Kind::Boolean, SettingValue::Boolean(b)) => Ok(Filled::Boolean(*b)),
        (Kind::Boolean, SettingValue::Text(t)) => t
            .expose()
            .trim()
            .parse()
            .map(Filled::Boolean)
            .map_err(|_| plain("must be true or false")),
        (Kind::Boolean, _) => Err(plain("must be true or false")),
        (_, SettingValue::Text(t)) => {
            let text = text(setting, t.expose())?;
            // Header lines keep to a list, so that there is one way to read them.
            Ok(if setting.list { Filled::List(vec![text]) } else { Filled::Text(text) })
        }
        (_, SettingValue::List(list)) if setting.list || setting.recipient => {
            if list.is_empty() && !setting.optional {
                return Err(plain("must not be empty"));
            }
            let mut texts = Vec::with_capacity(list.len());
            for item in list {
                let item = text(setting, item.expose())?;
                if setting.recipient && texts.contains(&item) {
                    return Err((
                        format!("has `{item}` twice"),
                        Some("each recipient gets a message of its own".to_owned()),
                    ));
                }
                texts.push(item);
            }
            Ok(Filled::List(texts))
        }
        (_, SettingValue::List(_)) => Err(plain("must be one text, not a list")),
        (_, SettingValue::Integer(_) | SettingValue::Boolean(_)) => {
            Err(("must be a text".to_owned(), Some("put it in quotes".to_owned())))
        }
    }
}

/// Checks one text; gives it back as it is to be used.
fn text(setting: &SettingDefinition, value: &str) -> Result<String, Problem> {
    let value = setting.names.get(value).map_or(value, String::as_str);
    let shown =
        if setting.secret { "its value".to_owned() } else { format!("`{}`", value.escape_debug()) };
    let bad = |what: &str, hint: &str| {
        Err((format!("must be {what}; {shown} is not"), Some(hint.to_owned())))
    };
    if value.trim().is_empty() {
        return Err(("is empty".to_owned(), None));
    }
    if value.chars().any(char::is_control) {
        return Err(("holds a line break or another control character".to_owned(), None));
    }
    match setting.kind {
        Kind::Url => url(setting, value)?,
        Kind::Label if !is_label(value) => {
            return bad(
                "one piece of a host name",
                "small letters, digits and hyphens, for example eu-west-1",
            );
        }
        Kind::Domain if !is_domain(value) => {
            return bad("a host name", "for example mg.example.com, without https:// and port");
        }
        Kind::Uuid if uuid::Uuid::try_parse(value).is_err() => {
            return bad("a UUID", "for example 01900000-0000-7000-8000-000000000001");
        }
        Kind::SmtpUrl => {
            drop(smtp::parse(value, "").map_err(|e| (format!("can't be used: {e}"), None))?);
        }
        Kind::Email if value.contains(',') || lettre::Address::from_str(value).is_err() => {
            return bad(
                "one e-mail address",
                "for example office@example.com; several go in a list",
            );
        }
        Kind::Mailbox if Mailbox::from_str(value).is_err() => {
            return bad(
                "an e-mail address, with or without a name",
                "for example Hookbell <bell@example.com>",
            );
        }
        Kind::E164 if !is_e164(value) => {
            return bad(
                "a phone number in E.164",
                "a plus, the country code and the number, for example +15552223333",
            );
        }
        Kind::SmsSender if !is_sms_sender(value) => {
            return bad(
                "a phone number, a short code or a sender name",
                "for example +15550001111, 12345 or Hookbell",
            );
        }
        Kind::Header => {
            drop(header(value).map_err(|e| (e, Some("write it as `X-Team: sales`".to_owned())))?);
        }
        Kind::SigningKey => {
            drop(sign::key_bytes(value).map_err(|e| (format!("can't be used: {e}"), None))?);
        }
        Kind::Choice if !setting.choices.iter().any(|c| c == value) => {
            return bad(&format!("one of {}", setting.choices.join(", ")), "choose one of them");
        }
        _ => {}
    }
    if let Some(pattern) = &setting.pattern {
        // A pattern that doesn't compile is refused with its definition.
        let whole = Regex::new(&format!("^(?:{pattern})$"));
        if whole.is_ok_and(|whole| !whole.is_match(value)) {
            let hint = if setting.help.is_empty() { pattern } else { &setting.help };
            return Err((format!("does not look right: {shown}"), Some(hint.clone())));
        }
    }
    Ok(value.to_owned())
}

/// A label of RFC 1123, in small letters.
fn is_label(value: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&value.len())
        && value.bytes().all(inner)
        && !value.starts_with('-')
        && !value.ends_with('-')
}

fn is_domain(value: &str) -> bool {
    value.len() <= 253
        && value.contains('.')
        && value.split('.').all(|l| is_label(&l.to_ascii_lowercase()))
}

fn url(setting: &SettingDefinition, value: &str) -> Result<(), Problem> {
    let parsed = Url::parse(value).map_err(|e| {
        (format!("is no URL: {e}"), Some("for example https://example.com/hook".to_owned()))
    })?;
    let host = parsed.host_str().unwrap_or_default();
    let plain = parsed.scheme() == "http";
    if !plain && parsed.scheme() != "https" {
        return Err((format!("must begin with https://, not {}:", parsed.scheme()), None));
    }
    if host.is_empty() {
        return Err(("has no host".to_owned(), None));
    }
    if plain && !setting.plain_http && !is_loopback(host) {
        return Err((
            "must begin with https://, as its host is not on this machine".to_owned(),
            None,
        ));
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err((
            "must not hold a user or a password".to_owned(),
            Some("send them as a header".to_owned()),
        ));
    }
    if parsed.fragment().is_some() {
        return Err(("must not have a #fragment".to_owned(), None));
    }
    Ok(())
}

/// Whether a host is this machine: an address of 127.0.0.0/8, `::1`, `localhost` or below it.
pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// A plus, a country code that doesn't begin with 0, at most 15 digits (ITU-T E.164).
fn is_e164(value: &str) -> bool {
    value.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

fn is_sms_sender(value: &str) -> bool {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    is_e164(value)
        || (digits && (3..=8).contains(&value.len()))
        || (!digits
            && value.len() <= 11
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b" -_&".contains(&b))
            && value.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// Headers that belong to the connection or to the body's form.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
];

/// Reads `Name: value`.
pub(super) fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or("is no header line")?;
    let name = HeaderName::from_str(name.trim()).map_err(|_| "has no usable header name")?;
    if OURS.contains(&name.as_str()) {
        return Err(format!("can't set `{name}`, which the connection decides"));
    }
    let mut value =
        HeaderValue::from_str(value.trim()).map_err(|_| "has a value that no header may have")?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn sample(setting: &SettingDefinition) -> String {
    if setting.secret {
        return format!("\"${{{}}}\"", setting.name.to_uppercase());
    }
    match setting.kind {
        Kind::E164 if setting.recipient => "[\"+15552223333\"]",
        Kind::Email if setting.recipient => "[\"office@example.com\"]",
        Kind::E164 | Kind::SmsSender => "\"+15550001111\"",
        Kind::Email | Kind::Mailbox => "\"bell@example.com\"",
        Kind::Url => "\"https://example.com/\"",
        Kind::Integer => "1",
        Kind::Boolean => "true",
        _ => "\"…\"",
    }
    .to_owned()
}

fn help(setting: &SettingDefinition) -> String {
    if setting.help.is_empty() { String::new() } else { format!(" ({})", setting.help) }
}

#[cfg(test)]
mod tests {
    use super::super::builtin;
    use super::*;

    fn settings(text: &str) -> BTreeMap<String, SettingValue> {
        super::super::example::settings_of(&toml::from_str(text).unwrap())
    }

    fn errors(provider: &str, text: &str) -> Vec<String> {
        let found = check(&builtin(provider).unwrap(), &settings(text)).err().unwrap_or_default();
        found.into_iter().map(|e| e.message).collect()
    }

    #[test]
    fn every_problem_is_shown_at_once_with_what_to_write() {
        let found = check(
            &builtin("twilio").unwrap(),
            &settings("auth_tokn = \"x\"\nto = [\"0155\", \"+1 555\"]"),
        );
        let found = found.err().unwrap();
        let text: Vec<_> = found
            .iter()
            .map(|e| format!("{} / {}", e.message, e.hint.clone().unwrap_or_default()))
            .collect();
        let text = text.join("\n");
        for expected in [
            "did you mean `auth_token`?",
            "`account_sid` is missing",
            "`to` must be a phone number in E.164; `0155` is not",
            "exactly one of `from` and `messaging_service_sid` is needed, 0 are given",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn hostile_or_wrong_settings_are_refused() {
        let cases = [
            ("slack", "url = \"hooks.slack.com/services\"", "is no URL"),
            (
                "slack",
                "url = \"http://hooks.slack.com/services/T/B/x\"",
                "must begin with https://",
            ),
            ("slack", "url = \"file:///etc/passwd\"", "must begin with https://"),
            ("slack", "url = \"https://u:p@hooks.slack.com/x\"", "user or a password"),
            ("slack", "url = 3", "must be a text"),
            ("slack", "url = \"https://hooks.slack.com/x\\r\\nX: y\"", "line break"),
            (
                "smtp",
                "url = \"smtp://127.0.0.1\"\nfrom = \"a@example.com\"\nto = \"a@b.example, c@d.example\"",
                "one e-mail address",
            ),
            (
                "smtp",
                "url = \"smtp://127.0.0.1\"\nfrom = \"no address\"\nto = \"a@b.example\"",
                "an e-mail address",
            ),
            (
                "smtp",
                "url = \"smtp://127.0.0.1\"\nfrom = \"a@b.example\"\nto = [\"x@b.example\", \"x@b.example\"]",
                "twice",
            ),
            (
                "webhook",
                "url = \"http://in-cluster:80/\"\nheaders = [\"Host: evil\"]",
                "can't set `host`",
            ),
            (
                "webhook",
                "url = \"http://in-cluster:80/\"\nheaders = [\"nonsense\"]",
                "is no header line",
            ),
            (
                "webhook",
                "url = \"http://in-cluster:80/\"\nmethod = \"GET\"",
                "one of POST, PUT, PATCH",
            ),
            ("webhook", "url = \"http://in-cluster:80/\"\nsecret = \"whsec_%\"", "not base64"),
            ("webhook", "url = \"http://in-cluster:80/\"\nsecret = \"whsec_\"", "the key is empty"),
        ];
        for (provider, text, expected) in cases {
            let found = errors(provider, text).join("\n");
            assert!(found.contains(expected), "{text}\n{found}");
        }
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        let definition = builtin("slack").unwrap();
        let value = SettingValue::Text(Secret::new("https://u:hunter2@example.com/hunter2"));
        let found = check(&definition, &[("url".to_owned(), value)].into()).err().unwrap();
        assert!(!format!("{found:?}").contains("hunter2"));
    }
}
