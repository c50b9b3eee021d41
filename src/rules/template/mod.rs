//! Templates: the handlebars text of a message, per channel.
//!
//! A file is `NAME.hbs` or `NAME.CHANNEL.hbs`; the second is taken where both exist. A name that begins with `_` is a
//! partial, `{{> _call}}`, found the same way. Values are escaped by channel and nothing can turn that off: `{{{x}}}` and
//! `{{&x}}` are refused at load. So are cycles, unknown helpers and partials, and what nests too deep, because the
//! renderer recurses and would end the process. A render is bounded in output, turns and work.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use handlebars::Handlebars;
use serde_json::Value;

mod budget;
mod builtin;
pub mod cut;
mod data;
mod escape;
mod functions;
pub mod gsm;
mod lint;
mod scan;
mod source;

pub use escape::{Escape, Style};

use crate::event::Event;
use lint::Parsed;
use source::{For, Matter, Source};

/// The kind of place a message goes to. It decides which template file is taken and, unless a provider says otherwise,
/// how event text is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Slack's mrkdwn: `&`, `<` and `>` are escaped. Files `NAME.slack.hbs`.
    Slack,
    /// Discord's Markdown. Files `NAME.discord.hbs`.
    Discord,
    /// The Markdown of Teams' adaptive cards. Files `NAME.teams.hbs`.
    Teams,
    /// Telegram's HTML. Files `NAME.telegram.hbs`.
    Telegram,
    /// Markdown of other chats, trackers and on-call services. Files `NAME.markdown.hbs`.
    Markdown,
    /// HTML as the whole message, for example a note in a CRM. Files `NAME.html.hbs`.
    Html,
    /// E-mail: a text part from `NAME.email.hbs`, and an HTML part from `NAME.email.html.hbs` where that file exists.
    /// The subject comes from the front matter and never holds a line break.
    Email,
    /// A text message: control, bidi and zero-width characters are removed. Files `NAME.sms.hbs`.
    Sms,
    /// Plain text: generic webhooks, push services, the console and the inbox. Files `NAME.text.hbs`.
    Text,
}

impl Channel {
    /// Every kind, by name.
    pub const ALL: [(&'static str, Self); 9] = [
        ("slack", Self::Slack),
        ("discord", Self::Discord),
        ("teams", Self::Teams),
        ("telegram", Self::Telegram),
        ("markdown", Self::Markdown),
        ("html", Self::Html),
        ("email", Self::Email),
        ("sms", Self::Sms),
        ("text", Self::Text),
    ];

    /// The kind of this name, as definitions and file names have it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(n, _)| *n == name).map(|(_, channel)| channel)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, c)| *c == self).map_or("text", |(name, _)| name)
    }
}

/// How a destination's messages are written: from which files, and how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Which template file is taken.
    pub channel: Channel,
    /// How values are escaped in the text.
    pub escape: Escape,
}

impl Form {
    /// The form of a channel whose provider says nothing more.
    pub fn of(channel: Channel) -> Self {
        Self { channel, escape: Escape::of(channel) }
    }
}

/// A text of a message that has files of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Channel(Channel),
    /// The HTML part of a mail.
    EmailHtml,
}

impl Part {
    fn all() -> impl Iterator<Item = Self> {
        Channel::ALL.into_iter().map(|(_, c)| Self::Channel(c)).chain([Self::EmailHtml])
    }
}

/// How urgent a message is, for services that wake people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Somebody must act at once.
    Critical,
    /// Something has failed.
    Error,
    /// Something may fail.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// Its word in a template's front matter.
    pub fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// The severity of this word, in capitals or not.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Self::Critical, Self::Error, Self::Warning, Self::Info];
        all.into_iter().find(|s| s.word().eq_ignore_ascii_case(word.trim()))
    }
}

