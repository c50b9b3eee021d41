//! How problems are shown: for a person with the line and a caret, for a log in one line, for a script as JSON.
//!
//! Only [`render`] shows lines of the file itself. A line may hold a secret that someone wrote in plain text, so logs
//! take the one-line form ([`Problem`]'s `Display`), which never does.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::json;

use super::{Problem, Severity};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files, pipes and tests.
    Plain,
    /// With terminal colours.
    Colour,
}

/// A place in a file. Lines and columns count from 1, columns in Unicode characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line of the first byte.
    pub line: usize,
    /// The column of the first byte.
    pub column: usize,
    /// The line of the end.
    pub end_line: usize,
    /// The column just behind the last character.
    pub end_column: usize,
}

impl Problem {
    /// Whether it stops a load.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where it stands; none when it concerns the whole file, or the file's text isn't known.
    pub fn place(&self) -> Option<Place> {
        let text = self.text.as_deref()?;
        let span = clamp(text, self.span.as_ref()?);
        let (line, column) = position(text, span.start);
        let (end_line, end_column) = position(text, span.end);
        Some(Place { line, column, end_line, end_column })
    }

    /// One object: `code`, `severity`, `file`, `line`, `column`, `end_line`, `end_column`, `message`, `hint`.
    pub fn json(&self) -> serde_json::Value {
        let place = self.place();
        json!({
            "code": self.code,
            "severity": self.severity.word(),
            "file": self.file.display().to_string(),
            "line": place.map(|p| p.line),
            "column": place.map(|p| p.column),
            "end_line": place.map(|p| p.end_line),
            "end_column": place.map(|p| p.end_column),
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One line without any text of the file: for logs.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = self.place() {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}[{}]: {}", self.severity.word(), self.code, self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// Sorts by file and place, errors before warnings at the same place.
pub fn sort(problems: &mut [Problem]) {
    debug_assert!(
        problems.iter().all(|p| super::codes::find(p.code).is_some()),
        "a code without an entry in docs/problems.md: {:?}",
        problems.iter().map(|p| p.code).find(|code| super::codes::find(code).is_none())
    );
    problems.sort_by(|a, b| {
        let key = |p: &Problem| p.span.as_ref().map(|s| s.start);
        (a.file.cmp(&b.file))
            .then(key(a).cmp(&key(b)))
            .then(b.is_error().cmp(&a.is_error()))
            .then(a.code.cmp(b.code))
    });
}

/// Every problem with its line, a caret and its hint, an empty line between two.
pub fn render(problems: &[Problem], style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut out = String::new();
    for problem in problems {
        out.push_str(&one(problem, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(problem: &Problem, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let path = problem.file.display().to_string();
    let title = level.primary_title(&*problem.message).id(problem.code);
    let mut group: Group<'_> = match (&problem.text, &problem.span) {
        (Some(text), Some(span)) => {
            let span = clamp(text, span);
            let line = line_around(text, span.start);
            let shown = masked(&text[line.clone()]);
            // A span over several lines is shown by its first: a caret says "here", not "all of this".
            let end = span.end.min(line.end).max(span.start) - line.start;
            let (number, _) = position(text, span.start);
            title.element(
                Snippet::source(shown)
                    .line_start(number)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span.start - line.start..end)),
            )
        }
        _ => title.element(Origin::path(path)),
    };
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(&**hint));
    }
    renderer.render(&[group])
}

/// A line with the passwords that stand in its URLs as stars, every byte in its place. What comes out of the environment
/// is a name here and stays.
fn masked(line: &str) -> String {
    let mut shown = line.to_owned();
    for (at, mark) in line.match_indices("://") {
        let rest = &line[at + mark.len()..];
        let end = rest.find(|c: char| c == '/' || c == '"' || c.is_whitespace());
        let authority = &rest[..end.unwrap_or(rest.len())];
        let Some((login, _)) = authority.rsplit_once('@') else { continue };
        let Some((user, password)) = login.split_once(':') else { continue };
        if !password.is_empty() && !password.starts_with("${") {
            let from = at + mark.len() + user.len() + 1;
            shown.replace_range(from..from + password.len(), &"*".repeat(password.len()));
        }
    }
    shown
}

/// The range of the line that holds byte `at`, its end without the line break.
fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    start..start.max(end - usize::from(end > at && text[..end].ends_with('\r')))
}

/// `span` within `text`, on the boundaries of characters.
fn clamp(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.min(text.len()));
    start..end.max(start)
}

/// Line and column of byte `at`, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before[before.rfind('\n').map_or(0, |n| n + 1)..].chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn problem(text: &str, span: Option<Range<usize>>) -> Problem {
        Problem {
            code: "unknown-key",
            severity: Severity::Error,
            file: PathBuf::from("rules.toml"),
            span,
            message: "[server] has no key `lisen`".to_owned(),
            hint: Some("did you mean `listen`?".to_owned()),
            text: Some(text.into()),
        }
    }

    #[test]
    fn a_problem_shows_file_line_column_caret_hint_and_code() {
        let text = "[server]\nlisen = \"x\"\n";
        assert_eq!(
            render(&[problem(text, Some(9..14))], Style::Plain),
            "error[unknown-key]: [server] has no key `lisen`\n --> rules.toml:2:1\n  |\n2 | lisen = \"x\"\n  | ^^^^^\n  |\n  = help: did you mean `listen`?\n\n"
        );
        assert!(render(&[problem(text, Some(9..14))], Style::Colour).contains("\u{1b}["));
    }

    #[test]
    fn a_log_line_holds_nothing_of_the_file() {
        let text = "token = \"hunter2\"\nlisen = \"x\"";
        let line = problem(text, Some(18..23)).to_string();
        assert_eq!(
            line,
            "rules.toml:2:1: error[unknown-key]: [server] has no key `lisen` (did you mean `listen`?)"
        );
    }

    #[test]
    fn columns_count_characters_and_json_has_the_end() {
        let text = "é\t\"日本\" = 1\r\nb = 2";
        let json = problem(text, Some(3..11)).json();
        assert_eq!(json["line"], 1);
        assert_eq!(json["column"], 3);
        assert_eq!(json["end_column"], 7);
        assert_eq!(json["severity"], "error");
        assert_eq!(problem(text, None).json()["line"], serde_json::Value::Null);
    }

    #[test]
    fn no_span_can_break_the_rendering() {
        let text = "é\t日 = 1\r\n\r\nüü\n";
        for start in 0..text.len() + 4 {
            for end in 0..text.len() + 4 {
                let shown = render(&[problem(text, Some(start..end))], Style::Plain);
                assert!(shown.contains("rules.toml:"), "{start}..{end}");
            }
        }
        assert!(render(&[problem("", Some(0..9))], Style::Plain).contains("rules.toml"));
        assert!(render(&[problem("x", None)], Style::Plain).contains("--> rules.toml"));
    }

    #[test]
    fn a_password_in_a_url_is_not_shown() {
        for (line, expected) in [
            ("url = \"smtps://bell:hunter2@mail:465\"", "url = \"smtps://bell:*******@mail:465\""),
            ("a://u:é@h b://u:p:q@r@h/x", "a://u:**@h b://u:*****@h/x"),
            ("url = \"smtps://bell:${PASSWORD}@mail\"", "url = \"smtps://bell:${PASSWORD}@mail\""),
            ("url = \"https://host/a:b@c\"", "url = \"https://host/a:b@c\""),
            ("://:@ ://", "://:@ ://"),
        ] {
            assert_eq!(masked(line), expected);
        }
    }

    #[test]
    fn problems_stand_in_the_order_of_the_file() {
        let mut all =
            [problem("abc", Some(2..3)), problem("abc", None), problem("abc", Some(0..1))];
        sort(&mut all);
        let starts: Vec<_> = all.iter().map(|p| p.span.as_ref().map(|s| s.start)).collect();
        assert_eq!(starts, [None, Some(0), Some(2)]);
    }
}
