//! The files that make up a configuration: `rules.toml` and the folders beside it, read within bounds, or the
//! example that is built in.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Problem, Severity};

/// The largest `rules.toml`: room for 100,000 rules.
const LARGEST_RULES: u64 = 32 << 20;
/// The largest template or definition.
const LARGEST_PART: u64 = 256 << 10;
/// The largest event of a test.
const LARGEST_EVENT: u64 = 4 << 20;
/// The name of the file with the rules where it is kept.
const RULES: &str = "rules.toml";
/// The most files that are read from one folder.
const MOST_FILES: usize = 1_000;

/// The example configuration in the binary: what runs without a file of one's own, and what `init` writes.
pub mod example {
    /// `rules.toml`.
    pub const RULES: &str = include_str!("../../rules.toml");
    /// Every file of `templates/`, by name.
    pub const TEMPLATES: &[(&str, &str)] = &[
        ("_customer.hbs", include_str!("../../templates/_customer.hbs")),
        ("failed-call.email.hbs", include_str!("../../templates/failed-call.email.hbs")),
        ("failed-call.hbs", include_str!("../../templates/failed-call.hbs")),
        ("failed-call.slack.hbs", include_str!("../../templates/failed-call.slack.hbs")),
        ("failed-call.sms.hbs", include_str!("../../templates/failed-call.sms.hbs")),
        ("unhappy-customer.email.hbs", include_str!("../../templates/unhappy-customer.email.hbs")),
        ("unhappy-customer.hbs", include_str!("../../templates/unhappy-customer.hbs")),
        ("unhappy-customer.slack.hbs", include_str!("../../templates/unhappy-customer.slack.hbs")),
        ("unhappy-customer.sms.hbs", include_str!("../../templates/unhappy-customer.sms.hbs")),
        ("won-deal.email.hbs", include_str!("../../templates/won-deal.email.hbs")),
        ("won-deal.hbs", include_str!("../../templates/won-deal.hbs")),
        ("won-deal.slack.hbs", include_str!("../../templates/won-deal.slack.hbs")),
        ("won-deal.sms.hbs", include_str!("../../templates/won-deal.sms.hbs")),
    ];
    /// Recorded events, to try the rules with: their paths in a configuration's folder, the first one documented.
    pub const EVENTS: &[(&str, &str)] = &[
        ("tests/events/call.ended.json", include_str!("../../tests/events/call.ended.json")),
        (
            "tests/events/call.ended.unhappy.json",
            include_str!("../../tests/events/call.ended.unhappy.json"),
        ),
        (
            "tests/events/call.ended.failed.json",
            include_str!("../../tests/events/call.ended.failed.json"),
        ),
    ];
}

/// One file as read.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its path as messages show it.
    pub(super) path: PathBuf,
    /// Its name within its folder.
    pub(super) name: String,
    pub(super) text: Arc<str>,
}

/// All that a configuration is compiled from.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) rules: File,
    /// The folder of `rules.toml`.
    pub(super) folder: PathBuf,
    pub(super) templates: Vec<File>,
    pub(super) sources: Vec<File>,
    pub(super) providers: Vec<File>,
    pub(super) schemas: Vec<File>,
    /// Files of tests.
    pub(super) tests: Vec<File>,
    /// Where the events of tests are.
    events: Events,
}

/// Where the events of tests are.
#[derive(Debug)]
enum Events {
    /// Beside `rules.toml`.
    Folder,
    /// In the binary.
    BuiltIn,
    /// Nowhere: tests are not kept.
    Gone,
}

impl Files {
    /// The example that is built in.
    pub(super) fn embedded() -> Self {
        let file = |name: &str, path: PathBuf, text: &str| File {
            path,
            name: name.to_owned(),
            text: text.into(),
        };
        let root = Path::new("(built in)");
        let template =
            |(name, text): &(&str, &str)| file(name, root.join("templates").join(name), text);
        Self {
            rules: file("rules.toml", root.join("rules.toml"), example::RULES),
            folder: PathBuf::from("."),
            templates: example::TEMPLATES.iter().map(template).collect(),
            sources: Vec::new(),
            providers: Vec::new(),
            schemas: Vec::new(),
            tests: Vec::new(),
            events: Events::BuiltIn,
        }
    }