/// A rendered message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// The subject or title; always there in e-mail. Plain text on one line.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The HTML part of an e-mail, where its template has one.
    pub html: Option<String>,
    /// How urgent it is, where the template says so.
    pub severity: Option<Severity>,
    /// What makes two messages one alert, where the template says so. One line, at most 255 characters.
    pub dedup: Option<String>,
    /// A page about it, where the template names one: an `http` or `https` URL.
    pub link: Option<String>,
    /// What the provider shows instead of the text, where there is such a template: a tree of its own JSON.
    pub rich: Option<Value>,
    /// The template's error, when something simpler goes out in its place.
    pub fallback: Option<String>,
}

/// What a template sees beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The event.
    pub event: &'a Event,
    /// The name of the rule that matched.
    pub rule: &'a str,
    /// The name of the destination.
    pub destination: &'a str,
}

/// A template file as read.
#[derive(Clone, Debug)]
pub struct TemplateFile {
    /// The file's name below `templates/`, for example `won-deal.slack.hbs`.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// Why a template file can't be used, or what is suspicious in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateProblem {
    /// A stable code in kebab case.
    pub code: &'static str,
    /// The file's name below `templates/`.
    pub file: String,
    /// The bytes that are meant; none when it concerns the whole file.
    pub span: Option<std::ops::Range<usize>>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A file, its text, and what its front matter says.
type Compiled = (Source, Parsed, Vec<(Matter, Parsed)>);

/// Every message template, compiled, by name and channel.
#[derive(Default)]
pub struct Templates {
    sources: Vec<Compiled>,
    /// None holds the files for every kind, for the parts that have no file of their own.
    registries: BTreeMap<Option<Part>, Handlebars<'static>>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(s, ..)| &s.file)).finish()
    }
}

/// A field of the event that a template reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The names from the event's top, for example `["metadata", "campaign_id"]`; `[]` is each item of a list or an
    /// object.
    pub path: Vec<String>,
    /// The file's name below `templates/`.
    pub file: String,
    /// The path's bytes in that file.
    pub span: Range<usize>,
    /// Whether it begins at the event's top even in a partial that sees something else.
    absolute: bool,
}

/// The names of the envelope, which a field of `data` never hides.
pub const ENVELOPE: [&str; 8] =
    ["event", "id", "timestamp", "source", "data", "rule", "destination", "received"];

/// The longest subject, in characters.
const SUBJECT: usize = 200;
/// The longest dedup key, in characters: what PagerDuty takes.
const DEDUP: usize = 255;
/// The longest link, in bytes.
const LINK: usize = 2_000;

impl Templates {
    /// Renders `template` (none: the built-in text) in `form`. It never fails: a template that does is replaced by
    /// the built-in text, with the error in [`Message::fallback`].
    pub fn render(&self, template: Option<&str>, form: Form, context: Context<'_>) -> Message {
        match template.map(|name| self.try_render(name, form, context)) {
            Some(Ok(message)) => message,
            failed => {
                let mut body: Value =
                    serde_json::from_slice(&context.event.body).unwrap_or_default();
                let data = Value::Object(data::fields(&mut body));
                let fallback = failed.and_then(Result::err);
                Message { fallback, ..builtin::message(form, context, &data) }
            }
        }
    }

    fn try_render(&self, name: &str, form: Form, context: Context<'_>) -> Result<Message, String> {
        let missing = || format!("there is no template `{name}` for this kind of message");
        let email = form.channel == Channel::Email;
        let part = Part::Channel(form.channel);
        let (_, parsed, matter) = self.find(name, part).ok_or_else(missing)?;
        let partials = self.sources.iter().filter(|(s, ..)| s.name.starts_with('_'));
        let html = email.then(|| self.find(name, Part::EmailHtml)).flatten();
        let with_data = std::iter::once(parsed)
            .chain(matter.iter().map(|(_, p)| p))
            .chain(html.map(|(_, p, _)| p))
            .chain(partials.map(|(_, p, _)| p))
            .any(|p| p.reads_data);
        let data = handlebars::Context::from(data::build(context, with_data));
        budget::start(context.event.body.len());
        escape::set(form.escape);
        let text = self.part(part, name, &data)?;
        if text.trim().is_empty() {
            return Err(format!("template `{name}` gives an empty text"));
        }
        let mut message = Message {
            text: text.trim_matches(['\n', '\r', ' ', '\t']).to_owned(),
            ..Message::default()
        };
        escape::set(Escape::new(Style::Plain));
        for (matter, _) in matter {
            let value = cut::one_line(&self.part(part, &matter_name(name, *matter), &data)?);
            if value.is_empty() {
                continue;
            }
            match matter {
                Matter::Subject => message.subject = Some(subject_line(&value)),
                Matter::Severity => message.severity = Severity::named(&value),
                Matter::Dedup => message.dedup = Some(cut::chars(&value, DEDUP).into_owned()),
                Matter::Link => message.link = Some(value).filter(|v| is_link(v)),
            }
        }
        if email && message.subject.is_none() {
            message.subject =
                Some(subject_line(&format!("{}: {}", context.rule, context.event.kind)));
        }
        if html.is_some() {
            escape::set(Escape::new(Style::Html));
            message.html = Some(self.part(Part::EmailHtml, name, &data)?);
        }
        Ok(message)
    }

