//! Durations, sizes, addresses and names as a person writes them.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Value;
use crate::clock::parse_duration;

/// The units of sizes, with their bytes.
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// `64KiB`, `1MB`, `512B`.
pub(super) fn parse_size(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = text.get(digits..)?.trim_start();
    let unit = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    usize::try_from(number.checked_mul(unit)?).ok()
}

/// Whether `name` can stand in a URL, a file name and a metric: 1 to 64 of `a-z 0-9 - _`, a letter or digit first.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    matches!(name.as_bytes(), [first, rest @ ..]
        if first.is_ascii_alphanumeric() && fits(first) && rest.len() < 64 && rest.iter().all(fits))
}

impl Value<'_> {
    /// A duration longer than zero.
    pub(super) fn duration(&self) -> Option<Duration> {
        let Some(text) = self.value.as_str() else {
            return self.wrong_type("a duration such as \"10s\"");
        };
        match parse_duration(text) {
            Some(d) if d.is_zero() => {
                self.error("out-of-range", format!("{} must be longer than zero", self.name), None)
            }
            Some(d) => Some(d),
            None => self.error(
                "bad-duration",
                format!("{} is no duration: {text:?}", self.name),
                Some(
                    "write a number and a unit (ms, s, m, h, d), such as \"10s\" or \"1h30m\""
                        .to_owned(),
                ),
            ),
        }
    }

    /// A size in bytes, `least` or more.
    pub(super) fn size(&self, least: usize) -> Option<usize> {
        let hint = "write a number and a unit (B, KB, MB, GB, KiB, MiB, GiB), such as \"64KiB\"";
        let size = match self.value {
            toml::de::DeValue::Integer(_) => {
                usize::try_from(self.integer(0, 1 << 40)?).unwrap_or(usize::MAX)
            }
            _ => {
                let Some(text) = self.value.as_str() else {
                    return self.wrong_type("a size such as \"64KiB\"");
                };
                let Some(size) = parse_size(text) else {
                    let message = format!("{} is no size: {text:?}", self.name);
                    return self.error("bad-size", message, Some(hint.to_owned()));
                };
                size
            }
        };
        if size < least {
            let message = format!("{} must be at least {least} bytes", self.name);
            return self.error("out-of-range", message, None);
        }
        Some(size)
    }
}

/// An address to listen on, or what to write instead.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let example = || "write an IP address and a port, such as `127.0.0.1:8080`".to_owned();
    let Some((host, port)) = text.rsplit_once(':') else {
        return match (text.parse::<u16>(), text.parse::<std::net::IpAddr>()) {
            (Ok(port), _) => Err(format!("write `\"127.0.0.1:{port}\"`")),
            (_, Ok(ip)) => Err(format!("did you mean `{ip}:8080`?")),
            _ => Err(example()),
        };
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    match (host, port.parse::<u16>()) {
        ("localhost", Ok(port)) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        ("" | "*", Ok(port)) => Err(format!("for every interface write `0.0.0.0:{port}`")),
        _ => Err(example()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_numbers_with_units() {
        for (text, millis) in [
            ("2ms", 2),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1d12h30m15s250ms", 131_415_250),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "10", "s", "1.5h", "-1s", "1 s", "1m1h", "1s1s", "1y", "99999999999d", "１s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_units() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("512B", 512),
            ("1 kb", 1_000),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "12", "MiB", "1.5MB", "-1B", "99999999999999GiB", "1TB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_say_what_to_write() {
        assert_eq!(parse_address("localhost:80").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(parse_address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(parse_address(":8080").unwrap_err(), "for every interface write `0.0.0.0:8080`");
        assert_eq!(parse_address("8080").unwrap_err(), "write `\"127.0.0.1:8080\"`");
        assert!(parse_address("1.2.3.4:99999").is_err());
        assert!(parse_address("example.com:1").is_err());
    }

    #[test]
    fn names_fit_into_a_url() {
        assert!(
            is_name("office-mail") && is_name("a") && is_name("0x_1") && is_name(&"a".repeat(64))
        );
        for name in ["", "-a", "_a", "A", "a b", "a/b", "ä", "a.b"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(!is_name(&"a".repeat(65)));
    }
}
