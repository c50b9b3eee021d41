//! Times as people give them on the command line: a moment, a day, or how long ago.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::clock::{self, Clock};

/// Reads an RFC 3339 time, a date (its first moment here), or an age such as `7d`, `2h`, `30m`.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    parse_at(text, Clock::system().now(), &TimeZone::system())
}

fn parse_at(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    if let Some(age) = age(text) {
        let past = now.saturating_sub(clock::duration(age));
        return past.map_err(|_| format!("{text} is before all time"));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    // A date with a time but no zone would parse as a date: half of it would be ignored without a word.
    if text.len() == 10
        && let Ok(day) = text.parse::<civil::Date>()
        && let Ok(start) = day.to_zoned_datetime(zone.clone())
    {
        return Ok(start.timestamp());
    }
    Err("write a time such as 2026-04-05T14:04:00Z, a date such as 2026-04-05, or an age such as 7d or 2h"
        .to_owned())
}

fn age(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

/// A moment as a table shows it: this machine's zone, to the second, without the year.
pub(crate) fn short(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%m-%d %H:%M:%S").to_string()
}

/// As [`short`], whole and with the zone's offset: where a single thing is shown.
pub(crate) fn full(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_ages_are_understood() {
        let now: Timestamp = "2026-04-05T14:04:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("2026-04-01T08:00:00Z", "2026-04-01T08:00:00Z"),
            ("2026-04-01T08:00:00+02:00", "2026-04-01T06:00:00Z"),
            ("2026-04-01", "2026-03-31T22:00:00Z"),
            ("7d", "2026-03-29T14:04:00Z"),
            ("2h", "2026-04-05T12:04:00Z"),
            ("90s", "2026-04-05T14:02:30Z"),
            ("1w", "2026-03-29T14:04:00Z"),
        ] {
            let at = parse_at(text, now, &zone).unwrap();
            assert_eq!(at.to_string(), expected, "{text}");
        }
        let wrong =
            ["", "7", "d", "7 d", "7y", "-7d", "yesterday", "2026-04-05T14:04", "2026-13-01"];
        for text in wrong {
            let message = parse_at(text, now, &zone).unwrap_err();
            assert!(message.contains("7d"), "{text}: {message}");
        }
    }

    #[test]
    fn an_age_beyond_all_time_is_an_error_or_the_beginning() {
        let now: Timestamp = "2026-04-05T14:04:00Z".parse().unwrap();
        for text in ["99999999999w", "18446744073709551615s", "99999999999999999999999s"] {
            // No panic is what counts.
            let _ = parse_at(text, now, &TimeZone::UTC);
        }
    }
}