    fn part(&self, part: Part, name: &str, data: &handlebars::Context) -> Result<String, String> {
        let registry = self.registries.get(&Some(part)).or_else(|| self.registries.get(&None));
        let registry = registry.ok_or_else(|| format!("there is no template `{name}`"))?;
        let mut out = budget::Bounded::default();
        registry.render_with_context_to_write(name, data, &mut out).map_err(|e| {
            let place = match (&e.template_name, e.line_no) {
                (Some(file), Some(line)) => format!("{file}, line {line}: "),
                _ => format!("template `{name}`: "),
            };
            cut::chars(&cut::one_line(&format!("{place}{}", e.reason())), 300).into_owned()
        })?;
        Ok(out.into_text())
    }

    /// The file that `name` is for `part`.
    fn find(&self, name: &str, part: Part) -> Option<&Compiled> {
        let mut found: Vec<_> = self.sources.iter().filter(|(s, ..)| s.name == name).collect();
        found.sort_by_key(|(s, ..)| std::cmp::Reverse(fits(s, part)));
        found.into_iter().next().filter(|(s, ..)| fits(s, part) > 0)
    }

    /// Whether a template of this name has a text for `channel`, or one for every channel.
    pub fn has(&self, name: &str, channel: Channel) -> bool {
        !name.starts_with('_') && self.find(name, Part::Channel(channel)).is_some()
    }

    /// The names of all templates, for "did you mean".
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .sources
            .iter()
            .map(|(s, ..)| s.name.as_str())
            .filter(|n| !n.starts_with('_'))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Every field of the event that `name` reads for `channel`, in its partials and its front matter too, also inside
    /// `each` and `with`. What can't be followed (`lookup`, names that are handed to a partial) is left out.
    pub fn variables(&self, name: &str, channel: Channel) -> Vec<Variable> {
        let part = Part::Channel(channel);
        let mut found = lint::variables(&self.graph(part), name);
        if channel == Channel::Email {
            found.extend(lint::variables(&self.graph(Part::EmailHtml), name));
        }
        for (_, parsed) in self.find(name, part).iter().flat_map(|(_, _, matter)| matter) {
            found.extend(parsed.variables.iter().cloned());
        }
        found
    }

