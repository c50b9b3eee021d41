//! The helpers of Hookbell's templates. What they give is a value: the channel escapes it like every other.
//!
//! A helper without arguments is the field of its name: `{{duration}}` is the event's `duration` as received, and
//! `{{duration duration}}` the same for a person.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, JsonRender, RenderContext, RenderError, ScopedJson,
};
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::budget::{self, Each, error};
use super::cut;

/// A helper: name, least and most arguments, what it does.
struct Function {
    name: &'static str,
    run: fn(&[&Value]) -> Result<Value, String>,
}

/// Names and numbers of arguments of everything that can be called, for the check at load.
pub(super) const ARITY: [(&str, usize, usize); 22] = [
    ("if", 1, 1),
    ("unless", 1, 1),
    ("each", 1, 1),
    ("with", 1, 1),
    ("lookup", 2, 2),
    ("eq", 2, 2),
    ("ne", 2, 2),
    ("gt", 2, 2),
    ("gte", 2, 2),
    ("lt", 2, 2),
    ("lte", 2, 2),
    ("and", 2, 9),
    ("or", 2, 9),
    ("not", 1, 1),
    ("len", 1, 1),
    ("date", 0, 3),
    ("duration", 0, 1),
    ("truncate", 0, 2),
    ("default", 0, 2),
    ("json", 0, 1),
    ("upper", 0, 1),
    ("lower", 0, 1),
];

/// The helpers that are blocks: `{{#if}}`.
pub(super) const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

const FUNCTIONS: [Function; 7] = [
    Function { name: "date", run: date },
    Function { name: "duration", run: duration },
    Function { name: "truncate", run: truncate },
    Function { name: "default", run: default },
    Function {
        name: "json",
        run: |a| serde_json::to_string(a[0]).map(Value::from).map_err(|e| e.to_string()),
    },
    Function { name: "upper", run: |a| Ok(a[0].render().to_uppercase().into()) },
    Function { name: "lower", run: |a| Ok(a[0].render().to_lowercase().into()) },
];

/// Registers them; takes away what writes to logs or prints unescaped.
pub(super) fn register(registry: &mut Handlebars<'static>) {
    registry.unregister_helper("log");
    registry.unregister_helper("raw");
    registry.register_helper("each", Box::new(Each));
    for function in FUNCTIONS {
        registry.register_helper(function.name, Box::new(function));
    }
}

impl HelperDef for Function {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        ctx: &'rc Context,
        rc: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let arguments: Vec<&Value> =
            h.params().iter().map(handlebars::PathAndJson::value).collect();
        let Some(first) = arguments.first() else {
            return rc.evaluate(ctx, &format!("./{}", self.name));
        };
        budget::work(size(first))?;
        (self.run)(&arguments)
            .map(ScopedJson::Derived)
            .map_err(|e| error(&format!("`{}`: {e}", self.name)))
    }
}

/// About how many bytes a value has.
fn size(value: &Value) -> usize {
    match value {
        Value::String(s) => s.len() + 16,
        Value::Array(list) => list.iter().map(size).sum::<usize>() + 16,
        Value::Object(members) => {
            members.iter().map(|(k, v)| k.len() + size(v)).sum::<usize>() + 16
        }
        _ => 16,
    }
}

/// What `date` prints if no format is given: `2026-04-05 16:00 CEST`.
const DATE: &str = "%Y-%m-%d %H:%M %Z";

/// `{{date startedAt "Europe/Berlin" "%d.%m. %H:%M"}}`: zone and format may be left out; what is no time is shown as it is.
fn date(arguments: &[&Value]) -> Result<Value, String> {
    let value = arguments[0];
    let time = match value {
        Value::String(text) => text.trim().parse::<Timestamp>().ok(),
        // A number this large is in milliseconds: as seconds it would be past the year 5000.
        Value::Number(n) => n.as_i64().and_then(|n| match n.unsigned_abs() {
            0..100_000_000_000 => Timestamp::from_second(n).ok(),
            _ => Timestamp::from_millisecond(n).ok(),
        }),
        _ => None,
    };
    let Some(time) = time else { return Ok(value.clone()) };
    let zone = arguments.get(1).map_or(Ok(TimeZone::UTC), |zone| zone_named(&zone.render()))?;
    let format = arguments.get(2).map_or_else(|| DATE.to_owned(), |f| f.render());
    let zoned = time.to_zoned_datetime(zone);
    strtime::format(&format, &zoned).map(Value::from).map_err(|e| format!("format `{format}`: {e}"))
}

/// A zone by its IANA name, for example `Europe/Berlin`.
pub(super) fn zone_named(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name)
        .map_err(|_| format!("`{name}` is no time zone; write one such as Europe/Berlin"))
}

/// Whether a format can be used, so that a typo is found at load.
pub(super) fn check_format(format: &str) -> Result<(), String> {
    let epoch = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    strtime::format(format, &epoch)
        .map(drop)
        .map_err(|e| format!("`{format}` is no date format: {e}"))
}

/// `{{duration duration}}`: seconds as `1h 2m 3s`; nothing for null, and what is no number as it is.
fn duration(arguments: &[&Value]) -> Result<Value, String> {
    let value = arguments[0];
    let text = match value {
        Value::Number(n) => n.to_string(),
        Value::String(s) => s.trim().to_owned(),
        _ => return Ok(value.clone()),
    };
    let Ok(seconds) = text.split('.').next().unwrap_or_default().parse::<u64>() else {
        return Ok(value.clone());
    };
    let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Ok(match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, m) => format!("{m}m {s}s"),
        (h, m) => format!("{h}h {m}m {s}s"),
    }
    .into())
}

/// `{{truncate summary 200}}`: at most so many characters, the last of them `…`.
fn truncate(arguments: &[&Value]) -> Result<Value, String> {
    let max = match arguments.get(1) {
        None => 200,
        Some(n) => n
            .as_u64()
            .and_then(|n| usize::try_from(n).ok())
            .ok_or("the second argument is a number of characters")?,
    };
    Ok(cut::chars(&arguments[0].render(), max).into_owned().into())
}

/// `{{default customerName "unknown"}}`: the second if the first is null, missing or empty.
fn default(arguments: &[&Value]) -> Result<Value, String> {
    let empty = match arguments[0] {
        Value::Null => true,
        Value::String(s) => s.trim().is_empty(),
        _ => false,
    };
    let other = arguments.get(1).ok_or("it needs a second argument")?;
    Ok(if empty { (*other).clone() } else { arguments[0].clone() })
}
