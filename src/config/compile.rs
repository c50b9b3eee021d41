//! The whole of a configuration: sections in their order, so that later ones know the names of earlier ones.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::files::{File, Files};
use super::reader::{Report, Table};
use super::rule::World;
use super::schemas::Schemas;
use super::secrets::Resolver;
use super::{
    Problem, Settings, Severity, Trials, destinations, keys, later, lint, rule, server, sources,
    trials, variables,
};
use crate::rules::template::{TemplateFile, Templates};
use crate::rules::{Rules, provider, source};

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// Codes whose cause may be a line that couldn't be parsed: with syntax errors they would only confuse.
const UNSURE: [&str; 10] = [
    "missing-key",
    "no-source",
    "no-rule",
    "unknown-destination",
    "unknown-source",
    "unknown-schedule",
    "unused-destination",
    "unused-template",
    "unused-schedule",
    "unreachable-rule",
];

/// Compiles `files`; everything that is wrong goes into `problems`. What comes back is only sound if none of them is
/// an error.
pub(super) fn compile(
    files: &Files,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Problem>,
) -> (Settings, Rules, Trials) {
    let (own_sources, own_providers) = definitions(&files.sources, &files.providers, problems);
    let schemas = Schemas::read(&files.schemas, problems);
    let templates = templates(&files.templates, problems);
    let mut template_names: Vec<&str> =
        files.templates.iter().map(|t| lint::base(&t.name)).collect();
    template_names.dedup();

    let text = &files.rules.text;
    let report = Report::new(&files.rules.path, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut root = Table::new(&report, "rules.toml", 0..0, document.get_ref());
    version(&mut root);
    let settings = Settings {
        server: server::server(&mut root, resolver),
        journal: server::journal(&mut root, resolver),
        reload: trials::reload(&mut root),
    };
    let listen = settings.server.listen;
    let (declared_sources, sources) = sources::sources(&mut root, &own_sources, resolver, listen);
    let declared = destinations::destinations(&mut root, &own_providers, resolver);
    let schedules = later::schedules(&mut root);
    let world = World {
        sources: &declared_sources,
        destinations: &declared,
        schedules: &schedules,
        template_names: &template_names,
        templates: templates.as_ref(),
        schemas: &schemas,
    };
    let (drafts, rules) = rule::rules(&mut root, &world);
    // Read below: what is wrong with a test concerns nothing else.
    root.get("tests");
    lint::whole(&report, &drafts, &declared_sources, &declared, &lint::held_elsewhere(&root));
    lint::unused_schedules(&root);
    root.finish(&keys::ROOT);

    let syntax: Vec<Range<usize>> = errors.iter().filter_map(toml::de::Error::span).collect();
    let found = report.into_problems();
    problems.extend(sure(found, text, &syntax, !errors.is_empty()));
    problems.extend(syntax_problems(&files.rules, &errors));
    if errors.is_empty() {
        unused_templates(files, &drafts, problems);
        if let Some(templates) = &templates {
            variables::check(&files.templates, templates, &drafts, &declared, problems);
        }
    }
    drop_consequences(problems);
    let mut tests = Trials::default();
    if errors.is_empty() {
        tests = trials::trials(
            document.get_ref(),
            &trials::World {
                files,
                sources: &sources,
                source_names: &declared_sources.iter().map(|s| &*s.name).collect::<Vec<_>>(),
                destinations: &declared.iter().map(|d| &*d.name).collect::<Vec<_>>(),
                rules: &drafts.iter().map(|d| &*d.name).collect::<Vec<_>>(),
            },
        );
    }
    let rules = Rules {
        version: fingerprint(files).into(),
        text: files.to_kept().into(),
        sources,
        destinations: declared.into_iter().filter_map(|d| d.built).collect(),
        rules,
        templates: templates.unwrap_or_default(),
    };
    (settings, rules, tests)
}

/// Reads `[server]` alone: who looks at a running bridge must get there while a rule is being edited.
pub(super) fn server_alone(
    rules: &File,
    resolver: &Resolver<'_>,
) -> Result<super::Server, Vec<Problem>> {
    let report = Report::new(&rules.path, &rules.text);
    let (document, _) = DeTable::parse_recoverable(&rules.text);
    let mut root = Table::new(&report, "rules.toml", 0..0, document.get_ref());
    let server = server::server(&mut root, resolver);
    let problems = report.into_problems();
    if problems.iter().any(Problem::is_error) { Err(problems) } else { Ok(server) }
}

/// `version = 1` stands in every file, so that a later format can be told from a typo.
fn version(root: &mut Table<'_>) {
    let Some(value) = root.get("version") else {
        root.report.error(
            "missing-version",
            0..0,
            "rules.toml doesn't say which version of the format it is written in",
            Some("write `version = 1` at the top".to_owned()),
        );
        return;
    };
    if let Some(found) = value.integer(i64::MIN, i64::MAX)
        && found != VERSION
    {
        let hint = if found > VERSION {
            "update hookbell, or write the file in the format of `version = 1`"
        } else {
            "write `version = 1`"
        };
        let message = format!("this hookbell reads version 1 of the format, not {found}");
        value.error::<()>("unsupported-version", message, Some(hint.to_owned()));
    }
}

/// Drops what may only follow from lines that couldn't be parsed.
fn sure(
    found: Vec<Problem>,
    text: &str,
    syntax: &[Range<usize>],
    broken: bool,
) -> impl Iterator<Item = Problem> {
    let lines = lint::lines(text, syntax);
    found.into_iter().filter(move |p| {
        let touched =
            |span: &Range<usize>| lines.iter().any(|l| l.start <= span.end && span.start <= l.end);
        !broken || !(UNSURE.contains(&p.code) || p.span.as_ref().is_none_or(touched))
    })
}

/// A misspelt name leaves another one unused: the first is the mistake, the second only follows.
fn drop_consequences(problems: &mut Vec<Problem>) {
    for (cause, consequence) in [
        ("unknown-destination", "unused-destination"),
        ("unknown-template", "unused-template"),
        ("unknown-schedule", "unused-schedule"),
    ] {
        if problems.iter().any(|p| p.code == cause) {
            problems.retain(|p| p.code != consequence);
        }
    }
}

/// `[rules]` twice makes one table of both, and each of its keys stands there twice: only the cause is told.
pub(super) fn syntax_problems(file: &File, errors: &[toml::de::Error]) -> Vec<Problem> {
    let mut all: Vec<Problem> = errors.iter().map(|e| syntax_problem(file, e)).collect();
    let table = |p: &Problem| LISTS.iter().any(|list| p.message.starts_with(&format!("`{list}` ")));
    let first = all
        .iter()
        .filter(|p| p.code == "duplicate-key" && table(p))
        .filter_map(|p| p.span.as_ref().map(|s| s.start))
        .min();
    if let Some(first) = first {
        let follows = |p: &Problem| p.span.as_ref().is_some_and(|s| s.start > first);
        all.retain(|p| p.code != "duplicate-key" || !follows(p));
    }
    all
}

/// The tables that are lists, each written in two brackets.
const LISTS: [&str; 2] = ["rules", "tests"];

fn syntax_problem(file: &File, error: &toml::de::Error) -> Problem {
    let span = error.span();
    let meant = span.clone().and_then(|s| file.text.get(s)).unwrap_or_default();
    let message = error.message();
    let line = span.as_ref().map_or("", |span| {
        let start = file.text[..span.start.min(file.text.len())].rfind('\n').map_or(0, |n| n + 1);
        file.text[start..].lines().next().unwrap_or_default()
    });
    let (code, message, hint) = match message {
        "duplicate key" if LISTS.contains(&meant) => (
            "duplicate-key",
            format!("`{meant}` is here a second time"),
            Some("each one begins with two brackets: `[[rules]]`, `[[tests]]`"),
        ),
        "duplicate key" => (
            "duplicate-key",
            format!("`{meant}` is here a second time"),
            Some("remove one of them, or rename it"),
        ),
        m if ["quote", "invalid float", "invalid integer"].iter().any(|w| m.contains(w)) => {
            ("syntax", m.replace(", expected nothing", ""), Some("text stands in quotes"))
        }
        m if line.trim_start().starts_with("when") => (
            "syntax",
            m.replace(", expected nothing", ""),
            Some("write the condition in single quotes: when = 'status == \"failed\"'"),
        ),
        m => ("syntax", m.replace(", expected nothing", ""), None),
    };
    Problem {
        code,
        severity: Severity::Error,
        file: file.path.clone(),
        span,
        message,
        hint: hint.map(str::to_owned),
        text: Some(Arc::clone(&file.text)),
    }
}

/// A user's own definitions, which add to the built-in ones or replace them.
pub(super) fn definitions(
    source_files: &[File],
    provider_files: &[File],
    problems: &mut Vec<Problem>,
) -> (Vec<Arc<source::Definition>>, Vec<Arc<provider::Definition>>) {
    let mut sources = Vec::new();
    for file in source_files {
        match source::Definition::parse(&file.text) {
            Ok(d) => sources.extend(named(file, d.name.clone(), d, problems)),
            Err(all) => problems.extend(all.into_iter().map(|e| {
                let mut problem = definition_problem(file, e.message, e.span);
                problem.hint = e.hint;
                problem
            })),
        }
    }
    let mut providers = Vec::new();
    for file in provider_files {
        match provider::Definition::parse(&file.text) {
            Ok(d) => {
                let wrong = d.check_examples(&file.text);
                problems.extend(wrong.into_iter().map(|p| provider_problem(file, p)));
                providers.extend(named(file, d.name.clone(), d, problems));
            }
            Err(all) => problems.extend(all.into_iter().map(|p| provider_problem(file, p))),
        }
    }
    (sources, providers)
}

/// A definition is found by its file's name when a person looks for it, so both names are one.
fn named<D>(file: &File, name: String, d: D, problems: &mut Vec<Problem>) -> Option<Arc<D>> {
    if file.name.strip_suffix(".toml") == Some(&*name) {
        return Some(Arc::new(d));
    }
    let at = file.text.find(&format!("\"{name}\"")).map(|at| at..at + name.len() + 2);
    let mut problem = definition_problem(file, format!("the file defines \"{name}\""), at);
    problem.hint = Some(format!("call the file {name}.toml"));
    problems.push(problem);
    None
}

fn provider_problem(file: &File, p: provider::DefinitionProblem) -> Problem {
    Problem { hint: p.hint, ..definition_problem(file, p.message, p.span) }
}

fn definition_problem(file: &File, message: String, span: Option<Range<usize>>) -> Problem {
    Problem {
        code: "bad-definition",
        severity: Severity::Error,
        file: file.path.clone(),
        span,
        message,
        hint: None,
        text: Some(Arc::clone(&file.text)),
    }
}

fn templates(files: &[File], problems: &mut Vec<Problem>) -> Option<Templates> {
    let read: Vec<TemplateFile> = files
        .iter()
        .map(|f| TemplateFile { file: f.name.clone(), text: f.text.as_ref().to_owned() })
        .collect();
    match Templates::compile(&read) {
        Ok(templates) => Some(templates),
        Err(found) => {
            problems.extend(found.into_iter().map(|p| {
                let file = files.iter().find(|f| f.name == p.file);
                Problem {
                    code: p.code,
                    severity: Severity::Error,
                    file: file.map_or_else(|| p.file.into(), |f| f.path.clone()),
                    span: p.span,
                    message: p.message,
                    hint: p.hint,
                    text: file.map(|f| Arc::clone(&f.text)),
                }
            }));
            None
        }
    }
}

fn unused_templates(files: &Files, drafts: &[rule::Draft], problems: &mut Vec<Problem>) {
    for name in lint::unused_templates(drafts, &files.templates) {
        let Some(file) = files.templates.iter().find(|t| lint::base(&t.name) == name) else {
            continue;
        };
        problems.push(Problem {
            code: "unused-template",
            severity: Severity::Warning,
            file: file.path.clone(),
            span: None,
            message: format!("no rule uses template \"{name}\""),
            hint: Some(format!("add `template = \"{name}\"` to a rule, or remove the file")),
            text: None,
        });
    }
}

/// Which rules decided an event: 16 bytes in hex over everything that a decision or a message can depend on. The
/// program's version is part of it, for the definitions that are built in.
fn fingerprint(files: &Files) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        // Lengths keep two parts from being read as one.
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part.as_bytes());
    };
    add(env!("CARGO_PKG_VERSION"));
    add(&files.rules.text);
    for (folder, files) in files.folders() {
        for file in files {
            add(folder);
            add(&file.name);
            add(&file.text);
        }
    }
    hash.finalize().iter().take(16).fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
