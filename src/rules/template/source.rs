//! A template file taken apart: its name, its front matter, its text.

use std::ops::Range;

use super::{TemplateFile, TemplateProblem};

/// Which messages a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum For {
    /// `NAME.hbs`.
    Every,
    /// `NAME.slack.hbs` and so on.
    Slack,
    Email,
    EmailHtml,
    Sms,
    Text,
}

/// A file taken apart.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) is_for: For,
    /// The subject and where it stands in the file.
    pub(super) subject: Option<(String, usize)>,
    /// The text after the front matter, and where it begins.
    pub(super) body: String,
    pub(super) start: usize,
}

/// The longest file.
const LONGEST: usize = 64 * 1024;

/// Takes `file` apart, or says why it can't be a template.
pub(super) fn read(file: &TemplateFile) -> Result<Source, TemplateProblem> {
    let problem = |code, span: Option<Range<usize>>, message: String, hint: &str| TemplateProblem {
        code,
        file: file.file.clone(),
        span,
        message,
        hint: Some(hint.to_owned()),
    };
    let (name, is_for) = name(&file.file)
        .map_err(|(message, hint)| problem("template-name", None, message, hint))?;
    if file.text.len() > LONGEST {
        let message = format!("the template is {} bytes long", file.text.len());
        return Err(problem("template-too-long", None, message, "a template has at most 64 KiB"));
    }
    // A byte order mark would stand at the beginning of every message.
    let bom = if file.text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let (subject, start) = front_matter(&file.text, bom)
        .map_err(|(span, message, hint)| problem("front-matter", Some(span), message, hint))?;
    if subject.is_some() && !matches!(is_for, For::Every | For::Email) {
        let message = "this kind of message has no subject".to_owned();
        return Err(problem(
            "front-matter",
            Some(bom..start),
            message,
            "a subject stands in NAME.email.hbs or NAME.hbs",
        ));
    }
    Ok(Source {
        file: file.file.clone(),
        name,
        is_for,
        subject,
        body: file.text[start..].to_owned(),
        start,
    })
}

fn name(file: &str) -> Result<(String, For), (String, &'static str)> {
    const FORM: &str = "name it NAME.hbs, NAME.slack.hbs, NAME.email.hbs, NAME.email.html.hbs, NAME.sms.hbs or NAME.text.hbs";
    let stem = file
        .strip_suffix(".hbs")
        .ok_or_else(|| (format!("`{file}` does not end with .hbs"), FORM))?;
    let mut pieces = stem.split('.');
    let name = pieces.next().unwrap_or_default();
    let is_for = match pieces.collect::<Vec<_>>().as_slice() {
        [] => For::Every,
        ["slack"] => For::Slack,
        ["email"] => For::Email,
        ["email", "html"] => For::EmailHtml,
        ["sms"] => For::Sms,
        ["text"] => For::Text,
        other => return Err((format!("`{}` is no kind of message", other.join(".")), FORM)),
    };
    let usable = !name.trim_start_matches('_').is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if usable {
        Ok((name.to_owned(), is_for))
    } else {
        Err((format!("`{name}` is no name for a template"), "use letters, digits, - and _"))
    }
}

type Matter = (Option<(String, usize)>, usize);

/// The subject and where the text begins.
fn front_matter(text: &str, from: usize) -> Result<Matter, (Range<usize>, String, &'static str)> {
    const FORM: &str = "write ---, a line `subject: …`, and --- again";
    let mut lines = text[from..].split_inclusive('\n');
    let Some(first) = lines.next().filter(|l| l.trim_end() == "---") else {
        return Ok((None, from));
    };
    let mut at = from + first.len();
    let mut subject = None;
    for line in lines {
        let content = line.trim_end();
        let span = at..at + content.len();
        at += line.len();
        if content == "---" {
            return Ok((subject, at));
        }
        match content.split_once(':') {
            Some(("subject", value)) if subject.is_none() => {
                let trimmed = value.trim();
                let unquoted =
                    trimmed.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(trimmed);
                if unquoted.is_empty() {
                    return Err((span, "the subject is empty".to_owned(), FORM));
                }
                let offset = content.find(unquoted).unwrap_or_default();
                subject = Some((unquoted.to_owned(), span.start + offset));
            }
            _ if content.trim().is_empty() || content.starts_with('#') => {}
            _ => return Err((span, format!("`{content}` is not known in the front matter"), FORM)),
        }
    }
    Err((from..from + 3, "the front matter is never closed".to_owned(), FORM))
}
