//! The format of a provider definition: what `providers/NAME.toml` may say, checked before it is used.
//!
//! `docs/providers.md` describes the format for people; a key that isn't described there is refused here.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;

use super::example::Example;
use super::pattern::{Hole, Part, Pattern};
use super::verdict::Row;
use super::wait::WaitSource;
use crate::rules::template::Channel;

/// A provider definition (`providers/NAME.toml`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The provider's name, for example `slack`.
    pub name: String,
    /// What a person calls it, for example `Slack incoming webhook`.
    #[serde(default)]
    pub title: String,
    /// The pages of the provider's documentation that the file was written from.
    #[serde(default)]
    pub docs: Vec<String>,
    /// Which templates and escaping apply.
    pub channel: Channel,
    /// How messages travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// How many attempts run at once unless the destination says otherwise.
    #[serde(default = "four")]
    pub concurrency: usize,
    /// The provider's settings, by name, in the order of the file.
    #[serde(default)]
    pub settings: Vec<SettingDefinition>,
    /// Groups of optional settings of which exactly one must be given.
    #[serde(default)]
    pub one_of: Vec<Vec<String>>,
    /// The request; for `protocol = "http"` only.
    #[serde(default)]
    pub(super) request: Option<RequestDefinition>,
    /// What answers mean; the first row that matches wins, then the defaults.
    #[serde(default, rename = "verdict")]
    pub(super) verdicts: Vec<Row>,
    /// Where a wait hint stands, beside `Retry-After`.
    #[serde(default, rename = "wait")]
    pub(super) waits: Vec<WaitSource>,
    /// JSON pointers to the provider's own words in an answer.
    #[serde(default)]
    pub(super) words: Vec<String>,
    /// What must come out for what goes in.
    #[serde(default, rename = "example")]
    pub(super) examples: Vec<Example>,
}

fn four() -> usize {
    4
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// One HTTP request each.
    #[default]
    Http,
    /// A mail over SMTP.
    Smtp,
    /// Printed on standard output.
    Console,
    /// Kept in the journal.
    Inbox,
}

/// One setting of a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingDefinition {
    /// The key in `[destinations.NAME]`.
    pub name: String,
    /// What its value must look like.
    #[serde(default)]
    pub kind: Kind,
    /// Whether its value must never be shown.
    #[serde(default)]
    pub secret: bool,
    /// Whether it may be left out.
    #[serde(default)]
    pub optional: bool,
    /// Whether a list is allowed beside a single value.
    #[serde(default)]
    pub list: bool,
    /// Whether it names the recipients: each value gets a notification of its own, as `{recipient}`.
    #[serde(default)]
    pub recipient: bool,
    /// For [`Kind::Url`]: `http://` is allowed to hosts other than loopback ones, because only the user knows.
    #[serde(default)]
    pub plain_http: bool,
    /// For [`Kind::Choice`]: the values that are allowed.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The value when it is left out.
    #[serde(default)]
    pub default: Option<toml::Value>,
    /// What it is and where to find it, one line.
    #[serde(default)]
    pub help: String,
}

/// What a setting's value must look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Any text without control characters.
    #[default]
    Text,
    /// An `https://` URL, or `http://` to a loopback host.
    Url,
    /// A mail server's URL: `smtp://`, `smtp+starttls://` or `smtps://`.
    SmtpUrl,
    /// One e-mail address, no name.
    Email,
    /// An e-mail address, with or without a name: `Hookbell <bell@example.com>`.
    Mailbox,
    /// A phone number such as `+15552223333`.
    E164,
    /// A sender of text messages: a phone number, a short code, or up to 11 letters and digits.
    SmsSender,
    /// A header line such as `X-Team: sales`.
    Header,
    /// A key of Standard Webhooks: `whsec_` and base64, or any text.
    SigningKey,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of [`SettingDefinition::choices`].
    Choice,
}