    /// All of it as one JSON object of paths and texts: what the journal keeps of each version.
    pub(super) fn to_kept(&self) -> String {
        let mut all = serde_json::Map::new();
        all.insert(RULES.to_owned(), self.rules.text.as_ref().into());
        for (folder, files) in self.folders() {
            for file in files {
                all.insert(format!("{folder}/{}", file.name), file.text.as_ref().into());
            }
        }
        serde_json::Value::Object(all).to_string()
    }

    /// What [`Files::to_kept`] gave, or a bare `rules.toml` of an older version. `config` is where it once stood.
    pub(super) fn kept(kept: &str, config: Option<&Path>) -> Self {
        let all = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(kept);
        let all = all.unwrap_or_else(|_| [(RULES.to_owned(), kept.into())].into_iter().collect());
        let root = Path::new("(as it was)");
        let file = |path: &str, name: &str, text: &str| File {
            path: root.join(path),
            name: name.to_owned(),
            text: text.into(),
        };
        let mut files = Self {
            rules: file(RULES, RULES, ""),
            folder: config
                .and_then(Path::parent)
                .map_or_else(|| PathBuf::from("."), Path::to_owned),
            templates: Vec::new(),
            sources: Vec::new(),
            providers: Vec::new(),
            schemas: Vec::new(),
            tests: Vec::new(),
            events: Events::Gone,
        };
        for (path, text) in &all {
            let text = text.as_str().unwrap_or_default();
            match path.split_once('/') {
                None => files.rules = file(path, path, text),
                Some(("templates", name)) => files.templates.push(file(path, name, text)),
                Some(("sources", name)) => files.sources.push(file(path, name, text)),
                Some(("providers", name)) => files.providers.push(file(path, name, text)),
                Some(("schemas", name)) => files.schemas.push(file(path, name, text)),
                Some(_) => {}
            }
        }
        files
    }

    /// The folders that decisions and messages depend on, and with the schemas whether the rules are sound.
    pub(super) fn folders(&self) -> [(&'static str, &[File]); 4] {
        [
            ("templates", &self.templates),
            ("sources", &self.sources),
            ("providers", &self.providers),
            ("schemas", &self.schemas),
        ]
    }

    /// The text of a test's event, or why it can't be read.
    pub(super) fn event(&self, path: &str) -> Result<String, String> {
        match self.events {
            Events::Folder => text(&self.folder.join(path), LARGEST_EVENT),
            Events::BuiltIn => {
                let found = example::EVENTS.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| (*text).to_owned()).ok_or("it is not built in".to_owned())
            }
            Events::Gone => Err("tests are not kept".to_owned()),
        }
    }

    /// Reads `path` and the folders beside it. Without a readable `rules.toml` there is nothing to go on with.
    pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Option<Self> {
        let text = match text(path, LARGEST_RULES) {
            Ok(text) => text,
            Err(why) => {
                let hint = "`hookbell init` writes a first one; `--config` names another";
                let mut problem = unreadable(path, &why);
                problem.hint = Some(hint.to_owned());
                problems.push(problem);
                return None;
            }
        };
        let folder = match path.parent() {
            Some(p) if p != Path::new("") => p.to_owned(),
            _ => PathBuf::from("."),
        };
        let templates = read_folder(&beside(path, "templates"), "hbs", problems);
        let schemas = read_folder(&beside(path, "schemas"), "json", problems);
        let (sources, providers) = Self::definitions(path, problems);
        let tests = read_folder(&beside(path, "tests"), "toml", problems);
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let rules = File { path: path.to_owned(), name, text: text.into() };
        let events = Events::Folder;
        Some(Self { rules, folder, templates, sources, providers, schemas, tests, events })
    }

    /// The sources and providers beside `path`, which itself need not be there.
    pub(super) fn definitions(path: &Path, problems: &mut Vec<Problem>) -> (Vec<File>, Vec<File>) {
        let sources = read_folder(&beside(path, "sources"), "toml", problems);
        (sources, read_folder(&beside(path, "providers"), "toml", problems))
    }
}

