//! The format of a provider definition: what `providers/NAME.toml` may say, checked before it is used.
//!
//! `docs/providers.md` describes the format for people; a key that isn't described there is refused here.

use std::ops::Range;

use serde::Deserialize;

use super::example::Example;
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
    /// The rate that the provider publishes.
    #[serde(default)]
    pub(super) rate: Option<RateDefinition>,
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
}
