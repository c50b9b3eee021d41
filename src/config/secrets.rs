//! `${NAME}` and `${file:/path}` in values: the one place that reads the environment.
//!
//! A value that can't be resolved, or is empty, is a problem that names the variable and the key, never the value.
//! `$${` stands for `${` itself; a `$` before anything else is just a dollar.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Secrets;
use super::place;
use super::reader::{At, Report, Value};
use crate::secret::Secret;

/// The largest file that a secret is read from. Keys and certificates are far smaller; a wrong path to something
/// huge must not fill the memory.
const LARGEST_FILE: u64 = 64 * 1024;

/// Where `${NAME}` is looked up.
#[derive(Clone, Debug)]
pub enum Environment {
    /// The process's own environment.
    Process,
    /// These variables only: for tests, and for checking a file as if in another place.
    Only(BTreeMap<String, String>),
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    fn get(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => std::env::var(name).ok(),
            Self::Only(variables) => variables.get(name).cloned(),
        }
    }
}

/// Resolves the references of one file.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    pub(super) environment: &'a Environment,
    pub(super) mode: Secrets,
    /// The folder that `${file:…}` is relative to.
    pub(super) folder: PathBuf,
}

/// A text whose references are resolved.
#[derive(Clone)]
pub(super) enum Resolved {
    /// What it says.
    Text(Secret),
    /// It could not be resolved, and stand-ins are wanted.
    StandIn,
}

