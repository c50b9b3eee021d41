//! `[destinations.NAME]`: where messages go. The provider's settings stand flat beside those that every destination
//! has.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::Secrets;
use super::keys;
use super::reader::{At, Report, Table, Value, suggest};
use super::secrets::{Resolved, Resolver};
use super::sources::check_name;
use crate::rules::provider::{
    self, Common, Definition, Destination, Fallback, OnAmbiguous, Rate, STAND_INS, SettingError,
    SettingValue, Transport,
};
use crate::rules::retry::RetryPolicy;
use crate::secret::Secret;

/// The fallback takes over what waits when a destination has been failing for so long, unless it says otherwise: long
/// enough for a restart at the other side, short enough to be of use.
const FALLBACK_AFTER: Duration = Duration::from_secs(10 * 60);

/// A destination as the other sections see it, whether or not it could be built.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    /// None if something is wrong with it.
    pub(super) built: Option<Arc<Destination>>,
    /// `fallback`, not yet checked against the other names.
    pub(super) fallback: Option<At<Fallback>>,
}

/// A setting as read; which of its texts are stand-ins is known until the provider has taken them.
enum Setting {
    Text(Resolved),
    List(Vec<Resolved>),
    Plain(SettingValue),
}

/// Reads `[destinations]`.
pub(super) fn destinations(
    root: &mut Table<'_>,
    own: &[Arc<Definition>],
    resolver: &Resolver<'_>,
) -> Vec<Declared> {
    let Some(section) = root.get("destinations").and_then(|v| v.table("[destinations]")) else {
        return Vec::new();
    };
    let mut declared = Vec::new();
    for (name, value) in section.entries() {
        let named = check_name(section.report, "destination", name, &value.key_span);
        let Some(mut table) = value.table(format!("destination \"{name}\"")) else { continue };
        let fallback = fallback(&mut table);
        let built = one(name, table, fallback.as_ref(), own, resolver).filter(|_| named);
        let span = value.key_span.clone();
        declared.push(Declared {
            name: name.to_owned(),
            span,
            built: built.map(Arc::new),
            fallback,
        });
    }
    check_fallbacks(section.report, &declared);
    declared
}

fn one(
    name: &str,
    mut table: Table<'_>,
    fallback: Option<&At<Fallback>>,
    own: &[Arc<Definition>],
    resolver: &Resolver<'_>,
) -> Option<Destination> {
    let common = common(&mut table)
        .map(|common| Common { fallback: fallback.map(|at| at.value.clone()), ..common });
    let provider = table.require("provider", "\"slack\"")?;
    let kind = provider.text()?;
    let found = own.iter().find(|d| d.name == kind).map(Arc::clone);
    let Some(definition) = found.or_else(|| provider::builtin(kind)) else {
        let known: Vec<&str> = provider::builtins().iter().chain(own).map(|d| &*d.name).collect();
        let hint = suggest(kind, &known, "the providers are");
        let message = format!("there is no provider \"{kind}\"");
        return provider.error("unknown-provider", message, Some(hint));
    };
    let own_keys: Vec<&str> = definition.settings.iter().map(|s| &*s.name).collect();
    // Settings whose values have been found wrong already.
    let mut wrong: Vec<&str> = Vec::new();
    let mut settings = BTreeMap::new();
    for (key, value) in table.entries().filter(|(key, _)| own_keys.contains(key)) {
        match setting(&value, resolver) {
            Some(setting) => _ = settings.insert(key.to_owned(), setting),
            None => wrong.push(key),
        }
    }
    // With a wrong `retry` the provider's own settings are still worth a look.
    let sound = common.is_some();
    let checked = compile(name, &definition, &settings, &common.unwrap_or_default());
    let destination = match checked {
        Ok(destination) => Some(destination),
        Err(errors) => {
            // Of a setting that couldn't be read the provider only knows that it isn't there.
            let follows = |e: &SettingError| match &e.setting {
                Some(key) => wrong.contains(&&**key),
                None => !wrong.is_empty(),
            };
            for error in errors.iter().filter(|e| !follows(e)) {
                note(&table, error);
            }
            None
        }
    };
    table.finish_beside(&keys::DESTINATION, &own_keys);
    let mut destination = destination.filter(|_| wrong.is_empty() && sound)?;
    if resolver.mode == Secrets::StandIns {
        // With stand-ins nothing may go out, whatever could be resolved.
        destination.transport = Transport::Inbox;
        destination.rate = None;
    }
    Some(destination)
}

