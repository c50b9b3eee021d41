//! The format of a provider definition: what `providers/NAME.toml` may say, checked before it is used.
//!
//! `docs/providers.md` describes the format for people; a key that isn't described there is refused here.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::example::Example;
use super::verdict::Row;
use super::wait::WaitSource;
use crate::rules::template::{Channel, Escape, Form, Style};

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
    /// The markup that event values can't write, where it isn't the channel's own.
    #[serde(default)]
    pub(super) escape: Option<Style>,
    /// Characters that can't begin a mention in an event value, where they aren't the channel's own.
    #[serde(default)]
    pub(super) mentions: Option<String>,
    /// How messages travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// How many attempts run at once unless the destination says otherwise.
    #[serde(default = "four")]
    pub concurrency: usize,
    /// The rate that the provider publishes.
    #[serde(default)]
    pub(super) rate: Option<RateDefinition>,
    /// The provider's settings, by name, in the order of the file.
    #[serde(default)]
    pub settings: Vec<SettingDefinition>,
    /// Groups of optional settings of which exactly one must be given.
    #[serde(default)]
    pub one_of: Vec<Vec<String>>,
    /// Groups of optional settings that are given together or not at all.
    #[serde(default)]
    pub all_of: Vec<Vec<String>>,
    /// Values derived from others, by name.
    #[serde(default)]
    pub(super) values: BTreeMap<String, ValueDefinition>,
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

/// `rate = { max = 1, per = "1s", scope = "destination" }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateDefinition {
    /// So many requests …
    pub(super) max: usize,
    /// … in any span of this length, for example `1s` or `1m`.
    pub(super) per: String,
    /// What the provider counts together.
    #[serde(default)]
    pub(super) scope: Scope,
}

/// What a provider counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scope {
    /// Each destination by itself.
    #[default]
    Destination,
    /// All destinations with the same secret settings: one account, token or webhook.
    Account,
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
    /// Short names for values, for example `eu` for the host of that region.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// A regular expression that a text must match as a whole.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For [`Kind::Integer`]: the least.
    #[serde(default)]
    pub min: Option<i64>,
    /// For [`Kind::Integer`]: the most.
    #[serde(default)]
    pub max: Option<i64>,
    /// The value when it is left out. A text may hold placeholders of settings that are defined before it.
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
    /// One label of a host name, such as a region or a site: letters, digits and hyphens.
    Label,
    /// A host name without a port: `mg.example.com`.
    Domain,
    /// A UUID.
    Uuid,
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
    /// Query parameters by name; they replace those of the same name in the URL.
    #[serde(default)]
    pub(super) query: toml::Table,
    /// A JSON body, as a tree of patterns.
    #[serde(default)]
    pub(super) json: Option<toml::Value>,
    /// A form body, in the order of the file.
    #[serde(default)]
    pub(super) form: Option<toml::Table>,
    /// A body that is one text.
    #[serde(default)]
    pub(super) text: Option<String>,
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
#[serde(rename_all = "kebab-case")]
pub(super) enum Unit {
    /// Unicode scalar values.
    #[default]
    Chars,
    /// Bytes of UTF-8.
    Bytes,
    /// UTF-16 code units.
    Utf16,
    /// Bytes of the text as a JSON string, quotes aside.
    JsonBytes,
    /// Segments of a text message.
    Segments,
}

/// What happens to a text past its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Overflow {
    /// It is cut, and ends with `…`.
    #[default]
    Truncate,
    /// It goes out in several requests, each with its number.
    Split,
    /// The leaf is left out.
    Drop,
    /// The notification is given up with that reason.
    Refuse,
}

