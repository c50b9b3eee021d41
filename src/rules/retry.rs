//! When to try again, and when to give up. Pure: the caller brings the time, the chance and the answer's hint.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::duration;

/// How a destination is tried again after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The upper bound of the first wait; it doubles with each attempt.
    pub first: Duration,
    /// No wait of ours is longer than this. A provider's own wait hint may be.
    pub longest: Duration,
    /// After so many attempts the notification is given up.
    pub attempts: u32,
    /// After so long since the notification was owed it is given up.
    pub age: Duration,
}

impl Default for RetryPolicy {
    /// Three days of trying, a weekend's outage: up to 2 s at first, up to 15 min later; the attempts are a backstop.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            longest: Duration::from_secs(15 * 60),
            attempts: 1_000,
            age: Duration::from_secs(3 * 24 * 3600),
        }
    }
}

/// What follows a failed attempt that may be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The next attempt is due then.
    At(Timestamp),
    /// No more attempts; the reason, for a person.
    GiveUp(String),
}

/// A provider that asks for more patience than this is asked again earlier.
pub const LONGEST_HINT: Duration = Duration::from_secs(24 * 3600);

/// No wait is shorter, so that a fast refusal can't become a busy loop.
const SHORTEST: Duration = Duration::from_millis(100);

/// When to try again after `attempt` attempts (1 after the first) of a notification owed since `owed_since`.
///
/// Full jitter: a wait is evenly spread below a bound that doubles from [`RetryPolicy::first`] to
/// [`RetryPolicy::longest`], so that notifications that failed together don't return together. A provider's `hint` is a
/// lower bound; a tenth of the hint, at most 30 s, is added as jitter. `random` is a number in `0.0..=1.0`.
///
/// A wait that would end past [`RetryPolicy::age`] is shortened to end at it, which gives one last attempt; an attempt
/// at or after that age is the last. A hint past that age gives up at once: to ask earlier would be refused.
pub fn after(
    policy: &RetryPolicy,
    attempt: u32,
    owed_since: Timestamp,
    now: Timestamp,
    hint: Option<Duration>,
    random: f64,
) -> Retry {
    if attempt >= policy.attempts {
        return Retry::GiveUp(format!("gave up after {attempt} attempts"));
    }
    let deadline = owed_since.saturating_add(duration(policy.age)).unwrap_or(Timestamp::MAX);
    if now >= deadline {
        return Retry::GiveUp(format!("gave up after {} without success", readable(policy.age)));
    }
    let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
    let wait = match hint.map(|h| h.min(LONGEST_HINT)) {
        Some(hint) => {
            let jitter = (hint / 10).min(Duration::from_secs(30)).max(Duration::from_millis(500));
            let wait = hint + jitter.mul_f64(random);
            let left = Duration::try_from(deadline.duration_since(now)).unwrap_or_default();
            if hint > left {
                return Retry::GiveUp(format!(
                    "the provider asks to wait {}, past the longest age of {}",
                    readable(hint),
                    readable(policy.age)
                ));
            }
            wait.max(bound(policy, attempt).mul_f64(random))
        }
        None => bound(policy, attempt).mul_f64(random),
    };
    let at = now.saturating_add(duration(wait.max(SHORTEST))).unwrap_or(Timestamp::MAX);
    Retry::At(at.min(deadline))
}

/// The upper bound of our own wait after `attempt` attempts.
pub(crate) fn bound(policy: &RetryPolicy, attempt: u32) -> Duration {
    let factor = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    policy.first.saturating_mul(factor).min(policy.longest)
}

/// `Retry-After` in both of its forms (RFC 9110, 10.2.3): whole seconds, or an HTTP date relative to `at`. A date that
/// has passed is no wait. Seconds with a fraction are not in the RFC but are sent (Discord), so they are read.
pub fn retry_after(value: &str, at: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if value.starts_with(|c: char| c.is_ascii_digit()) {
        return seconds(value);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = Timestamp::try_from(date).ok()?;
    Some(Duration::try_from(date.duration_since(at)).unwrap_or(Duration::ZERO))
}

/// A decimal number of seconds as a duration, bounded by [`LONGEST_HINT`].
pub fn seconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = value.parse::<f64>().ok().filter(|n| plain && n.is_finite())?;
    Some(Duration::from_secs_f64(number.min(LONGEST_HINT.as_secs_f64())))
}

