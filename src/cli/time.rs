//! Points in time as people type them, and now. Pure but for that.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    At(i64),
    /// So many milliseconds ago.
    Ago(i64),
}

impl When {
    /// `1700000000000`, `2026-11-25`, `2026-11-25T10:30`, `2026-11-25T10:30:05.250Z`, `2026-11-25T10:30:05+02:00` (UTC
    /// if it does not say), or `90s`, `15m`, `2h`, `7d` ago.
    pub fn parse(text: &str) -> Result<When, String> {
        let number = text.parse().ok().filter(|ms: &i64| *ms >= 0).map(When::At);
        number.or_else(|| ago(text)).or_else(|| date_time(text).map(When::At)).ok_or_else(|| {
            format!("\"{text}\" is no time: write 2026-11-25T10:30:00Z, 2h (ago), or milliseconds since 1970")
        })
    }

    pub fn ms(self, now_ms: i64) -> i64 {
        match self {
            When::At(ms) => ms,
            When::Ago(ms) => now_ms.saturating_sub(ms).max(0),
        }
    }
}

/// A length of time for eyes, in its two largest units: `850ms`, `12s`, `3m 20s`, `2h 5m`, `4d 6h`.
pub fn span(ms: i64) -> String {
    let two = |of: i64, unit: &str, part: i64, part_unit: &str| match ms % of / part {
        0 => format!("{}{unit}", ms / of),
        rest => format!("{}{unit} {rest}{part_unit}", ms / of),
    };
    if ms < SECOND_MS {
        format!("{ms}ms")
    } else if ms < MINUTE_MS {
        format!("{}s", ms / SECOND_MS)
    } else if ms < HOUR_MS {
        two(MINUTE_MS, "m", SECOND_MS, "s")
    } else if ms < DAY_MS {
        two(HOUR_MS, "h", MINUTE_MS, "m")
    } else {
        two(DAY_MS, "d", HOUR_MS, "h")
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn ago(text: &str) -> Option<When> {
    let unit = match text.chars().next_back()? {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return None,
    };
    digits(&text[..text.len() - 1])?.checked_mul(unit).map(When::Ago)
}

fn date_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if parts.next().is_some() || !valid {
        return None;
    }
    let (clock, offset) = zone(time)?;
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let second_ms = parts.next().map_or(Some(0), second_ms)?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second_ms > MINUTE_MS {
        return None;
    }
    Some(days_since_1970(year, month, day) * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS + second_ms - offset)
}

/// The time of day without its zone, and how far the zone is ahead of UTC.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (hours, minutes) = time[at + 1..].split_once(':').unwrap_or((&time[at + 1..], "0"));
    let ahead = digits(hours)? * HOUR_MS + digits(minutes)? * MINUTE_MS;
    Some((&time[..at], if time[at..].starts_with('-') { -ahead } else { ahead }))
}

/// `05` or `05.250`; beyond milliseconds it is cut.
fn second_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    digits(fraction)?;
    Some(digits(whole)? * SECOND_MS + digits(&thousandths)?)
}

/// Digits only; no sign. At most twelve, so that nothing overflows.
fn digits(text: &str) -> Option<i64> {
    let sound = (1..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    sound.then(|| text.parse().ok())?
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = |year: i64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(before) - leaps(1969);
    years + (1..month).map(|month| days_in(year, month)).sum::<i64>() + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_numbers_or_spans_before_now() {
        // By `date -u +%s`.
        for (text, ms) in [
            ("0", 0),
            ("1700000000000", 1_700_000_000_000),
            ("1970-01-01", 0),
            ("2026-11-25", 1_795_564_800_000),
            ("2026-11-25T10:30", 1_795_602_600_000),
            ("2026-11-25 10:30:05.25", 1_795_602_605_250),
            ("2024-02-29T23:59:59Z", 1_709_251_199_000),
            ("2026-11-25T10:30:05+02:00", 1_795_595_405_000),
            ("2026-11-25T10:30:05.123456-01:30", 1_795_608_005_123),
            ("2000-03-01T00:00:00z", 951_868_800_000),
        ] {
            assert_eq!(When::parse(text).map(|when| when.ms(0)), Ok(ms), "{text}");
        }
        assert_eq!(When::parse("15m").map(|when| when.ms(1_000_000)), Ok(100_000));
        assert_eq!(When::parse("7d").map(|when| when.ms(1_000_000)), Ok(0));
    }

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (ms, told) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1s"),
            (59_999, "59s"),
            (60_000, "1m"),
            (200_000, "3m 20s"),
            (7_500_000, "2h 5m"),
            (86_400_000, "1d"),
            (367_200_000, "4d 6h"),
        ] {
            assert_eq!(span(ms), told);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "now",
            "-1",
            "1.5",
            "2h30m",
            "h",
            "2023-02-29",
            "2026-13-01",
            "2026-11-25T24:00",
            "2026-11-25T10",
            "26-11-25",
            "1é",
            "2026-11-25T10:30+é",
        ] {
            assert!(When::parse(wrong).is_err(), "{wrong}");
        }
    }
}