/// `[request]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestDefinition {
    /// `POST`, or a pattern such as `{method}`.
    #[serde(default = "post")]
    pub(super) method: String,
    /// The URL; a setting of kind `url` may stand at its beginning.
    pub(super) url: String,
    /// Header patterns by name.
    #[serde(default)]
    pub(super) headers: toml::Table,
    /// The name of a setting of kind `header` whose lines are sent too.
    #[serde(default)]
    pub(super) extra_headers: Option<String>,
    /// Who is asking.
    #[serde(default)]
    pub(super) auth: Option<Auth>,
    /// A JSON body, as a tree of patterns.
    #[serde(default)]
    pub(super) json: Option<toml::Value>,
    /// A form body, in the order of the file.
    #[serde(default)]
    pub(super) form: Option<toml::Table>,
    /// The longest that leaves of the body may be.
    #[serde(default, rename = "limit")]
    pub(super) limits: Vec<LimitDefinition>,
    /// Who signs it.
    #[serde(default)]
    pub(super) sign: Option<SignDefinition>,
}

fn post() -> String {
    "POST".to_owned()
}

/// `[request.auth]`: one of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Auth {
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// `Authorization: Basic …`.
    Basic {
        /// The user's pattern.
        user: String,
        /// The password's pattern.
        password: String,
    },
    /// A header with a pattern, for example `GenieKey {api_key}`.
    Header {
        /// The header.
        name: String,
        /// Its value's pattern.
        value: String,
    },
}

/// `[[request.limit]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitDefinition {
    /// A JSON pointer to a leaf of the body, for example `/text`.
    pub(super) at: String,
    /// How much.
    pub(super) max: usize,
    /// Of what; counted after escaping.
    #[serde(default)]
    pub(super) unit: Unit,
    /// What happens past it.
    #[serde(default)]
    pub(super) overflow: Overflow,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    /// Unicode scalar values.
    #[default]
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units.
    Utf16,
}

/// What happens to a text past its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Overflow {
    /// It is cut, and ends with `…`.
    #[default]
    Truncate,
    /// The notification is given up with that reason.
    Refuse,
}

/// `[request.sign]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignDefinition {
    /// The scheme.
    #[expect(
        dead_code,
        reason = "a file names its scheme; there is one so far, so serde's check is all there is"
    )]
    pub(super) scheme: SignScheme,
    /// The setting with the secret or secrets; nothing is signed if it is left out.
    pub(super) secret: String,
}

/// A built-in signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SignScheme {
    /// Symmetric `v1` of <https://github.com/standard-webhooks/standard-webhooks>.
    StandardWebhooks,
}

/// Why a definition can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionProblem {
    /// The bytes of the file that are meant; none when it concerns the whole.
    pub span: Option<Range<usize>>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
}

impl Definition {
    /// Reads and checks a definition.
    pub fn parse(text: &str) -> Result<Self, Vec<DefinitionProblem>> {
        let definition: Self = toml::from_str(text).map_err(|e| {
            vec![DefinitionProblem { span: e.span(), message: e.message().to_owned() }]
        })?;
        let problems: Vec<_> = definition
            .problems()
            .into_iter()
            .map(|(needle, message)| DefinitionProblem {
                span: text.find(&needle).map(|at| at..at + needle.len()),
                message,
            })
            .collect();
        if problems.is_empty() { Ok(definition) } else { Err(problems) }
    }

    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&SettingDefinition> {
        self.settings.iter().find(|s| s.name == name)
    }

