//! Points in time as people type them, and now. Pure but for that.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// No zone is farther from UTC, with room; Java takes as much.
const ZONE_HOURS_MAX: i64 = 18;

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970.
    At(i64),
    /// So many milliseconds ago.
    Ago(i64),
}

impl When {
    /// `1700000000000`, `2026-11-25`, `2026-11-25T10:30`, `2026-11-25T10:30:05.250Z`, `2026-11-25T10:30:05+02:00`, `+0200` or
    /// `+02` (UTC if it does not say), or `90s`, `15m`, `2h`, `7d` ago.
    pub fn parse(text: &str) -> Result<When, String> {
        span_ms(text).map(When::Ago).or_else(|| point_ms(text).map(When::At)).ok_or_else(|| {
            format!("\"{text}\" is no time: write 2026-11-25T10:30:00Z, 2h (ago), or milliseconds since 1970")
        })
    }

    /// As [`When::parse`], without spans.
    pub fn parse_point(text: &str) -> Result<When, String> {
        let point = point_ms(text).map(When::At);
        point.ok_or_else(|| format!("\"{text}\" is no time: write 2026-11-25T10:30:00Z, or milliseconds since 1970"))
    }

    /// So long ago: `90s`, `15m`, `2h`, `7d`, or as ISO 8601 and Kafka's tools have it, `P1DT2H`.
    pub fn parse_span(text: &str) -> Result<When, String> {
        let span = span_ms(text).or_else(|| iso_span_ms(text)).map(When::Ago);
        span.ok_or_else(|| format!("\"{text}\" is no length of time: write 90s, 15m, 2h, 7d, or P1DT2H30M"))
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

/// A point in time for eyes, to the second: `2026-11-25 10:30:05 UTC`.
pub fn utc(ms: i64) -> String {
    let (mut day, in_day_ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (mut year, mut month) = (1970, 1);
    while day >= 365 + i64::from(is_leap(year)) {
        day -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    while day >= days_in(year, month) {
        day -= days_in(year, month);
        month += 1;
    }
    let clock = |unit_ms: i64, of: i64| in_day_ms / unit_ms % of;
    let (hour, minute, second) = (clock(HOUR_MS, 24), clock(MINUTE_MS, 60), clock(SECOND_MS, 60));
    format!("{year:04}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", day + 1)
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn point_ms(text: &str) -> Option<i64> {
    text.parse().ok().filter(|ms: &i64| *ms >= 0).or_else(|| date_time(text))
}

fn span_ms(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => SECOND_MS,
        'm' => MINUTE_MS,
        'h' => HOUR_MS,
        'd' => DAY_MS,
        _ => return None,
    };
    digits(&text[..text.len() - 1])?.checked_mul(unit)
}

/// `P1DT2H3M4.5S`, of which any part may be left out, but not all.
fn iso_span_ms(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix('P')?;
    let (mut total_ms, mut in_day, mut past) = (0_i64, false, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T').filter(|time| !in_day && !time.is_empty()) {
            (rest, in_day) = (time, true);
            continue;
        }
        let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = rest.split_at(at);
        // In this order, each once.
        let (order, ms) = match (unit.chars().next()?, in_day) {
            ('D', false) => (1, digits(number)?.checked_mul(DAY_MS)?),
            ('H', true) => (2, digits(number)?.checked_mul(HOUR_MS)?),
            ('M', true) => (3, digits(number)?.checked_mul(MINUTE_MS)?),
            ('S', true) => (4, second_ms(number)?),
            _ => return None,
        };
        if order <= past {
            return None;
        }
        (past, total_ms, rest) = (order, total_ms.checked_add(ms)?, &unit[1..]);
    }
    (past > 0).then_some(total_ms)
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
    // `+02`, `+0200` as `date +%z` writes it, or `+02:00`.
    let (hours, minutes) = match &time[at + 1..] {
        both if both.len() == 4 => both.split_at_checked(2)?,
        both => both.split_once(':').unwrap_or((both, "00")),
    };
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    if hours > ZONE_HOURS_MAX || minutes > 59 {
        return None;
    }
    let ahead = hours * HOUR_MS + minutes * MINUTE_MS;
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
            ("2026-11-25T10:30:05+0200", 1_795_595_405_000),
            ("2026-11-25T10:30:05+02", 1_795_595_405_000),
            ("2026-11-25T10:30:05-0130", 1_795_608_005_000),
            ("2026-11-25T10:30:05.123456-01:30", 1_795_608_005_123),
            ("2000-03-01T00:00:00z", 951_868_800_000),
        ] {
            assert_eq!(When::parse(text).map(|when| when.ms(0)), Ok(ms), "{text}");
        }
        assert_eq!(When::parse("15m").map(|when| when.ms(1_000_000)), Ok(100_000));
        assert_eq!(When::parse("7d").map(|when| when.ms(1_000_000)), Ok(0));
    }

    #[test]
    fn a_point_in_time_is_told_as_it_is_read() {
        for (ms, told) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_795_602_605_250, "2026-11-25 10:30:05 UTC"),
            (951_868_800_000, "2000-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(utc(ms), told);
            let read = told.strip_suffix(" UTC").map(|told| When::parse_point(told).map(|when| when.ms(0)));
            assert_eq!(read, Some(Ok(ms / SECOND_MS * SECOND_MS)));
        }
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
            "2026-11-25T10:30+020",
            "2026-11-25T10:30+2",
            "2026-11-25T10:30+200",
            "2026-11-25T10:30+2:00",
            "2026-11-25T10:30+02:0",
            "2026-11-25T10:30+99:99",
            "2026-11-25T10:30+1901",
            "2026-11-25T10:30+0060",
            "2026-11-25T10:30+02:00:00",
            "2026-11-25T10:30+1é1",
        ] {
            assert!(When::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_no_point_in_time_and_a_number_without_a_unit_is_no_span() {
        for (text, ms) in [
            ("90s", 90_000),
            ("7d", 7 * DAY_MS),
            ("PT1H", HOUR_MS),
            ("P1DT2H", 26 * HOUR_MS),
            ("P7D", 7 * DAY_MS),
            ("PT2H3M4.5S", 7_384_500),
        ] {
            assert_eq!(When::parse_span(text), Ok(When::Ago(ms)), "{text}");
        }
        let wrong =
            ["3600", "2026-11-27", "", "P", "PT", "P1DT", "P1H", "PT1D", "PT1M2H", "PT1H1H", "1h30m", "PT-1H", "P1é"];
        for wrong in wrong {
            assert!(When::parse_span(wrong).is_err_and(|why| why.contains("90s, 15m, 2h, 7d")), "{wrong}");
        }
        assert_eq!(When::parse_point("1970-01-02"), Ok(When::At(DAY_MS)));
        assert!(When::parse_point("2h").is_err());
    }
}
