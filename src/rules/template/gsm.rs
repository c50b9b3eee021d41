//! The alphabet of text messages: what one costs in segments (3GPP TS 23.038, GSM 03.38).
//!
//! One character outside the alphabet turns the whole message into UCS-2, whose segments hold 70 UTF-16 units instead
//! of 160 characters; a message of several segments gives 7 or 3 of them to the header of each.

/// The default alphabet, its national tables left out: no provider here takes them unasked.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// Characters of the extension table, which count twice.
const EXTENDED: &str = "^{}\\[~]|€\u{c}";

/// Whether all of `text` is in the alphabet.
pub fn is_gsm(text: &str) -> bool {
    text.chars().all(|c| septets(c).is_some())
}

/// How many characters of a segment `c` takes; none if it isn't in the alphabet.
fn septets(c: char) -> Option<usize> {
    if c.is_ascii_alphanumeric() || BASIC.contains(c) {
        Some(1)
    } else {
        EXTENDED.contains(c).then_some(2)
    }
}

/// What one character of a message takes, and how much `segments` segments hold, by the message's alphabet.
pub fn measure(text: &str, segments: usize) -> (fn(char) -> usize, usize) {
    let (single, joined): (usize, usize) = if is_gsm(text) { (160, 153) } else { (70, 67) };
    let room = if segments == 1 { single } else { joined.saturating_mul(segments) };
    if is_gsm(text) { (|c| septets(c).unwrap_or(1), room) } else { (char::len_utf16, room) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_decides_how_much_fits() {
        let fits = |text: &str, segments| {
            let (size, room) = measure(text, segments);
            text.chars().map(size).sum::<usize>() <= room
        };
        assert!(is_gsm("Grüße: 5 € [a] @ Ω") && !is_gsm("ó") && !is_gsm("…") && !is_gsm("👍"));
        assert!(fits(&"a".repeat(160), 1) && !fits(&"a".repeat(161), 1));
        assert!(fits(&"€".repeat(80), 1) && !fits(&"€".repeat(81), 1));
        assert!(fits(&"ó".repeat(70), 1) && !fits(&"ó".repeat(71), 1));
        assert!(fits(&"a".repeat(306), 2) && !fits(&"a".repeat(307), 2));
        assert!(fits(&"👍".repeat(67), 2) && !fits(&"👍".repeat(68), 2));
    }
}
