//! What is wrong with a template, found when it is loaded: syntax, unknown helpers and partials, what would skip
//! escaping, cycles. And which fields it reads, so that `check` can compare them with an event's.

use std::collections::BTreeMap;
use std::ops::Range;

use handlebars::template::{
    DecoratorTemplate, HelperTemplate, Parameter, Template, TemplateElement,
};
use handlebars::{Path, PathSeg, TemplateErrorReason};

use super::functions::{ARITY, BLOCKS, check_format, zone_named};
use super::scan::{scan, unbalanced};
use super::source::Source;
use super::{TemplateProblem, Variable};

/// How deep `each` may nest.
const EACH: usize = 3;
/// How deep partials may include each other, and how many inclusions one template may come to.
const PARTIAL_DEPTH: usize = 8;
const INCLUSIONS: usize = 256;

/// A parsed text and what is known about it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) template: Template,
    pub(super) variables: Vec<Variable>,
    pub(super) includes: Vec<Include>,
    /// Whether it may read `data` as a whole.
    pub(super) reads_data: bool,
}

/// A partial that a text includes.
#[derive(Clone, Debug)]
pub(super) struct Include {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    /// What the partial sees: a path from the event's top, empty for the event itself; none if that isn't known.
    base: Option<Vec<String>>,
}

/// Parses and checks one text of a file: its body or its subject. `offset` is where it begins in the file.
pub(super) fn parse(
    source: &Source,
    text: &str,
    offset: usize,
) -> Result<Parsed, Vec<TemplateProblem>> {
    let at = |at: usize, message: String, code: &'static str, hint: Option<&str>| {
        vec![TemplateProblem {
            code,
            file: source.file.clone(),
            span: Some(offset + at..offset + tag_end(text, at)),
            message,
            hint: hint.map(str::to_owned),
        }]
    };
    let tags =
        scan(text).map_err(|(place, message)| at(place, message, "template-syntax", None))?;
    let template = Template::compile_with_name(text, source.file.clone()).map_err(|e| {
        let (place, message) = unbalanced(text, &tags).unwrap_or_else(|| {
            let place = e.pos().map_or(0, |(line, column)| place(text, line, column));
            let tag = text[..place]
                .rfind("{{")
                .filter(|tag| tag_end(text, *tag) >= place)
                .unwrap_or(place);
            let message = match e.reason() {
                TemplateErrorReason::InvalidSyntax(_) => "this tag can't be read".to_owned(),
                other => other.to_string(),
            };
            (tag, message)
        });
        let hint = "a tag is {{field}}, {{helper field \"text\"}} or {{#if field}} … {{/if}}";
        at(place, message, "template-syntax", Some(hint))
    })?;
    let mut walk = Walk {
        source,
        text,
        offset,
        problems: Vec::new(),
        variables: Vec::new(),
        includes: Vec::new(),
        reads_data: false,
    };
    walk.template(
        &template,
        &Scope { base: Some(Vec::new()), names: Vec::new(), each: 0, parent: None },
    );
    let Walk { problems, variables, includes, reads_data, .. } = walk;
    if problems.is_empty() {
        Ok(Parsed { template, variables, includes, reads_data })
    } else {
        Err(problems)
    }
}

/// Where a line and a column (both from 1, columns in characters) are.
fn place(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at)
}

/// The end of the tag that begins at `at`, or of one character.
fn tag_end(text: &str, at: usize) -> usize {
    let rest = &text[at.min(text.len())..];
    match rest.find("}}").filter(|_| rest.starts_with("{{")) {
        Some(end) => at + end + rest[end..].bytes().take_while(|b| *b == b'}').count(),
        None => at + rest.chars().next().map_or(0, char::len_utf8),
    }
}

/// What a path is relative to.
struct Scope<'a> {
    /// Names from the event's top, `[]` for each item of a list or an object; none if that isn't known.
    base: Option<Vec<String>>,
    /// `as |name|`, and what it is where that is known.
    names: Vec<(String, Option<Vec<String>>)>,
    each: usize,
    parent: Option<&'a Scope<'a>>,
}

struct Walk<'a> {
    source: &'a Source,
    text: &'a str,
    offset: usize,
    problems: Vec<TemplateProblem>,
    variables: Vec<Variable>,
    includes: Vec<Include>,
    reads_data: bool,
}