    fn graph(&self, part: Part) -> lint::Graph<'_> {
        let names = self.sources.iter().map(|(s, ..)| s.name.as_str());
        names.filter_map(|n| self.find(n, part).map(|(s, p, _)| (n, (s, p)))).collect()
    }

    /// Compiles every file, or says everything that is wrong with them. Names are checked, cycles and deep nesting of
    /// partials refused.
    pub fn compile(files: &[TemplateFile]) -> Result<Self, Vec<TemplateProblem>> {
        let mut problems = Vec::new();
        let mut this = Self::default();
        for file in files {
            match read(file) {
                Ok(source) => this.sources.push(source),
                Err(found) => problems.extend(found),
            }
        }
        // What a broken partial is needed for would only repeat its problem.
        if problems.is_empty() {
            this.check_names(&mut problems);
            for part in Part::all() {
                problems.extend(lint::check_includes(&this.graph(part)));
            }
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| {
                (&a.file, a.span.as_ref().map(|s| s.start), &a.message).cmp(&(
                    &b.file,
                    b.span.as_ref().map(|s| s.start),
                    &b.message,
                ))
            });
            problems.dedup();
            return Err(problems);
        }
        let own = |part: Part| this.sources.iter().any(|(s, ..)| s.is_for == For::Part(part));
        for part in std::iter::once(None).chain(Part::all().filter(|p| own(*p)).map(Some)) {
            let mut registry = Handlebars::new();
            registry.register_escape_fn(escape::current);
            functions::register(&mut registry);
            for (source, ..) in &this.sources {
                let found = match part {
                    Some(part) => this.find(&source.name, part),
                    None => this
                        .sources
                        .iter()
                        .find(|(s, ..)| s.name == source.name && s.is_for == For::Every),
                };
                let Some((_, parsed, matter)) = found else { continue };
                registry.register_template(&source.name, parsed.template.clone());
                for (matter, parsed) in matter {
                    let name = matter_name(&source.name, *matter);
                    registry.register_template(&name, parsed.template.clone());
                }
            }
            this.registries.insert(part, registry);
        }
        Ok(this)
    }

    fn check_names(&self, problems: &mut Vec<TemplateProblem>) {
        let mut seen = BTreeMap::new();
        for (source, ..) in &self.sources {
            let mut problem = |message: String, hint: &str| {
                problems.push(TemplateProblem {
                    code: "template-name",
                    file: source.file.clone(),
                    span: None,
                    message,
                    hint: Some(hint.to_owned()),
                });
            };
            if seen.insert((&source.name, source.is_for), ()).is_some() {
                problem(format!("`{}` is there twice", source.file), "keep one of them");
            }
            if source.is_for == For::Part(Part::EmailHtml)
                && !source.name.starts_with('_')
                && self.find(&source.name, Part::Channel(Channel::Email)).is_none()
            {
                problem(
                    "an HTML part needs a text part".to_owned(),
                    "add the same name with .email.hbs",
                );
            }
        }
    }
}

/// How well a file fits: its own kind of message first, then one for every kind; 0 is not at all. The HTML part of a
/// mail is never made from a plain text, but its partials may be.
fn fits(source: &Source, part: Part) -> u8 {
    match source.is_for {
        For::Part(own) if own == part => 2,
        For::Every if part != Part::EmailHtml || source.name.starts_with('_') => 1,
        _ => 0,
    }
}

fn read(file: &TemplateFile) -> Result<Compiled, Vec<TemplateProblem>> {
    let source = source::read(file).map_err(|p| vec![p])?;
    let mut problems = Vec::new();
    let body = lint::parse(&source, &source.body, source.start);
    let mut matter = Vec::new();
    for (key, text, at) in &source.matter {
        match lint::parse(&source, text, *at) {
            Ok(parsed) => matter.push((*key, parsed)),
            Err(found) => problems.extend(found),
        }
    }
    match body {
        Ok(body) if problems.is_empty() => Ok((source, body, matter)),
        body => Err(body.err().into_iter().flatten().chain(problems).collect()),
    }
}

/// No file can have this name.
fn matter_name(name: &str, matter: Matter) -> String {
    format!("{name} {}", matter.word())
}

/// A link that a person may follow; anything else (`javascript:`) is left out, and what has a character that no URL has
/// (RFC 3986, 2): `<!channel>` in a link would be a mention wherever a service shows it in a text.
fn is_link(value: &str) -> bool {
    let http = ["https://", "http://"].iter().any(|s| value.starts_with(s));
    let in_no_url = |c: char| c.is_whitespace() || "<>\"\\^`{|}".contains(c);
    http && value.len() <= LINK && !value.contains(in_no_url)
}

/// One line, bounded: a line break in a subject would begin another header.
fn subject_line(text: &str) -> String {
    cut::chars(&cut::one_line(text), SUBJECT).into_owned()
}

#[cfg(test)]
mod tests;