/// `[request.sign]`: one of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum SignDefinition {
    /// Symmetric `v1` of <https://github.com/standard-webhooks/standard-webhooks>, in three headers.
    StandardWebhooks {
        /// The setting with the secret or secrets; nothing is signed if it is left out.
        secret: String,
    },
    /// An HMAC-SHA256 as `{signature}`.
    HmacSha256 {
        /// The key's pattern.
        key: String,
        /// The pattern of what is signed.
        content: String,
        /// How the signature is written.
        #[serde(default)]
        encoding: Encoding,
    },
    /// AWS Signature Version 4, in headers.
    AwsSigv4 {
        /// The service's name in the signature, for example `sns`.
        service: String,
        /// The region's pattern.
        region: String,
        /// The access key's pattern.
        access_key: String,
        /// The secret key's pattern.
        secret_key: String,
        /// The session token's pattern; not sent if a setting of it is left out.
        #[serde(default)]
        session_token: Option<String>,
    },
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// Base64 with padding.
    #[default]
    Base64,
    /// Small hexadecimal digits.
    Hex,
}

/// `[values.NAME]`: a value derived from others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueDefinition {
    /// Patterns; the first that is there is taken.
    #[serde(deserialize_with = "one_or_more")]
    pub(super) from: Vec<String>,
    /// What is put for what is found; without it, what is found.
    #[serde(default)]
    pub(super) map: Option<toml::Table>,
    /// What is put for anything else; nothing if left out.
    #[serde(default, rename = "else")]
    pub(super) otherwise: Option<toml::Value>,
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let text = |v: toml::Value| match v {
        toml::Value::String(text) => Ok(text),
        other => Err(serde::de::Error::custom(format!("{other} is no text"))),
    };
    match toml::Value::deserialize(d)? {
        toml::Value::Array(list) => list.into_iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

/// Why a definition can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionProblem {
    /// The bytes of the file that are meant; none when it concerns the whole.
    pub span: Option<Range<usize>>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A problem and where it is: the keys that lead there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: Vec<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Found {
    /// A problem at the dotted `path`.
    pub(super) fn at(path: &[&str], message: impl Into<String>) -> Self {
        let path = path.iter().map(|p| (*p).to_owned()).collect();
        Self { path, message: message.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn place(self, text: &str) -> DefinitionProblem {
        let span = span(text, &self.path);
        DefinitionProblem { span, message: self.message, hint: self.hint }
    }
}

/// The place in the file of what a path leads to, as far as it can be followed.
fn span(text: &str, path: &[String]) -> Option<Range<usize>> {
    use toml::de::{DeTable, DeValue};
    let document = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (key, mut value) = document.get_ref().iter().find(|(k, _)| k.get_ref() == first)?;
    let mut span = key.span();
    for step in rest {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.iter().find(|(k, _)| k.get_ref() == step),
            DeValue::Array(list) => {
                let item = step.parse::<usize>().ok().and_then(|i| list.get(i));
                if let Some(item) = item {
                    value = item;
                    span = item.span();
                    continue;
                }
                None
            }
            _ => None,
        };
        let Some((key, found)) = next else { break };
        span = key.span();
        value = found;
    }
    // What is wrong with one value stands in that value.
    if matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
        Some(span)
    } else {
        Some(value.span())
    }
}

impl Definition {
    /// Reads and checks a definition.
    pub fn parse(text: &str) -> Result<Self, Vec<DefinitionProblem>> {
        let definition: Self = toml::from_str(text).map_err(|e| {
            vec![DefinitionProblem { span: e.span(), message: e.message().to_owned(), hint: None }]
        })?;
        let problems = definition.problems();
        if problems.is_empty() {
            Ok(definition)
        } else {
            Err(problems.into_iter().map(|p| p.place(text)).collect())
        }
    }

    /// Runs every example of the file `text` that this was read from; says what came out differently.
    pub fn check_examples(&self, text: &str) -> Vec<DefinitionProblem> {
        self.run_examples().into_iter().map(|p| p.place(text)).collect()
    }

    /// The setting of this name.
    pub fn setting(&self, name: &str) -> Option<&SettingDefinition> {
        self.settings.iter().find(|s| s.name == name)
    }

    /// How messages are written.
    pub fn form(&self) -> Form {
        let of_channel = Escape::of(self.channel);
        let escape = of_channel.with_style(self.escape.unwrap_or(of_channel.style));
        let escape = match &self.mentions {
            Some(characters) => escape.breaking(characters),
            None => escape,
        };
        Form { channel: self.channel, escape }
    }
}
