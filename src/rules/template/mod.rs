//! Templates: the handlebars text of a message, per channel.

pub mod cut;

use crate::event::Event;

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

/// Every message template, compiled, by name and channel.
#[derive(Debug, Default)]
pub struct Templates {}

impl Templates {
    /// Renders `template` (none: the built-in text) for `channel`. It never fails: a template that does is replaced by
    /// the built-in text, with the error in [`Message::fallback`].
    pub fn render(
        &self,
        template: Option<&str>,
        channel: Channel,
        context: Context<'_>,
    ) -> Message {
        let _ = (template, channel, context);
        todo!()
    }
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

impl Templates {
    /// Compiles every file, or says everything that is wrong with them. Names are checked, cycles and deep nesting of
    /// partials refused.
    pub fn compile(files: &[TemplateFile]) -> Result<Self, Vec<TemplateProblem>> {
        let _ = files;
        todo!()
    }

    /// Whether a template of this name has a text for `channel`, or one for every channel.
    pub fn has(&self, name: &str, channel: Channel) -> bool {
        let _ = (name, channel);
        todo!()
    }

    /// The names of all templates, for "did you mean".
    pub fn names(&self) -> Vec<&str> {
        todo!()
    }
}
