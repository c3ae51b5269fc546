//! How the text of a config becomes a value: Kafka's parsing, ranges and messages. Every core; pure.
//!
//! Invariant: what Kafka 4.3 refuses is refused with its message. Stricter in one place: NaN is no number.

use std::fmt;

use super::error::ConfigError;
use super::table::{ConfigKey, Kind};

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Int(i32),
    Long(i64),
    Double(f64),
    Bool(bool),
    /// One of the texts that its key allows.
    Text(&'static str),
    List(Vec<String>),
    /// One that its key's rule allows.
    Free(String),
}

/// As Kafka describes it: without the spaces that it was given with.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(n) => n.fmt(f),
            Value::Long(n) => n.fmt(f),
            Value::Double(n) => write!(f, "{n:?}"),
            Value::Bool(b) => b.fmt(f),
            Value::Text(text) => f.write_str(text),
            Value::Free(text) => f.write_str(text),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

impl ConfigKey {
    /// A text that was checked, as Kafka describes its value.
    pub fn described(&self, text: &str) -> String {
        self.parse(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
    }

    /// Parses and checks a value that was set for this key.
    pub fn parse(&self, text: &str) -> Result<Value, ConfigError> {
        self.parse_as(self.name, text)
    }

    /// As [`ConfigKey::parse`], for a broker setting called `name` that gives this key its default.
    pub(in crate::catalog) fn parse_as(&self, name: &str, text: &str) -> Result<Value, ConfigError> {
        let invalid = |value: &str, why: &str| {
            Err(ConfigError::Invalid { key: name.to_owned(), value: value.to_owned(), why: why.to_owned() })
        };
        let trimmed = java_trim(text);
        match self.kind {
            Kind::Int { min, max } => match trimmed.parse::<i32>() {
                Ok(n) => match out_of_range(n, min, max, i32::MIN, i32::MAX) {
                    Some(why) => invalid(&n.to_string(), &why),
                    None => Ok(Value::Int(n)),
                },
                Err(_) => invalid(text, "Not a number of type INT"),
            },
            Kind::GzipLevel => match trimmed.parse::<i32>() {
                Ok(n) if n == -1 || (1..=9).contains(&n) => Ok(Value::Int(n)),
                Ok(n) => invalid(&n.to_string(), "Value must be between 1 and 9 or equal to -1"),
                Err(_) => invalid(text, "Not a number of type INT"),
            },
            Kind::Long { min } => match trimmed.parse::<i64>() {
                Ok(n) if n < min => invalid(&n.to_string(), &format!("Value must be at least {min}")),
                Ok(n) => Ok(Value::Long(n)),
                Err(_) => invalid(text, "Not a number of type LONG"),
            },
            Kind::Ratio => match java_double(trimmed) {
                Some(n) if n < 0.0 => invalid(&format!("{n:?}"), "Value must be at least 0"),
                Some(n) if n > 1.0 => invalid(&format!("{n:?}"), "Value must be no more than 1"),
                Some(n) => Ok(Value::Double(n)),
                None => invalid(text, "Not a number of type DOUBLE"),
            },
            Kind::Bool => match trimmed {
                _ if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
                _ if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
                _ => invalid(text, "Expected value to be either true or false"),
            },
            Kind::OneOf(allowed) => match allowed.iter().find(|&&a| a == trimmed) {
                Some(&found) => Ok(Value::Text(found)),
                None => invalid(trimmed, &format!("String must be one of: {}", allowed.join(", "))),
            },
            Kind::ListOf(_) | Kind::AnyList => {
                let items = java_list(trimmed);
                if items.iter().any(String::is_empty) {
                    return Err(ConfigError::EmptyItem { key: name.to_owned() });
                }
                let Kind::ListOf(allowed) = self.kind else { return Ok(Value::List(items)) };
                match items.iter().find(|item| !allowed.contains(&item.as_str())) {
                    Some(item) => invalid(item, &format!("String must be one of: {}", allowed.join(", "))),
                    None => Ok(Value::List(items)),
                }
            }
            Kind::OffsetReset => {
                let duration = trimmed.strip_prefix("by_duration:").is_some_and(is_duration);
                if duration || matches!(trimmed, "earliest" | "latest") {
                    return Ok(Value::Free(trimmed.to_owned()));
                }
                let why = format!(
                    "Invalid value `{trimmed}` for configuration {}. The value must be either 'earliest', 'latest' or of the \
                     format 'by_duration:<PnDTnHnMn.nS>'.",
                    self.name
                );
                invalid(trimmed, &why)
            }
            Kind::ThrottledReplicas => {
                let items = java_list(trimmed);
                if items.concat().trim() == "*" || items.iter().all(|item| is_replica(item)) {
                    return Ok(Value::List(items));
                }
                let why = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                invalid(&format!("[{}]", items.join(", ")), &why)
            }
        }
    }
}

/// Kafka's words for a number outside `min..=max`; bounds that are the type's own are not spoken of.
fn out_of_range(n: i32, min: i32, max: i32, type_min: i32, type_max: i32) -> Option<String> {
    if min > type_min && n < min {
        return Some(format!("Value must be at least {min}"));
    }
    (max < type_max && n > max).then(|| format!("Value must be no more than {max}"))
}

/// `PnDTnHnMn.nS` as Java reads it, not negative: some of the parts, in this order.
fn is_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (days, time) = rest.split_once('T').map_or((rest, None), |(days, time)| (days, Some(time)));
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    // Java counts seconds in a long: of each part, and in all.
    let mut total: i64 = 0;
    let mut takes = |number: &str, seconds: i64| {
        let more = digits(number).then(|| number.parse::<i64>().ok()?.checked_mul(seconds)).flatten();
        more.and_then(|more| total.checked_add(more)).map(|sum| total = sum).is_some()
    };
    let days_are_good = days.is_empty() || days.strip_suffix('D').is_some_and(|days| takes(days, 86_400));
    let Some(mut time) = time else { return days_are_good && !days.is_empty() };
    if time.is_empty() {
        return false;
    }
    for (unit, seconds) in [('H', 3600), ('M', 60)] {
        if let Some((number, rest)) = time.split_once(unit) {
            if !takes(number, seconds) {
                return false;
            }
            time = rest;
        }
    }
    let seconds_are_good = time.is_empty()
        || time.strip_suffix('S').is_some_and(|seconds| {
            let (seconds, fraction) = seconds.split_once(['.', ',']).unwrap_or((seconds, "0"));
            takes(seconds, 1) && (fraction.is_empty() || digits(fraction)) && fraction.len() <= 9
        });
    days_are_good && seconds_are_good
}

/// `partition:broker`, or nothing between two commas.
fn is_replica(item: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    item.is_empty() || item.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

/// Java's `String.trim`: drops control characters and spaces.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// A comma-separated list; the empty text is the empty list.
fn java_list(trimmed: &str) -> Vec<String> {
    if trimmed.is_empty() { Vec::new() } else { trimmed.split(',').map(|item| item.trim().to_owned()).collect() }
}

/// What Java's `Double.parseDouble` takes, but for hexadecimal and NaN.
fn java_double(text: &str) -> Option<f64> {
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let infinity = matches!(text, "Infinity" | "+Infinity" | "-Infinity");
    if plain || infinity { digits.parse().ok() } else { None }
}
