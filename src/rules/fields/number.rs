//! Numbers by their digits: compared exactly, never through a float.
//!
//! Every JSON number and every number in a condition is taken as the decimal that its digits say. So `2`, `2.0` and
//! `20e-1` are the same number, `18446744073709551615` and `18446744073709551616` are not, and neither are `0.1` and
//! `0.10000000000000001` (which are the same double). No arithmetic is done with numbers, so nothing is ever rounded.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// An exact number. One value has one form: whatever is whole and fits is an [`Number::Int`].
#[derive(Clone, Copy, Debug)]
pub enum Number<'a> {
    /// A whole number that fits.
    Int(i64),
    /// Any other: a fraction, or beyond 64 bits.
    Decimal(Decimal<'a>),
}

/// `0.DIGITS` times ten to the power of `exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'a> {
    negative: bool,
    /// Saturates at about 4.6e18 either way; numbers beyond that differ only by their digits.
    exponent: i64,
    /// From the first digit that isn't zero to the last one; there may be a `.` among them, which means nothing.
    digits: &'a str,
}

const EXPONENT_LIMIT: i64 = i64::MAX / 2;

impl<'a> Number<'a> {
    /// Reads a number in JSON's notation. The fraction or the whole part may also be empty (`.5`). None if it is not
    /// a number.
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() <= 19
            && !text.starts_with('+')
            && let Ok(int) = text.parse()
        {
            return Some(Self::Int(int));
        }
        let (negative, unsigned) =
            text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, power) = match unsigned.find(['e', 'E']) {
            Some(at) => (&unsigned[..at], power(&unsigned[at + 1..])?),
            None => (unsigned, 0),
        };
        let mut dot = None;
        let mut first = None;
        let mut last = 0;
        let mut count = 0_usize;
        for (at, byte) in mantissa.bytes().enumerate() {
            match byte {
                b'.' if dot.is_none() => dot = Some(at),
                b'0'..=b'9' => {
                    count += 1;
                    if byte != b'0' {
                        first.get_or_insert(at);
                        last = at;
                    }
                }
                _ => return None,
            }
        }
        if count == 0 {
            return None;
        }
        let Some(first) = first else { return Some(Self::Int(0)) };
        let whole = i64::try_from(dot.unwrap_or(mantissa.len())).ok()?;
        let at = i64::try_from(first).ok()?;
        // Behind the dot, the dot itself is one byte further.
        let place = if at < whole { whole - at } else { whole + 1 - at };
        let exponent = place.saturating_add(power).clamp(-EXPONENT_LIMIT, EXPONENT_LIMIT);
        let decimal = Decimal { negative, exponent, digits: &mantissa[first..=last] };
        Some(decimal.as_int().map_or(Self::Decimal(decimal), Self::Int))
    }
}

/// The power of ten behind an `e`.
fn power(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
    }
    let value = value.min(EXPONENT_LIMIT);
    Some(if negative { -value } else { value })
}

impl Decimal<'_> {
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.digits.bytes().filter(|byte| *byte != b'.')
    }

    /// The whole part's magnitude if it has at most 19 digits, and whether a fraction follows.
    fn whole(&self) -> Option<(i128, bool)> {
        let wanted = match usize::try_from(self.exponent) {
            Ok(places @ 0..=19) => places,
            Ok(_) => return None,
            Err(_) => return Some((0, true)),
        };
        let mut digits = self.digits();
        let mut value = 0_i128;
        for _ in 0..wanted {
            value = value * 10 + i128::from(digits.next().unwrap_or(b'0') - b'0');
        }
        Some((value, digits.next().is_some()))
    }

    fn as_int(&self) -> Option<i64> {
        match self.whole()? {
            (value, false) => i64::try_from(if self.negative { -value } else { value }).ok(),
            (_, true) => None,
        }
    }

    fn cmp_int(&self, int: i64) -> Ordering {
        let sign = if self.negative { Ordering::Less } else { Ordering::Greater };
        let Some((whole, _)) = self.whole() else { return sign };
        // It is never equal to an i64, so where the whole parts are the same there is a fraction, and that points
        // away from zero.
        let whole = if self.negative { -whole } else { whole };
        whole.cmp(&i128::from(int)).then(sign)
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        self.exponent.cmp(&other.exponent).then_with(|| self.digits().cmp(other.digits()))
    }
}

/// A number that owns its digits.
#[derive(Clone, Debug)]
pub struct OwnedNumber {
    /// Filled for what is an integer: the common case needs no reading of digits.
    int: Option<i64>,
    decimal: Box<str>,
}

impl From<Number<'_>> for OwnedNumber {
    fn from(number: Number<'_>) -> Self {
        match number {
            Number::Int(int) => Self { int: Some(int), decimal: Box::default() },
            Number::Decimal(decimal) => {
                let sign = if decimal.negative { "-" } else { "" };
                let digits: String = decimal.digits().map(char::from).collect();
                let text = format!("{sign}0.{digits}e{}", decimal.exponent);
                Self { int: None, decimal: text.into() }
            }
        }
    }
}