/// A duration as a person says it: `24h`, `15m`, `90s`.
fn readable(d: Duration) -> String {
    match d.as_secs() {
        s if s >= 3600 && s % 3600 == 0 => format!("{}h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Timestamp {
        "2026-04-05T14:00:00Z".parse().unwrap()
    }

    /// A day of trying.
    fn a_day() -> RetryPolicy {
        RetryPolicy { attempts: 250, age: Duration::from_secs(24 * 3600), ..RetryPolicy::default() }
    }

    fn wait(retry: Retry, now: Timestamp) -> Duration {
        match retry {
            Retry::At(at) => Duration::try_from(at.duration_since(now)).unwrap(),
            Retry::GiveUp(why) => panic!("{why}"),
        }
    }

    #[test]
    fn the_bound_doubles_up_to_the_longest() {
        let policy = a_day();
        let bounds: Vec<u64> = [1, 2, 3, 9, 10, 40, 200]
            .map(|n| wait(after(&policy, n, start(), start(), None, 1.0), start()).as_secs())
            .to_vec();
        assert_eq!(bounds, [2, 4, 8, 512, 900, 900, 900]);
    }

    #[test]
    fn attempts_and_age_end_it_with_a_reason() {
        let policy = a_day();
        let give_up = |attempt, now| match after(&policy, attempt, start(), now, None, 0.5) {
            Retry::GiveUp(why) => why,
            Retry::At(at) => panic!("{at}"),
        };
        assert_eq!(give_up(250, start()), "gave up after 250 attempts");
        let later = start() + jiff::SignedDuration::from_hours(24);
        assert_eq!(give_up(3, later), "gave up after 24h without success");
    }

    #[test]
    fn the_last_wait_ends_at_the_longest_age() {
        let policy = a_day();
        let deadline = start() + jiff::SignedDuration::from_hours(24);
        let now = deadline - jiff::SignedDuration::from_secs(10);
        assert_eq!(after(&policy, 50, start(), now, None, 1.0), Retry::At(deadline));
        let hint = Some(Duration::from_secs(11));
        assert!(matches!(after(&policy, 50, start(), now, hint, 1.0), Retry::GiveUp(_)));
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let at: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        let cases = [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1_500)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60_000)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("99999999999999999999", Some(86_400_000)),
            ("-5", None),
            ("1e3", None),
            ("soon", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let got = retry_after(text, at).map(|d| d.as_millis());
            assert_eq!(got, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_past_its_bounds(
            attempt in 1u32..1000, hint in proptest::option::of(0u64..200_000), random in 0.0f64..=1.0, aged in 0i64..100_000,
        ) {
            let policy = a_day();
            let now = start() + jiff::SignedDuration::from_secs(aged);
            let deadline = start() + duration(policy.age);
            let hint = hint.map(Duration::from_secs);
            match after(&policy, attempt, start(), now, hint, random) {
                Retry::At(at) => {
                    prop_assert!(attempt < policy.attempts && at > now && at <= deadline);
                    let waited = Duration::try_from(at.duration_since(now)).unwrap();
                    prop_assert!(waited >= hint.unwrap_or_default().min(LONGEST_HINT));
                    let most = policy.longest.max(hint.unwrap_or_default() + Duration::from_secs(31));
                    prop_assert!(waited <= most, "{waited:?}");
                }
                Retry::GiveUp(_) => prop_assert!(
                    attempt >= policy.attempts || now >= deadline
                        || hint.is_some_and(|h| now + duration(h.min(LONGEST_HINT)) > deadline)
                ),
            }
        }

        #[test]
        fn no_header_makes_the_parser_fail(text in ".{0,40}") {
            let _ = retry_after(&text, start());
        }
    }
}