fn setting(value: &Value<'_>, resolver: &Resolver<'_>) -> Option<Setting> {
    use toml::de::DeValue;
    match value.value {
        DeValue::String(_) => resolver.text(value).map(|at| Setting::Text(at.value)),
        DeValue::Array(_) => {
            let texts = resolver.texts(value)?;
            Some(Setting::List(texts.into_iter().map(|at| at.value).collect()))
        }
        DeValue::Integer(_) => {
            value.integer(i64::MIN, i64::MAX).map(|i| Setting::Plain(SettingValue::Integer(i)))
        }
        DeValue::Boolean(b) => Some(Setting::Plain(SettingValue::Boolean(*b))),
        _ => value.wrong_type("text, a list of texts, a whole number or a boolean"),
    }
}

/// Compiles with the stand-ins that the provider takes: when it refuses one, the next shape is tried.
fn compile(
    name: &str,
    definition: &Arc<Definition>,
    settings: &BTreeMap<String, Setting>,
    common: &Common,
) -> Result<Destination, Vec<SettingError>> {
    let mut shapes: BTreeMap<&str, usize> = settings
        .iter()
        .filter(|(_, setting)| setting.has_stand_in())
        .map(|(key, _)| (&**key, 0))
        .collect();
    loop {
        let filled = settings
            .iter()
            .map(|(key, setting)| {
                let shape = shapes.get(&**key).and_then(|at| STAND_INS.get(*at));
                (key.clone(), setting.fill(shape.copied().unwrap_or_default()))
            })
            .collect();
        let errors = match Destination::compile(name, definition, &filled, common.clone()) {
            Ok(destination) => return Ok(destination),
            Err(errors) => errors,
        };
        let mut moved = false;
        for key in errors.iter().filter_map(|e| e.setting.as_deref()) {
            if let Some(at) = shapes.get_mut(key)
                && *at + 1 < STAND_INS.len()
            {
                *at += 1;
                moved = true;
            }
        }
        if !moved {
            return Err(errors);
        }
    }
}

impl Setting {
    fn has_stand_in(&self) -> bool {
        let stands_in = |r: &Resolved| matches!(r, Resolved::StandIn);
        match self {
            Self::Text(r) => stands_in(r),
            Self::List(all) => all.iter().any(stands_in),
            Self::Plain(_) => false,
        }
    }

    fn fill(&self, stand_in: &str) -> SettingValue {
        let text = |r: &Resolved| match r {
            Resolved::Text(secret) => secret.clone(),
            Resolved::StandIn => Secret::new(stand_in),
        };
        match self {
            Self::Text(r) => SettingValue::Text(text(r)),
            Self::List(all) => SettingValue::List(all.iter().map(text).collect()),
            Self::Plain(value) => value.clone(),
        }
    }
}

/// Notes what the provider refused, at its setting where that was written.
fn note(table: &Table<'_>, error: &SettingError) {
    let written = error.setting.as_deref().and_then(|key| table.peek(key));
    let (code, span) = match (&written, &error.setting) {
        (Some(value), _) => ("bad-setting", value.span.clone()),
        (None, Some(_)) => ("missing-key", table.span.clone()),
        (None, None) => ("bad-setting", table.span.clone()),
    };
    table.report.error(
        code,
        span,
        format!("{}: {}", table.name, error.message),
        error.hint.clone(),
    );
}

/// `fallback = "office-mail"` or `{ to = "office-mail", after = "10m" }`.
fn fallback(table: &mut Table<'_>) -> Option<At<Fallback>> {
    let value = table.get("fallback")?;
    let (to, after) = if value.is_table() {
        let mut table = value.table("`fallback`")?;
        let to = table.require("to", "\"office-mail\"").and_then(|v| v.text_at());
        let after = read(table.get("after"), Value::duration);
        table.finish(&keys::FALLBACK);
        (to?, after?)
    } else if value.is_text() {
        (value.text_at()?, None)
    } else {
        return value.wrong_type(
            "a destination's name, or a table such as { to = \"office-mail\", after = \"10m\" }",
        );
    };
    let fallback = Fallback { to: to.value.into(), after: after.unwrap_or(FALLBACK_AFTER) };
    Some(At { value: fallback, span: to.span })
}

