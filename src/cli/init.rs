//! `hookbell init`: a first configuration, in a folder that has none.

use std::borrow::Cow;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};

use crate::config::{self, example};

/// The options of `init`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The folder to write into; it is made if it isn't there
    #[arg(default_value = ".")]
    pub folder: PathBuf,
}

/// Writes `rules.toml`, the schema that editors read, `templates/` and example events into the folder and says what to do next. Nothing is ever
/// overwritten: if one of the files is there, it is named, nothing is written, and the exit code is 1.
pub fn run(args: &Args) -> ExitCode {
    match write(&args.folder) {
        Ok(written) => {
            let text = next_steps(&args.folder, &written);
            // If nobody reads the advice, the files are there all the same.
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(e) => {
            let _ = writeln!(anstream::stderr(), "error: {e:#}");
            ExitCode::from(1)
        }
    }
}

fn files() -> Vec<(PathBuf, Cow<'static, str>)> {
    let templates =
        example::TEMPLATES.iter().map(|(n, t)| (Path::new("templates").join(n), (*t).into()));
    let events = example::EVENTS.iter().map(|(n, t)| (PathBuf::from(n), (*t).into()));
    let schema = config::json_schema(&config::definitions(None).0);
    [
        (PathBuf::from("rules.toml"), example::RULES.into()),
        (PathBuf::from("rules.schema.json"), schema.into()),
    ]
    .into_iter()
    .chain(templates)
    .chain(events)
    .collect()
}

/// Writes every file and gives their names within `folder`.
fn write(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = files();
    let mut there = Vec::new();
    for (name, _) in &files {
        // A link that leads nowhere is something too: what it points at would be written.
        match folder.join(name).symlink_metadata() {
            Ok(_) => there.push(name.display().to_string()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => {
                return Err(e)
                    .with_context(|| format!("can't look at {}", folder.join(name).display()));
            }
        }
    }
    if !there.is_empty() {
        let are = if there.len() == 1 { "is" } else { "are" };
        bail!(
            "{} {are} in {} already; nothing was written: remove it or name another folder",
            there.join(", "),
            folder.display()
        );
    }
    for (name, text) in &files {
        let path = folder.join(name);
        create(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}

/// `create_new` holds the promise even if another process writes the same file in between.
fn create(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn next_steps(folder: &Path, written: &[PathBuf]) -> String {
    let mut text = String::new();
    for name in written {
        text.push_str(&format!("wrote {}\n", folder.join(name).display()));
    }
    let config = if folder == Path::new(".") {
        String::new()
    } else {
        format!(" --config {}", folder.join("rules.toml").display())
    };
    text.push_str(&format!(
        "\nnext:\n  hookbell demo{config}     see it work, without any account\n  \
         hookbell test{config}     what the rules must do, tried\n  \
         hookbell check{config}    what is missing before it runs for real\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::{Environment, Secrets, load_in};

    #[test]
    fn an_empty_folder_gets_a_configuration_that_loads() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("new");
        let written = write(&folder).unwrap();
        assert!(written.contains(&PathBuf::from("tests/events/call.ended.json")));
        let path = folder.join("rules.toml");
        let nothing = Environment::Only(BTreeMap::new());
        let loaded = load_in(Some(&path), Secrets::StandIns, &nothing).unwrap();
        assert_eq!(loaded.rules.rules.rules.len(), 3);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert!(next_steps(&folder, &written).contains("hookbell demo --config"));
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_written_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("templates")).unwrap();
        let mine = dir.path().join("templates").join(example::TEMPLATES[0].0);
        fs::write(&mine, "mine").unwrap();
        let error = write(dir.path()).unwrap_err().to_string();
        assert!(error.contains(example::TEMPLATES[0].0), "{error}");
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        assert!(!dir.path().join("rules.toml").exists());
    }

    #[test]
    fn a_dangling_link_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("elsewhere.toml", dir.path().join("rules.toml")).unwrap();
        assert!(write(dir.path()).is_err());
        assert!(!dir.path().join("elsewhere.toml").exists());
    }
}
