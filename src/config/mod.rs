//! Text to [`Settings`] and [`crate::rules::Rules`], or every problem at once.
//!
//! - `files` reads `rules.toml` and the folders beside it, or the built-in example;
//! - `keys` lists every key, `reader` reads tables by key and type and notes what is wrong, `quantity` knows durations
//!   and sizes, `place` finds bytes of the file, and `secrets` resolves `${…}`;
//! - `compile` goes through the sections: `server`, `sources`, `destinations`, `rule`, and in `later` what this
//!   version accepts but doesn't carry out yet; `lint` looks at the whole;
//! - `trials` reads the tests and `trial_event` their events;
//! - [`json_schema()`] is the same for editors;
//! - `schemas` knows what the events have, `typing` checks conditions against it, `variables` templates;
//! - [`problem`] shows what is wrong, [`codes`] explains it.
//!
//! A configuration is compiled as a whole or not at all, so a bad file can't replace a good one by halves.

pub mod codes;
mod compile;
mod destinations;
mod files;
mod json_schema;
mod keys;
mod later;
mod lint;
mod place;
pub mod problem;
mod quantity;
mod reader;
mod rule;
mod schemas;
mod secrets;
mod server;
mod sources;
mod trial_event;
mod trials;
mod typing;
mod variables;

pub use files::example;
pub use json_schema::json_schema;
pub use secrets::Environment;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::rules::trial::Trial;
use crate::rules::{Rules, provider, source};
use crate::secret::Secret;

/// What needs a restart to change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`.
    pub server: Server,
    /// `[journal]`.
    pub journal: crate::journal::Options,
    /// `[reload]`.
    pub reload: Reload,
}

/// `[reload]`: when a new configuration is taken. What a file says is about that file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// Its tests must pass, else the old one stays. Default false.
    pub needs_tests: bool,
}

/// The tests of a configuration.
#[derive(Debug, Default)]
pub struct Trials {
    /// Those that can be run.
    pub cases: Vec<Trial>,
    /// What is wrong with the others. It doesn't keep a configuration from being served, where the events of tests
    /// need not be; `check` and `test` call it an error.
    pub problems: Vec<Problem>,
}

/// `[server]`: where to listen, and the limits of what comes in.
#[derive(Clone, Debug)]
pub struct Server {
    /// Events come in here. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Health, metrics and the API. Default `127.0.0.1:9090`.
    pub admin: SocketAddr,
    /// The bearer token of the admin listener; required off loopback.
    pub admin_token: Option<Secret>,
    /// Names that the admin listener answers to in `Host` beside IP addresses and `localhost`.
    pub admin_hosts: Vec<String>,
    /// The largest body, in bytes. Default 1 MiB.
    pub max_body: usize,
    /// The largest request head, in bytes; at least 8 KiB. Default 16 KiB.
    pub max_head: usize,
    /// The longest from the connection (or the last answer's end) to a request's whole head. Default 10 s.
    pub head_timeout: Duration,
    /// The longest from the head to the body's last byte. Default 10 s.
    pub body_timeout: Duration,
    /// Open connections on the public listener. Default 1,024.
    pub max_connections: usize,
    /// How long a drain may take. Default 10 s.
    pub grace: Duration,
}

/// How secrets that can't be resolved are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// An unresolved `${NAME}` is a problem.
    Required,
    /// It becomes a harmless stand-in: for `demo`, which sends nothing out.
    StandIns,
    /// It becomes a stand-in and a warning, and destinations stay what they are: for showing what would be sent.
    Shown,
}

/// A configuration that can run.
#[derive(Debug)]
pub struct Loaded {
    /// What needs a restart.
    pub settings: Settings,
    /// What doesn't.
    pub rules: Arc<Rules>,
    /// What is suspicious but no error.
    pub warnings: Vec<Problem>,
    /// Its tests, for `test` and for reloads that ask for them.
    pub trials: Trials,
}

impl Loaded {
    /// The warnings and what is wrong with the tests, in the order of files and places.
    pub fn problems(&self) -> Vec<Problem> {
        let mut all = [self.warnings.clone(), self.trials.problems.clone()].concat();
        problem::sort(&mut all);
        all
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug)]
pub struct Problem {
    /// A stable code in kebab case, for example `unknown-key`.
    pub code: &'static str,
    /// An error stops the load; a warning doesn't.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// The byte range in that file; none when it concerns the whole.
    pub span: Option<std::ops::Range<usize>>,
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The file's text as it was read, to show the place even if the file has changed since; none if it couldn't be.
    pub text: Option<Arc<str>>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration can't run.
    Error,
    /// It can, but a person should look.
    Warning,
}

/// Reads `path` (or the embedded defaults if none) with its templates and definitions beside it.
///
/// # Errors
///
/// Every problem, warnings included, in the order of files and places; at least one is an error.
pub fn load(path: Option<&Path>, secrets: Secrets) -> Result<Loaded, Vec<Problem>> {
    load_in(path, secrets, &Environment::Process)
}

/// As [`load`], with `${NAME}` looked up in `environment`.
///
/// # Errors
///
/// As [`load`].
pub fn load_in(
    path: Option<&Path>,
    secrets: Secrets,
    environment: &Environment,
) -> Result<Loaded, Vec<Problem>> {
    let mut problems = Vec::new();
    let files = match path {
        None => Some(files::Files::embedded()),
        Some(path) => files::Files::read(path, &mut problems),
    };
    let compiled = files.map(|files| {
        let folder = files.folder.clone();
        let resolver = secrets::Resolver { environment, mode: secrets, folder };
        compile::compile(&files, &resolver, &mut problems)
    });
    problem::sort(&mut problems);
    match compiled {
        Some((settings, rules, trials)) if !problems.iter().any(Problem::is_error) => {
            Ok(Loaded { settings, rules: Arc::new(rules), warnings: problems, trials })
        }
        compiled => {
            problems.extend(compiled.into_iter().flat_map(|(_, _, trials)| trials.problems));
            problem::sort(&mut problems);
            Err(problems)
        }
    }
}

