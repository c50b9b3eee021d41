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
mod lint;
mod scan;
mod source;

use crate::event::Event;
use escape::Part;
use lint::Parsed;
use source::{For, Source};

/// The kind of place a message goes to. It decides which template file is taken and how event text is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Slack's mrkdwn: `&`, `<` and `>` are escaped. Files `NAME.slack.hbs`.
    Slack,
    /// E-mail: a text part from `NAME.email.hbs`, and an HTML part from `NAME.email.html.hbs` where that file exists.
    /// The subject comes from the front matter and never holds a line break.
    Email,
    /// A text message: control, bidi and zero-width characters are removed. Files `NAME.sms.hbs`.
    Sms,
    /// Plain text, for generic webhooks, the console and the inbox. Files `NAME.text.hbs`.
    Text,
}

/// A rendered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The subject, on channels that have one.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The HTML part of an e-mail, where its template has one.
    pub html: Option<String>,
    /// The template's error, when this is the built-in text that replaces it.
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

/// Every message template, compiled, by name and channel.
#[derive(Default)]
pub struct Templates {
    sources: Vec<(Source, Parsed, Option<Parsed>)>,
    registries: BTreeMap<Part, Handlebars<'static>>,
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sources.iter().map(|(s, ..)| &s.file)).finish()
    }
}

/// A field of the event that a template reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The names from the event's top, for example `["metadata", "campaign_id"]`.
    pub path: Vec<String>,
    /// The file's name below `templates/`.
    pub file: String,
    /// The path's bytes in that file.
    pub span: Range<usize>,
}

/// The names of the envelope, which a field of `data` never hides.
pub const ENVELOPE: [&str; 8] =
    ["event", "id", "timestamp", "source", "data", "rule", "destination", "received"];

/// The longest subject, in characters.
const SUBJECT: usize = 200;

impl Templates {
    /// Renders `template` (none: the built-in text) for `channel`. It never fails: a template that does is replaced by
    /// the built-in text, with the error in [`Message::fallback`].
    pub fn render(
        &self,
        template: Option<&str>,
        channel: Channel,
        context: Context<'_>,
    ) -> Message {
        match template.map(|name| self.try_render(name, channel, context)) {
            Some(Ok(message)) => message,
            failed => {
                let mut body: Value =
                    serde_json::from_slice(&context.event.body).unwrap_or_default();
                let data = Value::Object(data::fields(&mut body));
                let fallback = failed.and_then(Result::err);
                Message { fallback, ..builtin::message(channel, context, &data) }
            }
        }
    }

    fn try_render(
        &self,
        name: &str,
        channel: Channel,
        context: Context<'_>,
    ) -> Result<Message, String> {
        let missing = || format!("there is no template `{name}` for this kind of message");
        let part = Part::of(channel);
        let (_, parsed, subject) = self.find(name, part).ok_or_else(missing)?;
        let partials = self.sources.iter().filter(|(s, ..)| s.name.starts_with('_'));
        let html = (part == Part::Email).then(|| self.find(name, Part::EmailHtml)).flatten();
        let with_data = [Some(parsed), subject.as_ref(), html.map(|(_, p, _)| p)]
            .into_iter()
            .flatten()
            .chain(partials.map(|(_, p, _)| p))
            .any(|p| p.reads_data);
        let data = handlebars::Context::from(data::build(context, with_data));
        budget::start(context.event.body.len());
        let text = self.part(part, name, &data)?;
        if text.trim().is_empty() {
            return Err(format!("template `{name}` gives an empty text"));
        }
        let html = html.map(|_| self.part(Part::EmailHtml, name, &data)).transpose()?;
        let subject = match (channel, subject) {
            (Channel::Email, Some(_)) => {
                Some(self.part(Part::Email, &subject_name(name), &data)?)
            }
            (Channel::Email, None) => Some(format!("{}: {}", context.rule, context.event.kind)),
            _ => None,
        };
        let subject = subject.map(|s| subject_line(&s));
        Ok(Message {
            subject,
            text: text.trim_matches(['\n', '\r', ' ', '\t']).to_owned(),
            html,
            fallback: None,
        })
    }

    fn part(&self, part: Part, name: &str, data: &handlebars::Context) -> Result<String, String> {
        let registry =
            self.registries.get(&part).ok_or_else(|| format!("there is no template `{name}`"))?;
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
    fn find(&self, name: &str, part: Part) -> Option<&(Source, Parsed, Option<Parsed>)> {
        let mut found: Vec<_> = self.sources.iter().filter(|(s, ..)| s.name == name).collect();
        found.sort_by_key(|(s, ..)| std::cmp::Reverse(fits(s, part)));
        found.into_iter().next().filter(|(s, ..)| fits(s, part) > 0)
    }

    /// Whether a template of this name has a text for `channel`, or one for every channel.
    pub fn has(&self, name: &str, channel: Channel) -> bool {
        !name.starts_with('_') && self.find(name, Part::of(channel)).is_some()
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

    /// Every field of the event that `name` reads for `channel`, in its partials and its subject too. Paths inside
    /// `each` and `with` are relative to something else and left out.
    pub fn variables(&self, name: &str, channel: Channel) -> Vec<Variable> {
        let part = Part::of(channel);
        let mut found = lint::variables(&self.graph(part), name);
        if part == Part::Email {
            found.extend(lint::variables(&self.graph(Part::EmailHtml), name));
            let subject = self.find(name, part).and_then(|(_, _, s)| s.as_ref());
            found.extend(subject.map(|s| s.variables.clone()).unwrap_or_default());
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
            for part in Part::ALL {
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
        for part in Part::ALL {
            let mut registry = Handlebars::new();
            registry.register_escape_fn(move |value| part.escape(value));
            functions::register(&mut registry);
            for (source, _, _) in &this.sources {
                if let Some((_, parsed, subject)) = this.find(&source.name, part) {
                    registry.register_template(&source.name, parsed.template.clone());
                    if let (Some(subject), Part::Email) = (subject, part) {
                        registry.register_template(
                            &subject_name(&source.name),
                            subject.template.clone(),
                        );
                    }
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
            if source.is_for == For::EmailHtml
                && !source.name.starts_with('_')
                && self.find(&source.name, Part::Email).is_none()
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
    let own = match part {
        Part::Slack => For::Slack,
        Part::Email => For::Email,
        Part::EmailHtml => For::EmailHtml,
        Part::Sms => For::Sms,
        Part::Text => For::Text,
    };
    match source.is_for {
        is_for if is_for == own => 2,
        For::Every if part != Part::EmailHtml || source.name.starts_with('_') => 1,
        _ => 0,
    }
}

fn read(file: &TemplateFile) -> Result<(Source, Parsed, Option<Parsed>), Vec<TemplateProblem>> {
    let source = source::read(file).map_err(|p| vec![p])?;
    let body = lint::parse(&source, &source.body, source.start);
    let subject =
        source.subject.as_ref().map(|(text, at)| lint::parse(&source, text, *at)).transpose();
    match (body, subject) {
        (Ok(body), Ok(subject)) => Ok((source, body, subject)),
        (body, subject) => Err(body.err().into_iter().chain(subject.err()).flatten().collect()),
    }
}

/// No file can have this name.
fn subject_name(name: &str) -> String {
    format!("{name} subject")
}

/// One line, bounded: a line break in a subject would begin another header.
fn subject_line(text: &str) -> String {
    cut::chars(&cut::one_line(text), SUBJECT).into_owned()
}

#[cfg(test)]
mod tests;