/// Messages show `templates/x.hbs`, not `./templates/x.hbs`.
fn beside(path: &Path, name: &str) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from(name), |p| p.join(name))
}

/// The files of `folder` that end in `.extension`, by name. A missing folder has none. Other files, hidden ones
/// (a Kubernetes volume's `..data` among them) and editors' backups are left alone.
fn read_folder(folder: &Path, extension: &str, problems: &mut Vec<Problem>) -> Vec<File> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            problems.push(unreadable(folder, &plain(&e)));
            return Vec::new();
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == extension))
        .collect();
    names.sort();
    if names.len() > MOST_FILES {
        problems.push(unreadable(folder, &format!("it holds more than {MOST_FILES} files")));
        names.truncate(MOST_FILES);
    }
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(&name);
        match inside(folder, &path).and_then(|()| text(&path, LARGEST_PART)) {
            Ok(text) => files.push(File { path, name, text: text.into() }),
            Err(why) => problems.push(unreadable(&path, &why)),
        }
    }
    files
}

/// A link may point at another file of the same folder (as Kubernetes volumes do), but not out of it: who may write
/// a template's name must not thereby read any file of the machine.
fn inside(folder: &Path, path: &Path) -> Result<(), String> {
    let folder = folder.canonicalize().map_err(|e| plain(&e))?;
    let path = path.canonicalize().map_err(|e| plain(&e))?;
    if path.starts_with(folder) { Ok(()) } else { Err("it is a link out of its folder".to_owned()) }
}

fn text(path: &Path, largest: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| plain(&e))?;
    if !file.metadata().map_err(|e| plain(&e))?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).map_err(|e| plain(&e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > largest {
        return Err(format!("it is larger than {} KiB", largest >> 10));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1;
        format!("it is not valid UTF-8 in line {line}")
    })
}

fn unreadable(path: &Path, why: &str) -> Problem {
    Problem {
        code: "unreadable-file",
        severity: Severity::Error,
        file: path.to_owned(),
        span: None,
        message: format!("can't be read: {why}"),
        hint: None,
        text: None,
    }
}

/// An I/O error in plain words, without the system's error number.
pub(super) fn plain(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => e.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_own_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let templates = dir.path().join("templates");
        std::fs::create_dir_all(templates.join("..data")).unwrap();
        std::fs::create_dir_all(templates.join("folder.hbs")).unwrap();
        std::fs::write(dir.path().join("secret.hbs"), "secret").unwrap();
        std::fs::write(templates.join("..data").join("linked.hbs"), "linked").unwrap();
        std::fs::write(templates.join("a.hbs"), "a").unwrap();
        std::fs::write(templates.join("a.hbs~"), "backup").unwrap();
        std::fs::write(templates.join("large.hbs"), vec![b'x'; 300_000]).unwrap();
        std::fs::write(templates.join("latin.hbs"), b"ok\n\xff").unwrap();
        std::os::unix::fs::symlink("..data/linked.hbs", templates.join("linked.hbs")).unwrap();
        std::os::unix::fs::symlink("../secret.hbs", templates.join("out.hbs")).unwrap();
        let mut problems = Vec::new();
        let files = read_folder(&templates, "hbs", &mut problems);
        let names: Vec<_> = files.iter().map(|f| (&*f.name, &*f.text)).collect();
        assert_eq!(names, [("a.hbs", "a"), ("linked.hbs", "linked")]);
        let messages: Vec<_> = problems.iter().map(|p| &*p.message).collect();
        assert_eq!(
            messages,
            [
                "can't be read: it is no regular file",
                "can't be read: it is larger than 256 KiB",
                "can't be read: it is not valid UTF-8 in line 2",
                "can't be read: it is a link out of its folder",
            ]
        );
    }

    #[test]
    fn every_shipped_template_is_built_in() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut problems = Vec::new();
        let files = read_folder(&folder, "hbs", &mut problems);
        let built_in: Vec<_> = example::TEMPLATES.iter().map(|(name, _)| *name).collect();
        assert_eq!(files.iter().map(|f| &*f.name).collect::<Vec<_>>(), built_in);
        assert!(!files.is_empty() && problems.is_empty());
    }
}