/// What [`Rules::text`] keeps, compiled again: the rules of another moment, for looking at only. Secrets that aren't
/// there any more get stand-ins; relative secret files are looked for beside `config`.
///
/// # Errors
///
/// Every problem: this version of the program may refuse what an older one took.
pub fn load_kept(kept: &str, config: Option<&Path>) -> Result<Rules, Vec<Problem>> {
    let mut problems = Vec::new();
    let files = files::Files::kept(kept, config);
    let folder = files.folder.clone();
    let resolver =
        secrets::Resolver { environment: &Environment::Process, mode: Secrets::Shown, folder };
    let (_, rules, _) = compile::compile(&files, &resolver, &mut problems);
    if problems.iter().any(Problem::is_error) { Err(problems) } else { Ok(rules) }
}

/// Whether `source` would sign with a stand-in: then no signature can be checked.
pub fn signs_with_stand_in(source: &source::Source) -> bool {
    sources::signs_with_stand_in(source)
}

/// The kinds of sources and the providers that a configuration may name, by name.
#[derive(Debug)]
pub struct Definitions {
    /// What `kind` may be.
    pub sources: Vec<Defined<source::Definition>>,
    /// What `provider` may be.
    pub providers: Vec<Defined<provider::Definition>>,
}

/// A definition and where it comes from.
#[derive(Clone, Debug)]
pub struct Defined<D> {
    /// What it says.
    pub definition: Arc<D>,
    /// Its file's text.
    pub text: Arc<str>,
    /// A user's own file; none if it is built in.
    pub file: Option<PathBuf>,
}

/// The definitions that are built in and those in the folders beside `path`, which add to them or replace them; nothing
/// in `path` itself has to be right. What is wrong with one of them comes beside the others.
pub fn definitions(path: Option<&Path>) -> (Definitions, Vec<Problem>) {
    let mut problems = Vec::new();
    let (own_sources, own_providers) = match path {
        Some(path) => files::Files::definitions(path, &mut problems),
        None => (Vec::new(), Vec::new()),
    };
    let (sources, providers) = compile::definitions(&own_sources, &own_providers, &mut problems);
    let built_in = source::BUILT_IN.iter().filter_map(|(_, text)| {
        Some((Arc::new(source::Definition::parse(text).ok()?), Arc::from(*text)))
    });
    let sources = merged(built_in, sources, &own_sources, |d| &d.name);
    let built_in = provider::builtin_texts().map(|(d, text)| (Arc::clone(d), Arc::from(text)));
    let providers = merged(built_in, providers, &own_providers, |d| &d.name);
    (Definitions { sources, providers }, problems)
}

fn merged<D>(
    built_in: impl Iterator<Item = (Arc<D>, Arc<str>)>,
    own: Vec<Arc<D>>,
    files: &[files::File],
    name: impl Fn(&D) -> &String,
) -> Vec<Defined<D>> {
    let mut all: Vec<_> = built_in
        .filter(|(definition, _)| !own.iter().any(|o| name(o) == name(definition)))
        .map(|(definition, text)| Defined { definition, text, file: None })
        .collect();
    for definition in own {
        // The name of a file is that of its definition: `compile` refuses any other.
        let of =
            |f: &&files::File| f.name.strip_suffix(".toml") == Some(name(&definition).as_str());
        let file = files.iter().find(of);
        let text = file.map_or_else(|| Arc::from(""), |f| Arc::clone(&f.text));
        all.push(Defined { definition, text, file: file.map(|f| f.path.clone()) });
    }
    all.sort_by(|a, b| name(&a.definition).cmp(name(&b.definition)));
    all
}

/// The admin listener's address and token, as `path` has them; nothing else in it has to be right.
///
/// # Errors
///
/// The file can't be read, or its `[server]` has problems.
pub fn admin_endpoint(path: &Path) -> Result<(SocketAddr, Option<Secret>), Vec<Problem>> {
    let mut problems = Vec::new();
    let Some(files) = files::Files::read(path, &mut problems) else { return Err(problems) };
    let resolver = secrets::Resolver {
        environment: &Environment::Process,
        mode: Secrets::Required,
        folder: files.folder.clone(),
    };
    let server = compile::server_alone(&files.rules, &resolver)?;
    Ok((server.admin, server.admin_token))
}

impl Settings {
    /// The keys that differ in `other`: a reload can't change them, so it says that they need a restart.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let (a, b) = (&self.server, &other.server);
        let differs = [
            ("server.listen", a.listen != b.listen),
            ("server.admin", a.admin != b.admin),
            ("server.admin_token", a.admin_token != b.admin_token),
            ("server.admin_hosts", a.admin_hosts != b.admin_hosts),
            ("server.max_body", a.max_body != b.max_body),
            ("server.max_head", a.max_head != b.max_head),
            ("server.head_timeout", a.head_timeout != b.head_timeout),
            ("server.body_timeout", a.body_timeout != b.body_timeout),
            ("server.max_connections", a.max_connections != b.max_connections),
            ("server.grace", a.grace != b.grace),
            ("journal.url", self.journal.url != other.journal.url),
            ("journal.keep", self.journal.keep != other.journal.keep),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}