impl OwnedNumber {
    /// The number, for comparing.
    pub fn get(&self) -> Number<'_> {
        match self.int {
            Some(int) => Number::Int(int),
            // The text was made of a number, so it is one.
            None => Number::parse(&self.decimal).unwrap_or(Number::Int(0)),
        }
    }

    /// The number if it is whole and fits.
    pub fn int(&self) -> Option<i64> {
        self.int
    }
}

impl PartialEq for OwnedNumber {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for OwnedNumber {}

impl Hash for OwnedNumber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.get().hash(state);
    }
}

impl Ord for Number<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Decimal(a), Self::Int(b)) => a.cmp_int(*b),
            (Self::Int(a), Self::Decimal(b)) => b.cmp_int(*a).reverse(),
            (Self::Decimal(a), Self::Decimal(b)) => match (a.negative, b.negative) {
                (false, false) => a.cmp_magnitude(b),
                (true, true) => b.cmp_magnitude(a),
                (false, true) => Ordering::Greater,
                (true, false) => Ordering::Less,
            },
        }
    }
}

impl PartialOrd for Number<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number<'_> {}

impl Hash for Number<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(int) => int.hash(state),
            Self::Decimal(decimal) => {
                (decimal.negative, decimal.exponent).hash(state);
                decimal.digits().for_each(|digit| state.write_u8(digit));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn one_value_written_in_many_ways_is_one_number() {
        for same in [
            &["0", "-0", "0.0", "0e9", "-0.000", "0E-7"][..],
            &["100", "1e2", "1E+2", "100.0", "0.1e3", "10000e-2", "0.0100e4"],
            &["18446744073709551616", "18446744073709551616.0", "1.8446744073709551616e19"],
            &["-9223372036854775808", "-9.223372036854775808e18"],
            &["12.5", "12.50", "1250e-2", "0.125e2"],
        ] {
            let distinct: HashSet<_> = same.iter().map(|text| number(text)).collect();
            assert_eq!(distinct.len(), 1, "{same:?}");
        }
        assert!(matches!(number("-9.223372036854775808e18"), Number::Int(i64::MIN)));
    }

    #[test]
    fn numbers_beyond_doubles_and_64_bits_stand_in_order() {
        let sorted = [
            "-1e99999999999999999999999",
            "-123456789012345678901234567890",
            "-9223372036854775809",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000001",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740992.5",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775807.1",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            "1e400",
            "1e99999999999999999999999",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(number(a).cmp(&number(b)), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-", ".", "1.2.3", "1e", "e5", "1e+", "0x1", "NaN", "+1", "1 ", "--1"] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
    }

    /// The oracle: both numbers as whole multiples of ten to the -60, as digit strings of one length.
    fn fixed(negative: bool, whole: &str, fraction: &str, power: i32) -> (bool, String) {
        let digits = format!("{whole}{fraction}");
        let zeros = 60 - i32::try_from(fraction.len()).unwrap() + power;
        let text = format!("{digits}{}", "0".repeat(usize::try_from(zeros).unwrap()));
        (negative && text.bytes().any(|b| b != b'0'), format!("{text:0>160}"))
    }

    proptest! {
        #[test]
        fn comparison_agrees_with_long_hand(
            a in (any::<bool>(), "(0|[1-9][0-9]{0,30})", "[0-9]{0,25}", -30..30),
            b in (any::<bool>(), "(0|[1-9][0-9]{0,30})", "[0-9]{0,25}", -30..30),
            near in any::<bool>(),
        ) {
            let b = if near { (a.0, a.1.clone(), format!("{}0{}", a.2, b.2.get(..1).unwrap_or("")), a.3) } else { b };
            let text = |(n, w, f, p): &(bool, String, String, i32)| {
                let dot = if f.is_empty() { "" } else { "." };
                format!("{}{w}{dot}{f}e{p}", if *n { "-" } else { "" })
            };
            let long = |(n, w, f, p): &(bool, String, String, i32)| fixed(*n, w, f, *p);
            let expected = match (long(&a), long(&b)) {
                ((false, x), (false, y)) => x.cmp(&y),
                ((true, x), (true, y)) => y.cmp(&x),
                ((x, _), (y, _)) => y.cmp(&x),
            };
            prop_assert_eq!(number(&text(&a)).cmp(&number(&text(&b))), expected);
        }

        #[test]
        fn integers_compare_as_integers(a in any::<i128>(), b in any::<i128>(), near in any::<bool>()) {
            let b = if near { a.saturating_add(b % 3) } else { b };
            let (x, y) = (a.to_string(), b.to_string());
            prop_assert_eq!(number(&x).cmp(&number(&y)), a.cmp(&b));
        }

        #[test]
        fn any_text_is_refused_or_read_without_a_panic(text in "[-+.eE0-9x]{0,24}") {
            if let Some(n) = Number::parse(&text) {
                prop_assert_eq!(n, n);
                let owned = OwnedNumber::from(n);
                prop_assert_eq!(owned.get(), n);
            }
        }
    }
}
