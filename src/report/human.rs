//! Sizes, counts and ages as people read them.

use std::{cmp::Ordering, time::Duration};

use jiff::Timestamp;

/// Writes bytes in decimal units with three digits: `46.1 MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut whole, mut tenths, mut unit) = (bytes, 0, "B");
    for next in UNITS {
        if whole < 1000 {
            break;
        }
        (whole, tenths, unit) = (whole / 1000, whole % 1000 / 100, next);
    }
    if whole < 100 { format!("{whole}.{tenths} {unit}") } else { format!("{whole} {unit}") }
}

/// Writes a number with its noun: `1 file`, `63,440 files`.
pub fn count(number: u64, noun: &str) -> String {
    match (number, noun) {
        (1, _) => format!("1 {noun}"),
        (_, _) if noun.ends_with('y') && !noun.ends_with("ay") && !noun.ends_with("ey") => {
            format!("{} {}ies", grouped(number), noun.trim_end_matches('y'))
        }
        _ => format!("{} {noun}s", grouped(number)),
    }
}

/// Writes a number with a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Orders names as people do: digits that stand together count as a number, so that `-1`, `-2`, `-10` follow each other.
pub fn order(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (of_left, of_right) = (piece(left), piece(right));
        if of_left.is_empty() || of_right.is_empty() {
            // the shorter one first; what differs by zeros alone as its bytes do
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        }
        let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let found = if digits(of_left) && digits(of_right) {
            let (x, y) = (of_left.trim_start_matches('0'), of_right.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            of_left.cmp(of_right)
        };
        if found.is_ne() {
            return found;
        }
        left = left.strip_prefix(of_left).unwrap_or_default();
        right = right.strip_prefix(of_right).unwrap_or_default();
    }
}

/// Returns the digits that a text begins with, or else its first character.
fn piece(text: &str) -> &str {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let first = text.chars().next().map_or(0, char::len_utf8);
    text.get(..digits.max(first)).unwrap_or_default()
}

/// Writes a time in its largest unit, and the next one where the number is small: `2 h 5 min`, `9 days`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 1 => "less than a second".into(),
        () if seconds < 120 => format!("{seconds} s"),
        () if minutes < 120 => format!("{minutes} min"),
        () if hours < 10 && minutes % 60 > 0 => format!("{hours} h {} min", minutes % 60),
        () if hours < 48 => format!("{hours} h"),
        () => format!("{days} days"),
    }
}

/// Writes how long ago something was, or how long it still takes.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - then.as_second();
    match u64::try_from(seconds) {
        Ok(past) => format!("{} ago", span(Duration::from_secs(past))),
        Err(_) => format!("in {}", span(Duration::from_secs(seconds.unsigned_abs()))),
    }
}

/// Writes a time to the second, in UTC: `2026-11-20 13:29:52Z`.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_each_other_as_people_count() {
        let rising =
            ["", "a", "a-01", "a-1", "a-1:x", "a-2", "a-19", "a-20", "a-20b", "a-100", "a:1", "b", "é"];
        for (n, a) in rising.iter().enumerate() {
            for (m, b) in rising.iter().enumerate() {
                assert_eq!(order(a, b), n.cmp(&m), "{a} {b}");
            }
        }
    }

    #[test]
    fn numbers_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (46_123_456, "46.1 MB"),
            (999_999, "999 kB"),
            (123_456_789_012, "123 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "repository"), "0 repositories");
        assert_eq!(count(63_440, "package"), "63,440 packages");
        assert_eq!(grouped(1_000_000), "1,000,000");
        for (seconds, text) in
            [(0, "less than a second"), (119, "119 s"), (7500, "2 h 5 min"), (200_000, "2 days")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        let at = |s| Timestamp::from_second(s).unwrap();
        assert_eq!(age(at(0), at(90)), "90 s ago");
        assert_eq!(age(at(90), at(0)), "in 90 s");
        assert_eq!(time(at(0)), "1970-01-01 00:00:00Z");
    }
}