    /// What is wrong, each with the text that is meant.
    fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut names = BTreeSet::new();
        for s in &self.settings {
            if !names.insert(s.name.as_str()) {
                found.push((s.name.clone(), format!("setting `{}` is defined twice", s.name)));
            }
            if s.kind == Kind::Choice && s.choices.is_empty() {
                found.push((s.name.clone(), format!("setting `{}` has no choices", s.name)));
            }
            if super::pattern::Variable::named(&s.name).is_some()
                || RESERVED.contains(&s.name.as_str())
            {
                found.push((s.name.clone(), format!("setting `{}` has a reserved name", s.name)));
            }
        }
        if self.settings.iter().filter(|s| s.recipient).count() > 1 {
            found.push((self.name.clone(), "only one setting can be the recipient".to_owned()));
        }
        for name in self.one_of.iter().flatten() {
            if !self.setting(name).is_some_and(|s| s.optional) {
                found.push((
                    name.clone(),
                    format!("one_of names `{name}`, which is no optional setting"),
                ));
            }
        }
        match (&self.request, self.protocol) {
            (Some(request), Protocol::Http) => self.request_problems(request, &mut found),
            (None, Protocol::Http) => {
                found.push((self.name.clone(), "a provider over http needs [request]".to_owned()));
            }
            (Some(_), _) => {
                found.push((
                    "[request]".to_owned(),
                    "[request] is for protocol = \"http\" only".to_owned(),
                ));
            }
            (None, _) => {}
        }
        for pointer in self.words.iter().chain(self.verdicts.iter().filter_map(Row::pointer)) {
            if !pointer.starts_with('/') {
                found.push((
                    pointer.clone(),
                    format!("`{pointer}` is no JSON pointer such as `/message`"),
                ));
            }
        }
        found
    }

    fn request_problems(&self, request: &RequestDefinition, found: &mut Vec<(String, String)>) {
        let mut check = |text: &str| match Pattern::parse(text) {
            Err(message) => {
                found.push((text.to_owned(), message));
                None
            }
            Ok(pattern) => {
                for hole in pattern.holes() {
                    if let Hole::Setting(name, _) = hole {
                        match self.setting(name) {
                            None => found.push((text.to_owned(), format!("`{{{name}}}` is no setting and no variable"))),
                            Some(s) if s.recipient => found.push((
                                text.to_owned(),
                                format!("write `{{recipient}}` instead of `{{{name}}}`: each recipient gets its own request"),
                            )),
                            Some(_) => {}
                        }
                    }
                }
                Some(pattern)
            }
        };
        let url = check(&request.url);
        let mut patterns: Vec<&str> = vec![&request.method];
        patterns.extend(request.headers.values().filter_map(toml::Value::as_str));
        match &request.auth {
            Some(Auth::Bearer(value) | Auth::Header { value, .. }) => patterns.push(value),
            Some(Auth::Basic { user, password }) => patterns.extend([user.as_str(), password]),
            None => {}
        }
        if let Some(json) = &request.json {
            leaves(json, &mut patterns);
        }
        for value in request.form.iter().flat_map(toml::Table::values) {
            leaves(value, &mut patterns);
        }
        for pattern in patterns {
            check(pattern);
        }
        if request.json.is_some() && request.form.is_some() {
            found.push(("form".to_owned(), "a body is either json or form".to_owned()));
        }
        if let Some(url) = url
            && let Err(message) = self.check_host(&url)
        {
            found.push((request.url.clone(), message));
        }
        for name in [request.extra_headers.as_ref(), request.sign.as_ref().map(|s| &s.secret)]
            .into_iter()
            .flatten()
        {
            if self.setting(name).is_none() {
                found.push((name.clone(), format!("`{name}` is no setting")));
            }
        }
        for limit in &request.limits {
            let body =
                request.json.clone().or_else(|| request.form.clone().map(toml::Value::Table));
            if !body.is_some_and(|b| has_leaf(&b, &limit.at)) {
                found.push((
                    limit.at.clone(),
                    format!("the limit's `{}` is no leaf of the body", limit.at),
                ));
            }
        }
    }

    /// The host comes from the file or from settings, never from an event.
    fn check_host(&self, url: &Pattern) -> Result<(), String> {
        let is_url = |name: &str| self.setting(name).is_some_and(|s| s.kind == Kind::Url);
        let rest = match url.parts.first() {
            Some(Part::Hole(Hole::Setting(name, _))) if is_url(name) => {
                return match url.parts.get(1) {
                    None => Ok(()),
                    Some(Part::Text(t)) if t.starts_with(['/', '?']) => Ok(()),
                    Some(_) => Err("a url setting is followed by `/`, `?` or nothing".to_owned()),
                };
            }
            Some(Part::Text(t)) => {
                t.strip_prefix("https://").ok_or("a url begins with https:// or a url setting")?
            }
            _ => return Err("a url begins with https:// or a setting of kind url".to_owned()),
        };
        if url.parts.len() > 1 && !rest.contains('/') {
            return Err(
                "the host can't come from a placeholder; use a setting of kind url".to_owned()
            );
        }
        Ok(())
    }
}