/// What every destination may set, but for `fallback`; none if one of the keys is wrong.
fn common(table: &mut Table<'_>) -> Option<Common> {
    // Each is read before any gives up, so that all that is wrong is said.
    let concurrency = read(table.get("concurrency"), |v| {
        v.integer(1, 1_000).and_then(|n| usize::try_from(n).ok())
    });
    let timeout = read(table.get("timeout"), Value::duration);
    let retry = read(table.get("retry"), |v| v.table("`retry`").and_then(retry));
    let rate = read(table.get("rate"), |v| v.table("`rate`").and_then(rate));
    let on_ambiguous = read(table.get("on_ambiguous"), on_ambiguous);
    Some(Common {
        concurrency: concurrency?,
        timeout: timeout?,
        retry: retry?.unwrap_or_default(),
        rate: rate?,
        on_ambiguous: on_ambiguous?,
        fallback: None,
    })
}

/// `rate = { max = 60, per = "1m" }`.
fn rate(mut table: Table<'_>) -> Option<Rate> {
    let max = table.require("max", "60").and_then(|v| v.integer(1, 1_000_000));
    let per = table.require("per", "\"1m\"").and_then(|v| v.duration());
    table.finish(&keys::RATE);
    Some(Rate { max: usize::try_from(max?).ok()?, per: per? })
}

fn on_ambiguous(value: &Value<'_>) -> Option<OnAmbiguous> {
    match value.text()? {
        "retry" => Some(OnAmbiguous::Retry),
        "park" => Some(OnAmbiguous::Park),
        other => {
            let hint = suggest(other, keys::ON_AMBIGUOUS, "write one of");
            let message = format!("`on_ambiguous` can't be \"{other}\"");
            value.error("bad-choice", message, Some(hint))
        }
    }
}

/// What a key says: none if that is wrong, some none if it isn't there.
fn read<'a, T>(
    value: Option<Value<'a>>,
    read: impl Fn(&Value<'a>) -> Option<T>,
) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(value) => read(&value).map(Some),
    }
}

fn retry(mut table: Table<'_>) -> Option<RetryPolicy> {
    let mut policy = RetryPolicy::default();
    let mut sound = true;
    for (key, slot) in
        [("first", &mut policy.first), ("longest", &mut policy.longest), ("age", &mut policy.age)]
    {
        if let Some(value) = table.get(key) {
            match value.duration() {
                Some(d) => *slot = d,
                None => sound = false,
            }
        }
    }
    if let Some(value) = table.get("attempts") {
        match value.integer(1, 100_000).and_then(|n| u32::try_from(n).ok()) {
            Some(n) => policy.attempts = n,
            None => sound = false,
        }
    }
    if sound && policy.first > policy.longest {
        if table.peek("longest").is_some() && table.peek("first").is_some() {
            let message = "`retry`: `first` is longer than `longest`";
            table.report.error("out-of-range", table.span.clone(), message, None);
            sound = false;
        } else {
            // Only one of them was written: the other's default gives way.
            let written_first = table.peek("first").is_some();
            let both = if written_first { policy.first } else { policy.longest };
            (policy.first, policy.longest) = (both, both);
        }
    }
    table.finish(&keys::RETRY);
    sound.then_some(policy)
}

fn check_fallbacks(report: &Report, declared: &[Declared]) {
    let names: Vec<&str> = declared.iter().map(|d| &*d.name).collect();
    for destination in declared {
        let Some(fallback) = &destination.fallback else { continue };
        let to = &*fallback.value.to;
        if to == destination.name {
            let message = format!("destination \"{}\" is its own fallback", destination.name);
            report.error("own-fallback", fallback.span.clone(), message, None);
        } else if !names.contains(&to) {
            unknown(report, to, fallback.span.clone(), &names);
        }
    }
}

/// Notes that there is no destination `name`.
pub(super) fn unknown(report: &Report, name: &str, span: Range<usize>, names: &[&str]) {
    report.error(
        "unknown-destination",
        span,
        format!("there is no destination \"{name}\""),
        Some(suggest(name, names, "the destinations are")),
    );
}