impl Walk<'_> {
    fn problem(&mut self, code: &'static str, at: usize, message: String, hint: Option<String>) {
        let span = Some(self.offset + at..self.offset + tag_end(self.text, at));
        self.problems.push(TemplateProblem {
            code,
            file: self.source.file.clone(),
            span,
            message,
            hint,
        });
    }

    fn template(&mut self, template: &Template, scope: &Scope<'_>) {
        for (i, element) in template.elements.iter().enumerate() {
            let at = template.mapping.get(i).map_or(0, |m| place(self.text, m.0, m.1));
            // An element's place may include the white space before its tag.
            let at = self.text[at..].find("{{").map_or(at, |found| at + found);
            match element {
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                TemplateElement::HtmlExpression(h) => {
                    let name = h.name.as_name().unwrap_or("field");
                    let hint = Some(format!(
                        "write {{{{{name}}}}}: each kind of message escapes in its own way"
                    ));
                    self.problem(
                        "template-unescaped",
                        at,
                        "{{{…}}} and {{&…}} would skip escaping".to_owned(),
                        hint,
                    );
                }
                TemplateElement::Expression(h) => self.helper(h, at, scope, false),
                TemplateElement::HelperBlock(h) => self.block(h, at, scope),
                TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                    let hint = Some("put the part into a file of its own, _NAME.hbs".to_owned());
                    self.problem(
                        "template-inline",
                        at,
                        "{{*…}} and {{#*inline}} are not supported".to_owned(),
                        hint,
                    );
                }
                TemplateElement::PartialBlock(_) => {
                    let hint = Some("write {{> _name}}".to_owned());
                    self.problem(
                        "template-partial",
                        at,
                        "{{#> …}} is not supported".to_owned(),
                        hint,
                    );
                }
                TemplateElement::PartialExpression(d) => self.partial(d, at, scope),
                _ => self.problem(
                    "template-syntax",
                    at,
                    "this tag is not supported".to_owned(),
                    None,
                ),
            }
        }
    }

    fn partial(&mut self, partial: &DecoratorTemplate, at: usize, scope: &Scope<'_>) {
        match partial.name.as_name() {
            None => self.problem(
                "template-partial",
                at,
                "a partial's name can't be computed".to_owned(),
                Some("write {{> _name}}".to_owned()),
            ),
            Some(name) => {
                // Names that are handed over may hide any field.
                let base = match partial.params.first() {
                    _ if !partial.hash.is_empty() => None,
                    None => scope.base.clone(),
                    Some(Parameter::Path(path)) => resolve(path, scope).map(|(path, _)| path),
                    Some(_) => None,
                };
                let span = self.offset + at..self.offset + tag_end(self.text, at);
                self.includes.push(Include {
                    name: name.trim_matches(['\'', '"', '[', ']']).to_owned(),
                    span,
                    base,
                });
            }
        }
        self.reads_data |= !partial.params.is_empty();
        self.parameters(partial.params.iter().chain(partial.hash.values()), at, scope);
    }

    fn block(&mut self, h: &HelperTemplate, at: usize, scope: &Scope<'_>) {
        self.helper(h, at, scope, true);
        let name = h.name.as_name().unwrap_or_default();
        let each = scope.each + usize::from(name == "each");
        if each > EACH {
            let hint = Some("show less, or put it together before it is sent".to_owned());
            self.problem(
                "template-loops",
                at,
                format!("{{{{#each}}}} is nested more than {EACH} levels deep"),
                hint,
            );
            return;
        }
        let names = match &h.block_param {
            Some(handlebars::template::BlockParam::Single(p)) => vec![p],
            Some(handlebars::template::BlockParam::Pair((a, b))) => vec![a, b],
            _ => Vec::new(),
        };
        // Only these two change what a path is relative to.
        let moves = matches!(name, "each" | "with");
        let moved = h.params.first().filter(|_| moves).and_then(|p| match p {
            Parameter::Path(path) => resolve(path, scope),
            _ => None,
        });
        let moved = moved.map(|(mut path, _)| {
            path.extend((name == "each").then(|| "[]".to_owned()));
            path
        });
        // The second name of `each` is a key or a number.
        let names = names
            .into_iter()
            .filter_map(Parameter::as_name)
            .enumerate()
            .map(|(at, name)| (name.to_owned(), moved.clone().filter(|_| at == 0)))
            .collect();
        let inner = Scope {
            base: if moves { moved } else { scope.base.clone() },
            names,
            each,
            parent: if moves { Some(scope) } else { scope.parent },
        };
        if let Some(template) = &h.template {
            self.template(template, &inner);
        }
        if let Some(inverse) = &h.inverse {
            self.template(inverse, scope);
        }
    }

    /// A tag with a field or a helper; or a subexpression.
    fn helper(&mut self, h: &HelperTemplate, at: usize, scope: &Scope<'_>, block: bool) {
        let name = h.name.as_name().unwrap_or_default().to_owned();
        let known = ARITY.iter().find(|(known, ..)| *known == name);
        if !block && h.params.is_empty() && h.hash.is_empty() {
            if known.is_some_and(|(_, least, _)| *least > 0) {
                let hint = Some(format!("for a field of that name, write {{{{this.{name}}}}}"));
                self.problem(
                    "template-helper",
                    at,
                    format!("`{name}` needs something to work on"),
                    hint,
                );
            } else {
                self.parameters(std::iter::once(&h.name), at, scope);
            }
            return;
        }
        match known {
            None => {
                let close = ARITY
                    .iter()
                    .map(|(k, ..)| (strsim::jaro_winkler(k, &name), *k))
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                let hint = match close {
                    _ if block => format!(
                        "write {{{{#if {name}}}}}, {{{{#unless {name}}}}}, {{{{#each {name}}}}} or {{{{#with {name}}}}}"
                    ),
                    Some((score, close)) if score > 0.8 => format!("did you mean `{close}`?"),
                    _ => format!("there are {}", ARITY.map(|(k, ..)| k).join(", ")),
                };
                self.problem(
                    "template-helper",
                    at,
                    format!("there is no helper `{name}`"),
                    Some(hint),
                );
            }
            Some((_, least, most)) => {
                if block != BLOCKS.contains(&name.as_str()) {
                    let message = if block {
                        format!("`{name}` is no block")
                    } else {
                        format!("`{name}` is a block")
                    };
                    let hint = if block {
                        format!("write {{{{{name} …}}}}")
                    } else {
                        format!("write {{{{#{name} …}}}} … {{{{/{name}}}}}")
                    };
                    self.problem("template-helper", at, message, Some(hint));
                }
                let given = h.params.len();
                let (least, most) = (*least, *most);
                // `default` without its second argument would do nothing.
                let least = if name == "default" { 2 } else { least };
                if given < least || given > most {
                    self.problem(
                        "template-helper",
                        at,
                        format!("`{name}` takes {least} to {most} arguments, not {given}"),
                        None,
                    );
                }
                if name == "date" {
                    self.date(h, at);
                }
                // `lookup` may read any field.
                self.reads_data |= name == "lookup";
            }
        }
        self.parameters(h.params.iter().chain(h.hash.values()), at, scope);
    }

    fn date(&mut self, h: &HelperTemplate, at: usize) {
        let text = |i: usize| match h.params.get(i) {
            Some(Parameter::Literal(serde_json::Value::String(text))) => Some(text.clone()),
            _ => None,
        };
        let zone = text(1).and_then(|zone| zone_named(&zone).err());
        let format = text(2).and_then(|format| check_format(&format).err());
        for message in [zone, format].into_iter().flatten() {
            self.problem("template-helper", at, message, None);
        }
    }

    fn parameters<'p>(
        &mut self,
        parameters: impl Iterator<Item = &'p Parameter>,
        at: usize,
        scope: &Scope<'_>,
    ) {
        for parameter in parameters {
            match parameter {
                Parameter::Path(path) => self.path(path, at, scope),
                Parameter::Subexpression(sub) => {
                    if let TemplateElement::Expression(h) = sub.as_element() {
                        self.helper(h, at, scope, false);
                    }
                }
                Parameter::Name(_) | Parameter::Literal(_) => {}
                _ => {}
            }
        }
    }

    fn path(&mut self, path: &Path, at: usize, scope: &Scope<'_>) {
        let Path::Relative((segments, raw)) = path else { return };
        let names: Vec<String> = segments
            .iter()
            .filter_map(|s| match s {
                PathSeg::Named(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        // The whole event, or its `data`, is asked for.
        self.reads_data |= names.first().is_none_or(|n| n == "data");
        let Some((path, absolute)) = resolve(path, scope).filter(|(p, _)| !p.is_empty()) else {
            return;
        };
        let found = self.text[at..].find(raw.as_str()).map_or(at, |found| at + found);
        let span = self.offset + found..self.offset + (found + raw.len()).min(self.text.len());
        self.variables.push(Variable { path, file: self.source.file.clone(), span, absolute });
    }
}

/// What a path means: names from the top of what its file sees, and whether that is the event wherever the file is
/// included. None if it isn't known.
fn resolve(path: &Path, scope: &Scope<'_>) -> Option<(Vec<String>, bool)> {
    let Path::Relative((segments, raw)) = path else { return None };
    let mut names = segments.iter().filter_map(|s| match s {
        PathSeg::Named(name) => Some(name.clone()),
        _ => None,
    });
    if raw.starts_with("@root") {
        return Some((names.collect(), true));
    }
    let mut base = Some(scope);
    let mut ups = raw.as_str();
    while let Some(rest) = ups.strip_prefix("../") {
        base = base.and_then(|s| s.parent);
        ups = rest;
    }
    let mut names = names.by_ref().peekable();
    let mut scopes = Some(scope);
    while let (Some(s), Some(first)) = (scopes, names.peek()) {
        if let Some((_, meant)) = s.names.iter().find(|(name, _)| name == first) {
            let mut path = meant.clone()?;
            path.extend(names.skip(1));
            return Some((path, false));
        }
        scopes = s.parent;
    }
    let mut path = base?.base.clone()?;
    path.extend(names);
    Some((path, false))
}

/// The texts of one kind of message, by name.
pub(super) type Graph<'a> = BTreeMap<&'a str, (&'a Source, &'a Parsed)>;

/// Partials that don't exist or aren't partials, cycles, and too many inclusions.
pub(super) fn check_includes(graph: &Graph<'_>) -> Vec<TemplateProblem> {
    let mut problems = Vec::new();
    let mut sizes = BTreeMap::new();
    for (name, (source, parsed)) in graph {
        for include in &parsed.includes {
            let problem = |message, hint| TemplateProblem {
                code: "template-partial",
                file: source.file.clone(),
                span: Some(include.span.clone()),
                message,
                hint: Some(hint),
            };
            if !include.name.starts_with('_') {
                let hint = format!(
                    "only files whose name begins with _ can be included; rename it _{}.hbs",
                    include.name
                );
                problems.push(problem(format!("`{}` is no partial", include.name), hint));
            } else if !graph.contains_key(include.name.as_str()) {
                let hint = format!(
                    "add {}.hbs for every kind of message, or one for this kind",
                    include.name
                );
                problems.push(problem(format!("there is no partial `{}`", include.name), hint));
            }
        }
        match inclusions(graph, name, &mut Vec::new(), &mut sizes) {
            Ok(count) if count > INCLUSIONS => {
                let message = format!("it comes to more than {INCLUSIONS} partials");
                problems.push(whole(source, "template-partial", message));
            }
            Ok(_) => {}
            Err(message) => problems.push(whole(source, "template-cycle", message)),
        }
    }
    problems
}

fn whole(source: &Source, code: &'static str, message: String) -> TemplateProblem {
    TemplateProblem { code, file: source.file.clone(), span: None, message, hint: None }
}

/// How many partials a text comes to, or the cycle or chain that is too long.
fn inclusions<'a>(
    graph: &Graph<'a>,
    name: &'a str,
    path: &mut Vec<&'a str>,
    sizes: &mut BTreeMap<&'a str, (usize, usize)>,
) -> Result<usize, String> {
    fn visit<'a>(
        graph: &Graph<'a>,
        name: &'a str,
        path: &mut Vec<&'a str>,
        sizes: &mut BTreeMap<&'a str, (usize, usize)>,
    ) -> Result<(usize, usize), String> {
        if let Some(first) = path.iter().position(|n| *n == name) {
            let mut cycle = path[first..].to_vec();
            cycle.push(name);
            return Err(format!("partials include each other in a cycle: {}", cycle.join(" -> ")));
        }
        if let Some(size) = sizes.get(name) {
            return Ok(*size);
        }
        if path.len() > PARTIAL_DEPTH {
            return Err(format!(
                "partials are nested more than {PARTIAL_DEPTH} levels deep: {}",
                path.join(" -> ")
            ));
        }
        let (mut count, mut depth) = (0usize, 0usize);
        path.push(name);
        for include in graph.get(name).map(|(_, p)| p.includes.as_slice()).unwrap_or_default() {
            let (inner, below) = visit(graph, &include.name, path, sizes)?;
            count = count.saturating_add(inner).saturating_add(1);
            depth = depth.max(below + 1);
        }
        path.pop();
        if depth > PARTIAL_DEPTH {
            return Err(format!(
                "partials are nested more than {PARTIAL_DEPTH} levels deep below `{name}`"
            ));
        }
        sizes.insert(name, (count, depth));
        Ok((count, depth))
    }
    let found = visit(graph, name, path, sizes).map(|(count, _)| count);
    path.clear();
    found
}

/// Every field of the event that `name` reads, its partials' among them.
pub(super) fn variables(graph: &Graph<'_>, name: &str) -> Vec<Variable> {
    let Some((_, parsed)) = graph.get(name) else { return Vec::new() };
    let mut found = parsed.variables.clone();
    for include in &parsed.includes {
        let Some(base) = &include.base else { continue };
        found.extend(variables(graph, &include.name).into_iter().map(|mut variable| {
            if !variable.absolute {
                variable.path.splice(0..0, base.iter().cloned());
            }
            variable
        }));
    }
    found
}
