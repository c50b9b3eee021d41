//! `[sources.NAME]`: who may send.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use super::keys;
use super::quantity::is_name;
use super::reader::{Report, Table, Value, suggest};
use super::secrets::{Resolved, Resolver};
use crate::rules::source::{self, Definition, Outgoing, Source, SourceSettings};
use crate::secret::Secret;

/// Signing secrets for `demo`, in the shapes that senders use; the first that the definition takes is used. They
/// protect nothing: the demo listens on loopback and sends nothing out.
const STAND_INS: [&str; 3] = [
    "stand-in-signing-secret",
    "whsec_c3RhbmQtaW4tc2lnbmluZy1zZWNyZXQ=",
    "stand-in:signing-secret",
];

/// A source as the other sections see it, whether or not it could be built.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    /// None if its kind is unknown.
    pub(super) definition: Option<Arc<Definition>>,
}

/// Reads `[sources]`.
pub(super) fn sources(
    root: &mut Table<'_>,
    own: &[Arc<Definition>],
    resolver: &Resolver<'_>,
    listen: SocketAddr,
) -> (Vec<Declared>, Vec<Source>) {
    let mut declared = Vec::new();
    let mut built = Vec::new();
    let Some(section) = root.get("sources").and_then(|v| v.table("[sources]")) else {
        return (declared, built);
    };
    for (name, value) in section.entries() {
        let named = check_name(section.report, "source", name, &value.key_span);
        let Some(table) = value.table(format!("source \"{name}\"")) else { continue };
        let (definition, source) = one(name, table, own, resolver, listen);
        declared.push(Declared { name: name.to_owned(), definition });
        built.extend(source.filter(|_| named));
    }
    (declared, built)
}

fn one(
    name: &str,
    mut table: Table<'_>,
    own: &[Arc<Definition>],
    resolver: &Resolver<'_>,
    listen: SocketAddr,
) -> (Option<Arc<Definition>>, Option<Source>) {
    let report = table.report;
    let kind = table.require("kind", "\"replicer\"");
    let kind_span = kind.as_ref().map(|kind| kind.span.clone());
    let definition = kind.and_then(|kind| {
        let name = kind.text()?;
        let found = own.iter().find(|d| d.name == name).map(Arc::clone);
        found.or_else(|| built_in(name)).or_else(|| {
            let mut known: Vec<&str> = source::BUILT_IN.iter().map(|(name, _)| *name).collect();
            known.extend(own.iter().map(|d| &*d.name));
            let hint = suggest(name, &known, "the kinds are");
            kind.error("unknown-kind", format!("there is no kind of source \"{name}\""), Some(hint))
        })
    });
    let secret = table.get("secret");
    let has_secret = secret.is_some();
    // None: something about it is wrong, and has been said.
    let secrets = secret.map_or(Some(Vec::new()), |v| resolver.texts(&v));
    let url = table.get("url");
    let url_text = url.as_ref().map_or(Some(None), |v| public_url(v).map(Some));
    let natural_keys = table.get("natural_keys").map_or(Some(true), |v| v.boolean());
    // Not the secret's own line, which would be shown with what stands in it.
    let span = table.span.clone();
    table.finish(&keys::SOURCE);
    let (Some(kind), Some(secrets), Some(natural_keys), Some(url_text)) =
        (&definition, secrets, natural_keys, url_text)
    else {
        return (definition, None);
    };
    match (&url, kind.signs_url()) {
        (None, true) => {
            let message = format!("source \"{name}\" has no `url`, which a `{}` signs", kind.name);
            let hint = format!(
                "write the URL that is entered there: `url = \"https://bell.example.com/hooks/{name}\"`"
            );
            report.error("missing-key", span, message, Some(hint));
            return (definition, None);
        }
        (Some(url), false) => {
            let message = format!("a `{}` doesn't sign the URL that it posts to", kind.name);
            url.error::<()>("needless-url", message, Some("remove `url`".to_owned()));
            return (definition, None);
        }
        _ => {}
    }
    if kind.signature.is_none() && secrets.is_empty() && !listen.ip().is_loopback() {
        report.warning(
            "open-source",
            kind_span,
            format!("source \"{name}\" takes whatever reaches {listen}: nothing is signed"),
            Some(
                "let nothing but a proxy that checks who sends reach it, or listen on 127.0.0.1"
                    .to_owned(),
            ),
        );
    }
    let mut last = String::new();
    for stand_in in STAND_INS {
        let resolved = secrets.iter().map(|s| match &s.value {
            Resolved::Text(secret) => secret.clone(),
            Resolved::StandIn => Secret::new(stand_in),
        });
        let url = url_text.map(str::to_owned);
        let settings = SourceSettings { secrets: resolved.collect(), natural_keys, url };
        match Source::compile(name, Arc::clone(kind), settings) {
            Ok(source) => return (definition, Some(source)),
            Err(why) => last = why,
        }
    }
    let (code, hint) = if has_secret {
        ("bad-source", None)
    } else {
        ("missing-key", Some("write `secret = \"${SIGNING_SECRET}\"`".to_owned()))
    };
    report.error(code, span, format!("source \"{name}\": {last}"), hint);
    (definition, None)
}

/// Whether `source` signs as it would with a stand-in.
pub(super) fn signs_with_stand_in(source: &Source) -> bool {
    let now = jiff::Timestamp::UNIX_EPOCH;
    let out = Outgoing { now, unique: "stand-in", kind: None, private_key: None };
    let Ok(signed) = source.sign(b"{}", out) else { return false };
    STAND_INS.iter().any(|stand_in| {
        let secrets = vec![Secret::new(*stand_in)];
        let settings =
            SourceSettings { secrets, url: source.url.clone(), ..SourceSettings::default() };
        let stands_in = Source::compile(&source.name, Arc::clone(&source.definition), settings);
        stands_in.is_ok_and(|s| s.sign(b"{}", out).as_ref() == Ok(&signed))
    })
}

/// The built-in definition of this name; a test of its own holds that all of them can be read.
fn built_in(name: &str) -> Option<Arc<Definition>> {
    Definition::parse(source::built_in(name)?).ok().map(Arc::new)
}

/// A URL that a sender posts to, byte for byte as it is entered there.
fn public_url<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.text()?;
    let parsed = text.parse::<hyper::Uri>().ok();
    let scheme = parsed.as_ref().and_then(hyper::Uri::scheme_str);
    if matches!(scheme, Some("http" | "https")) && !text.contains('#') {
        return Some(text);
    }
    value.error(
        "bad-source-url",
        format!("\"{text}\" is no URL that a sender could post to"),
        Some(
            "write it as it is entered there, for example \"https://bell.example.com/hooks/calls\""
                .to_owned(),
        ),
    )
}

/// Names stand in URLs, file names and metrics.
pub(super) fn check_name(report: &Report, what: &str, name: &str, span: &Range<usize>) -> bool {
    if is_name(name) {
        return true;
    }
    let mut better: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
        .collect();
    better = better.trim_matches(['-', '_']).chars().take(64).collect();
    let hint = if is_name(&better) { format!("did you mean `{better}`?") } else { String::new() };
    report.error(
        "bad-name",
        span.clone(),
        format!(
            "a {what}'s name is 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit"
        ),
        Some(hint).filter(|h| !h.is_empty()),
    );
    false
}
