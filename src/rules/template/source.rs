//! A template file taken apart: its name, its front matter, its text.

use std::ops::Range;

use super::{Channel, Part, Severity, TemplateFile, TemplateProblem};

/// Which messages a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum For {
    /// `NAME.hbs`.
    Every,
    /// One kind of text: `NAME.slack.hbs` and so on, `NAME.email.html.hbs`.
    Part(Part),
}

/// A line of the front matter: something of the message beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Matter {
    Subject,
    Severity,
    Dedup,
    Link,
}

impl Matter {
    pub(super) const ALL: [Self; 4] = [Self::Subject, Self::Severity, Self::Dedup, Self::Link];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Severity => "severity",
            Self::Dedup => "dedup",
            Self::Link => "link",
        }
    }
}

/// A file taken apart.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) is_for: For,
    /// What the front matter says, and where each value stands in the file.
    pub(super) matter: Vec<(Matter, String, usize)>,
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
    let (matter, start) = front_matter(&file.text, bom)
        .map_err(|(span, message, hint)| problem("front-matter", Some(span), message, hint))?;
    if !matter.is_empty() && is_for == For::Part(Part::EmailHtml) {
        let message = "the HTML part has no front matter of its own".to_owned();
        return Err(problem(
            "front-matter",
            Some(bom..start),
            message,
            "it stands in NAME.email.hbs or NAME.hbs",
        ));
    }
    Ok(Source {
        file: file.file.clone(),
        name,
        is_for,
        matter,
        body: file.text[start..].to_owned(),
        start,
    })
}

fn name(file: &str) -> Result<(String, For), (String, &'static str)> {
    const FORM: &str = "name it NAME.hbs, or NAME.KIND.hbs, where KIND is slack, discord, teams, telegram, markdown, html, email, email.html, sms or text";
    let stem = file
        .strip_suffix(".hbs")
        .ok_or_else(|| (format!("`{file}` does not end with .hbs"), FORM))?;
    let mut pieces = stem.split('.');
    let name = pieces.next().unwrap_or_default();
    let is_for = match pieces.collect::<Vec<_>>().as_slice() {
        [] => For::Every,
        ["email", "html"] => For::Part(Part::EmailHtml),
        [kind] if Channel::named(kind).is_some() => {
            For::Part(Channel::named(kind).map_or(Part::EmailHtml, Part::Channel))
        }
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

type Read = (Vec<(Matter, String, usize)>, usize);

/// What the front matter says, and where the text begins.
fn front_matter(text: &str, from: usize) -> Result<Read, (Range<usize>, String, &'static str)> {
    const FORM: &str = "write ---, lines such as `subject: …`, `severity: …`, `dedup: …` or `link: …`, and --- again";
    let mut lines = text[from..].split_inclusive('\n');
    let Some(first) = lines.next().filter(|l| l.trim_end() == "---") else {
        return Ok((Vec::new(), from));
    };
    let mut at = from + first.len();
    let mut found: Vec<(Matter, String, usize)> = Vec::new();
    for line in lines {
        let content = line.trim_end();
        let span = at..at + content.len();
        at += line.len();
        if content == "---" {
            return Ok((found, at));
        }
        let key = |word: &str| {
            let known = Matter::ALL.into_iter().find(|m| m.word() == word);
            known.filter(|m| found.iter().all(|(there, ..)| there != m))
        };
        let pair = content.split_once(':').and_then(|(word, value)| Some((key(word)?, value)));
        match pair {
            Some((matter, value)) => {
                let trimmed = value.trim();
                let unquoted =
                    trimmed.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(trimmed);
                if unquoted.is_empty() {
                    return Err((span, format!("the {} is empty", matter.word()), FORM));
                }
                let offset = content.find(unquoted).unwrap_or_default();
                if matter == Matter::Severity
                    && !unquoted.contains("{{")
                    && Severity::named(unquoted).is_none()
                {
                    let message = format!("`{unquoted}` is no severity");
                    return Err((span, message, "write critical, error, warning or info"));
                }
                found.push((matter, unquoted.to_owned(), span.start + offset));
            }
            None if content.trim().is_empty() || content.starts_with('#') => {}
            None => {
                return Err((span, format!("`{content}` is not known in the front matter"), FORM));
            }
        }
    }
    Err((from..from + 3, "the front matter is never closed".to_owned(), FORM))
}