/// A piece of a value.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'v> {
    Text(&'v str),
    Variable(&'v str, Range<usize>),
    File(&'v str, Range<usize>),
    Malformed(Range<usize>, &'static str),
}

impl Resolver<'_> {
    /// Resolves the text of `value`; what is wrong is noted.
    pub(super) fn text(&self, value: &Value<'_>) -> Option<At<Resolved>> {
        let text = value.text()?;
        let resolved = self.resolve(value.report, &value.name, text, &value.span)?;
        Some(At { value: resolved, span: value.span.clone() })
    }

    /// As [`Resolver::text`], for a list of texts or one.
    pub(super) fn texts(&self, value: &Value<'_>) -> Option<Vec<At<Resolved>>> {
        let texts = value.texts()?;
        let all = texts.len();
        let resolved: Vec<_> = value.items().iter().filter_map(|v| self.text(v)).collect();
        (resolved.len() == all).then_some(resolved)
    }

    fn resolve(
        &self,
        report: &Report,
        key: &str,
        text: &str,
        literal: &Range<usize>,
    ) -> Option<Resolved> {
        let mut out = String::with_capacity(text.len());
        let mut missing = false;
        let mut wrong = false;
        for piece in pieces(text) {
            let (at, found) = match piece {
                Piece::Text(t) => {
                    out.push_str(t);
                    continue;
                }
                Piece::Malformed(at, why) => {
                    let hint = "write ${NAME} or ${file:/path}; for a literal `${` write `$${`";
                    report.error(
                        "bad-reference",
                        place::inside(report.text(), literal, text, &at),
                        format!("{key}: {why}"),
                        Some(hint.to_owned()),
                    );
                    wrong = true;
                    continue;
                }
                Piece::Variable(name, at) => (at, self.variable(key, name)),
                Piece::File(path, at) => (at, self.file(key, path)),
            };
            match found {
                Ok(found) => out.push_str(&found),
                Err(_) if self.mode == Secrets::StandIns => missing = true,
                Err((message, hint)) if self.mode == Secrets::Shown => {
                    let at = place::inside(report.text(), literal, text, &at);
                    report.warning("unresolved-secret", at, message, Some(hint));
                    missing = true;
                }
                Err((message, hint)) => {
                    let at = place::inside(report.text(), literal, text, &at);
                    report.error("unresolved-secret", at, message, Some(hint));
                    wrong = true;
                }
            }
        }
        match (wrong, missing) {
            (true, _) => None,
            (false, true) => Some(Resolved::StandIn),
            (false, false) => Some(Resolved::Text(Secret::new(out))),
        }
    }

    fn variable(&self, key: &str, name: &str) -> Result<String, (String, String)> {
        let hint = format!("export {name}=…");
        match self.environment.get(name) {
            None => Err((format!("{key} needs the variable {name}, which is not set"), hint)),
            Some(v) if v.trim().is_empty() => {
                Err((format!("{key} needs the variable {name}, which is empty"), hint))
            }
            Some(v) => Ok(v),
        }
    }

    fn file(&self, key: &str, path: &str) -> Result<String, (String, String)> {
        let full = self.folder.join(path);
        let hint = || format!("put the value into {}, readable by this user", full.display());
        let text = read(&full)
            .map_err(|why| (format!("{key} needs the file {}: {why}", full.display()), hint()))?;
        // Editors and `echo` end a file with a line break that is no part of the secret.
        let value = text.strip_suffix('\n').map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
        if value.trim().is_empty() {
            let message = format!("{key} needs the file {}, which is empty", full.display());
            return Err((message, hint()));
        }
        Ok(value.to_owned())
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| super::files::plain(&e))?;
    if !file.metadata().map_err(|e| super::files::plain(&e))?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|e| super::files::plain(&e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST_FILE {
        return Err(format!("it is larger than {LARGEST_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not valid UTF-8".to_owned())
}

/// Whether the whole value is how a variable is named elsewhere: `$NAME`, `$(NAME)`, `%NAME%`, `env:NAME`,
/// `{{ NAME }}`. Taken word for word it would be a wrong secret, and every event would be refused for it.
fn is_reference_elsewhere(text: &str) -> bool {
    let between = |start, end| text.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let name = between("$(", ")")
        .or_else(|| between("$", ""))
        .or_else(|| between("%", "%"))
        .or_else(|| between("env:", ""))
        .or_else(|| between("{{", "}}").map(str::trim));
    name.is_some_and(|name| {
        is_variable(name) && name.len() > 2 && !name.contains(|c: char| c.is_ascii_lowercase())
    })
}

/// Cuts a value at its references.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    if is_reference_elsewhere(text) {
        let why = "this would be taken word for word; a variable is written `${NAME}`";
        return vec![Piece::Malformed(0..text.len(), why)];
    }
    let mut pieces = Vec::new();
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find("${")) {
        let start = from + found;
        if start > from && text.as_bytes().get(start - 1) == Some(&b'$') {
            // `$${`: the text up to the first dollar, then `${` itself.
            pieces.push(Piece::Text(&text[from..start - 1]));
            pieces.push(Piece::Text("${"));
            from = start + 2;
            continue;
        }
        pieces.push(Piece::Text(&text[from..start]));
        let Some(length) = text[start..].find('}') else {
            pieces.push(Piece::Malformed(start..text.len(), "a `${` is never closed"));
            return pieces;
        };
        let at = start..start + length + 1;
        let inner = &text[start + 2..start + length];
        pieces.push(match inner.strip_prefix("file:") {
            Some("") => Piece::Malformed(at.clone(), "`${file:}` names no file"),
            Some(path) => Piece::File(path, at.clone()),
            None if is_variable(inner) => Piece::Variable(inner, at.clone()),
            None => Piece::Malformed(at.clone(), "what stands in `${…}` is no variable's name"),
        });
        from = at.end;
    }
    pieces.push(Piece::Text(&text[from..]));
    pieces
}

fn is_variable(name: &str) -> bool {
    matches!(name.as_bytes(), [first, rest @ ..]
        if (first.is_ascii_alphabetic() || *first == b'_')
            && rest.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn resolve(text: &str, mode: Secrets) -> Result<String, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "from-file\n").unwrap();
        std::fs::write(folder.path().join("two"), "x\r\n\n").unwrap();
        std::fs::write(folder.path().join("blank"), "\n").unwrap();
        let environment = Environment::Only(BTreeMap::from([
            ("TOKEN".to_owned(), "hunter2".to_owned()),
            ("EMPTY".to_owned(), String::new()),
        ]));
        let resolver =
            Resolver { environment: &environment, mode, folder: folder.path().to_owned() };
        let report = Report::new(Path::new("rules.toml"), &Arc::from(""));
        let found = resolver.resolve(&report, "`secret`", text, &(0..0));
        let problems = report.into_problems();
        match found {
            Some(Resolved::Text(s)) if problems.is_empty() => Ok(s.expose().to_owned()),
            Some(Resolved::StandIn) if problems.is_empty() => Ok("a stand-in".to_owned()),
            _ => Err(problems.into_iter().map(|p| format!("{}: {}", p.code, p.message)).collect()),
        }
    }

    #[test]
    fn references_are_replaced_and_dollars_kept() {
        for (text, value) in [
            ("plain", "plain"),
            ("${TOKEN}", "hunter2"),
            ("a${TOKEN}b${TOKEN}", "ahunter2bhunter2"),
            ("${file:key}", "from-file"),
            ("${file:two}", "x\r\n"),
            ("$5 and $$ and $x", "$5 and $$ and $x"),
            ("$${TOKEN}", "${TOKEN}"),
            ("é$${é", "é${é"),
        ] {
            assert_eq!(resolve(text, Secrets::Required), Ok(value.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_names_the_variable_and_never_a_value() {
        for (text, code, word) in [
            ("${NOPE}", "unresolved-secret", "NOPE, which is not set"),
            ("${EMPTY}", "unresolved-secret", "EMPTY, which is empty"),
            ("${TOKEN}${NOPE}", "unresolved-secret", "NOPE"),
            ("${file:nope}", "unresolved-secret", "nope"),
            ("${file:blank}", "unresolved-secret", "empty"),
            ("${file:.}", "unresolved-secret", "no regular file"),
            ("${TOKEN", "bad-reference", "never closed"),
            ("${}", "bad-reference", "no variable's name"),
            ("${TOKEN:-x}", "bad-reference", "no variable's name"),
            ("${file:}", "bad-reference", "names no file"),
        ] {
            let problems = resolve(text, Secrets::Required).unwrap_err();
            let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
            assert!(problem.starts_with(code) && problem.contains(word), "{text}: {problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn stand_ins_forgive_what_is_missing_but_not_what_is_malformed() {
        assert_eq!(resolve("${NOPE}", Secrets::StandIns), Ok("a stand-in".to_owned()));
        assert_eq!(resolve("${EMPTY}", Secrets::StandIns), Ok("a stand-in".to_owned()));
        assert_eq!(resolve("${TOKEN}", Secrets::StandIns), Ok("hunter2".to_owned()));
        assert!(resolve("${NOPE", Secrets::StandIns).is_err());
    }

    #[test]
    fn a_huge_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("huge");
        std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(read(&path).unwrap_err().contains("larger"));
    }
}