/// Keys of `[destinations.NAME]` that every provider has.
const RESERVED: [&str; 6] = ["provider", "concurrency", "timeout", "retry", "fallback", "if"];

/// Every text of a body tree.
fn leaves<'a>(value: &'a toml::Value, into: &mut Vec<&'a str>) {
    match value {
        toml::Value::String(s) => into.push(s),
        toml::Value::Array(list) => list.iter().for_each(|v| leaves(v, into)),
        toml::Value::Table(table) => table.values().for_each(|v| leaves(v, into)),
        _ => {}
    }
}

/// Whether `pointer` leads to a text of the tree.
fn has_leaf(value: &toml::Value, pointer: &str) -> bool {
    let Some(pointer) = pointer.strip_prefix('/') else { return value.is_str() };
    let (head, rest) = match pointer.find('/') {
        Some(at) => pointer.split_at(at),
        None => (pointer, ""),
    };
    let next = match value {
        toml::Value::Table(t) => t.get(head),
        toml::Value::Array(a) => head.parse::<usize>().ok().and_then(|i| a.get(i)),
        _ => None,
    };
    next.is_some_and(|v| if rest.is_empty() { v.is_str() } else { has_leaf(v, rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        let text = format!(
            "name = \"x\"\nchannel = \"text\"\n[[settings]]\nname = \"url\"\nkind = \"url\"\n[[settings]]\nname = \"who\"\nrecipient = true\n{body}"
        );
        let problems = Definition::parse(&text).expect_err("it should be refused");
        problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_definition_says_what_is_wrong_with_it() {
        let cases = [
            ("", "a provider over http needs [request]"),
            ("[request]\nurl = \"{text}\"", "a url begins with https:// or a setting of kind url"),
            (
                "[request]\nurl = \"https://{event_type}.example.com/\"",
                "the host can't come from a placeholder",
            ),
            ("[request]\nurl = \"{url}.example.com\"", "a url setting is followed by"),
            ("[request]\nurl = \"http://example.com/\"", "a url begins with https://"),
            (
                "[request]\nurl = \"{url}\"\njson = { a = \"{nope}\" }",
                "`{nope}` is no setting and no variable",
            ),
            ("[request]\nurl = \"{url}\"\njson = { a = \"{who}\" }", "write `{recipient}`"),
            ("[request]\nurl = \"{url}\"\njson = { a = \"{text\" }", "`{` is never closed"),
            ("[request]\nurl = \"{url}\"\njson = {}\nform = {}", "either json or form"),
            (
                "[request]\nurl = \"{url}\"\njson = { a = 1 }\n[[request.limit]]\nat = \"/a\"\nmax = 3",
                "no leaf of the body",
            ),
            ("[request]\nurl = \"{url}\"\nbogus = 1", "unknown field `bogus`"),
            (
                "[request]\nurl = \"{url}\"\n[[verdict]]\nstatus = 99\nthen = \"sent\"",
                "no HTTP status",
            ),
        ];
        for (body, expected) in cases {
            let got = refused(body);
            assert!(got.contains(expected), "{body}\n{got}");
        }
    }
}
