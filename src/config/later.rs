//! Keys of the documented format that this version reads but does not carry out yet: their shape is checked, and
//! each gives a warning that says what happens instead. Nothing is ignored silently.

use super::destinations;
use super::keys;
use super::reader::{Report, Table, Value, suggest};

/// The code of every warning about such a key.
pub(super) const CODE: &str = "not-applied-yet";

/// What the keys of a rule may refer to.
pub(super) struct Names<'n> {
    pub(super) schedules: &'n [&'n str],
    pub(super) destinations: &'n [&'n str],
}

/// Reads `[schedules.NAME]` and gives their names.
pub(super) fn schedules<'a>(root: &mut Table<'a>) -> Vec<&'a str> {
    let Some(section) = root.get("schedules").and_then(|v| v.table("[schedules]")) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for (name, value) in section.entries() {
        names.push(name);
        let Some(mut table) = value.table(format!("schedule \"{name}\"")) else { continue };
        let message =
            format!("schedule \"{name}\" is not applied by this version: no message waits for it");
        table.report.warning(CODE, value.key_span.clone(), message, None);
        if let Some(hours) = table.require("hours", "\"20:00-08:00\"") {
            each_text(&hours, is_hours, "bad-hours", "write a range such as \"20:00-08:00\"");
        }
        if let Some(days) = table.get("days") {
            each_text(&days, is_days, "bad-days", "write days or ranges such as \"mon-fri, sun\"");
        }
        if let Some(zone) = table.get("zone") {
            let hint = "write a name of the time zone database, such as \"Europe/Berlin\"";
            each_text(&zone, |z| jiff::tz::TimeZone::get(z).is_ok(), "unknown-time-zone", hint);
        }
        table.finish(&keys::SCHEDULE);
    }
    names
}

/// Reads `limit`, `overflow`, `quiet` and `once_per` of a rule.
pub(super) fn of_rule(table: &mut Table<'_>, names: &Names<'_>) {
    let report = table.report;
    let warn = |value: &Value<'_>, message: &str| {
        report.warning(CODE, value.key_span.clone(), message, None);
    };
    if let Some(value) = table.get("limit") {
        warn(&value, "`limit` is not applied by this version: every match is sent at once");
        limit(&value);
    }
    if let Some(value) = table.get("overflow") {
        warn(&value, "`overflow` is not applied by this version: every match is sent at once");
        if let Some(mut t) = value.table("`overflow`") {
            if let Some(digest) = t.require("digest", "\"1h\"") {
                digest.duration();
            }
            t.finish(&keys::OVERFLOW);
        }
    }
    if let Some(value) = table.get("quiet") {
        warn(
            &value,
            "`quiet` is not applied by this version: messages are sent at any time of day",
        );
        quiet(&value, report, names);
    }
    if let Some(value) = table.get("once_per") {
        warn(&value, "`once_per` is not applied by this version: every match is sent");
        if !value.is_text() && !value.is_table() {
            value.wrong_type::<()>("text or a table");
        }
    }
}

fn limit(value: &Value<'_>) {
    let Some(mut table) = value.table("`limit`") else { return };
    if let Some(max) = table.require("max", "5") {
        max.integer(1, 1_000_000);
    }
    if let Some(per) = table.require("per", "\"1h\"") {
        per.duration();
    }
    if let Some(by) = table.get("by") {
        by.texts();
    }
    table.finish(&keys::LIMIT);
}

fn quiet(value: &Value<'_>, report: &Report, names: &Names<'_>) {
    let Some(mut table) = value.table("`quiet`") else { return };
    let during = table.require("during", "\"nights\"").and_then(|v| v.texts());
    for schedule in during.unwrap_or_default() {
        if !names.schedules.contains(&schedule.value) {
            report.error(
                "unknown-schedule",
                schedule.span,
                format!("there is no schedule \"{}\"", schedule.value),
                Some(suggest(schedule.value, names.schedules, "the schedules are")),
            );
        }
    }
    if let Some(then) = table.get("then") {
        if then.is_table() {
            if let Some(mut t) = then.table("`then`") {
                if let Some(to) = t.require("to", "\"office-mail\"").and_then(|v| v.text_at())
                    && !names.destinations.contains(&to.value)
                {
                    destinations::unknown(report, to.value, to.span, names.destinations);
                }
                t.finish(&keys::THEN);
            }
        } else {
            if let Some(text) = then.text().filter(|t| !keys::QUIET_THEN.contains(t)) {
                let hint = suggest(text, keys::QUIET_THEN, "write one of");
                then.error::<()>("bad-choice", format!("`then` can't be \"{text}\""), Some(hint));
            }
        }
    }
    table.finish(&keys::QUIET);
}

fn each_text(value: &Value<'_>, fits: impl Fn(&str) -> bool, code: &'static str, hint: &str) {
    for text in value.texts().unwrap_or_default() {
        if !fits(text.value) {
            let message = format!("{} can't be {:?}", value.name, text.value);
            value.report.error(code, text.span, message, Some(hint.to_owned()));
        }
    }
}

/// `20:00-08:00`; `24:00` may end a range.
fn is_hours(text: &str) -> bool {
    let minutes = |t: &str| {
        let (h, m) = t.trim().split_once(':')?;
        let digits = |s: &str| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit());
        let (h, m): (u32, u32) =
            (h.parse().ok()?, (digits(h) && digits(m)).then(|| m.parse().ok())??);
        (m < 60).then_some(h * 60 + m)
    };
    let Some((from, to)) = text.split_once('-') else { return false };
    matches!((minutes(from), minutes(to)), (Some(a), Some(b)) if a < 1440 && b <= 1440 && a != b)
}

/// `mon-fri`, `sat, sun`.
fn is_days(text: &str) -> bool {
    let day = |t: &str| ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].contains(&t.trim());
    text.split(',').all(|part| match part.split_once('-') {
        Some((from, to)) => day(from) && day(to),
        None => day(part),
    })
}

#[cfg(test)]
mod tests_of_shapes {
    use super::*;

    #[test]
    fn hours_and_days_are_ranges() {
        assert!(is_hours("20:00-08:00") && is_hours("00:00-24:00"));
        for text in ["", "20-8", "20:00", "20:00-20:00", "24:00-08:00", "20:60-08:00", "2:00-08:00"]
        {
            assert!(!is_hours(text), "{text}");
        }
        assert!(is_days("mon-sun") && is_days("mon-fri, sun") && is_days("sat"));
        assert!(!is_days("monday") && !is_days("") && !is_days("mon-"));
    }
}
