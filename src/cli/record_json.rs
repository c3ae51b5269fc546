//! A record as one line of JSON, and back. Pure.
//!
//! `{"topic", "partition", "offset", "timestamp", "key", "value", "headers": [{"name", "value"}]}`; bytes that are no
//! UTF-8 stand in base64 under `key_base64` and `value_base64`. Invariant: what is printed is read as the same record, and
//! JSON that is no text goes through byte by byte: numbers keep their digits.

use std::collections::BTreeMap;

use serde_json::{Deserializer, Map, Value};

use super::base64;
use crate::client::{Outgoing, Received};

/// A record as it was written in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub partition: Option<i32>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Appends the record to `out`, in one line.
pub fn print(topic: &str, record: &Received, out: &mut Vec<u8>) {
    out.extend_from_slice(value(topic, record).to_string().as_bytes());
    out.push(b'\n');
}

/// The record with all that it has.
pub fn value(topic: &str, record: &Received) -> Value {
    let mut map = Map::new();
    map.insert("topic".to_owned(), topic.into());
    map.insert("partition".to_owned(), record.partition.into());
    map.insert("offset".to_owned(), record.offset.into());
    let timestamp_ms = Some(record.timestamp_ms).filter(|ms| *ms >= 0);
    map.insert("timestamp".to_owned(), timestamp_ms.into());
    put(&mut map, "key", record.key.as_deref());
    put(&mut map, "value", record.value.as_deref());
    let header = |(name, value): &(bytes::Bytes, Option<bytes::Bytes>)| {
        let mut map = Map::new();
        put(&mut map, "name", Some(name));
        put(&mut map, "value", value.as_deref());
        Value::Object(map)
    };
    map.insert("headers".to_owned(), record.headers.iter().map(header).collect());
    Value::Object(map)
}

/// Bytes under this name: as text if they are some, in base64 otherwise.
pub(super) fn put(map: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => map.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => map.insert(name.to_owned(), text.into()),
        Some(Err(_)) => map.insert(in_base64(name), base64::encode(bytes.unwrap_or_default()).into()),
    };
}

fn in_base64(name: &str) -> String {
    format!("{name}_base64")
}

/// A value as it was read, and as it was written.
#[derive(Debug)]
struct Raw<'a> {
    value: Value,
    text: &'a str,
}

/// Names and values of an object.
type Fields<'a> = BTreeMap<String, Raw<'a>>;

/// Reads a line. A value that is no text is taken as the JSON that it is; `topic` and `offset` say where it came from.
pub fn parse(line: &[u8]) -> Result<Written, String> {
    let whole: Value = serde_json::from_slice(line).map_err(|e| format!("this is no JSON: {e}"))?;
    let text = std::str::from_utf8(line).map_err(|e| format!("this is no JSON: {e}"))?;
    if !whole.is_object() {
        return Err(r#"a record is an object, as in {"key": "k", "value": "v"}"#.to_owned());
    }
    let mut fields = once_each(members(text)?)?;
    let written = Written {
        partition: number(&mut fields, "partition")?
            .map(|n| i32::try_from(n).map_err(|_| format!("there is no partition {n}")))
            .transpose()?,
        timestamp_ms: number(&mut fields, "timestamp")?,
        key: bytes(&mut fields, "key")?.flatten(),
        value: bytes(&mut fields, "value")?
            .ok_or_else(|| r#"it has no "value"; write null for a record that deletes its key"#.to_owned())?,
        headers: headers(fields.remove("headers"))?,
    };
    fields.retain(|name, _| !["topic", "offset"].contains(&name.as_str()));
    match fields.keys().next() {
        None => Ok(written),
        Some(name) => Err(format!(
            "\"{name}\" is no part of a record; these are key, value, headers, partition, timestamp, key_base64 and \
             value_base64"
        )),
    }
}

/// What stands in an object, in its order; names may be repeated.
fn members(object: &str) -> Result<Vec<(String, Raw<'_>)>, String> {
    let mut rest = opened(object, '{')?;
    let mut members = Vec::new();
    while !rest.starts_with('}') {
        let (name, behind) = next(rest)?;
        let Value::String(name) = name.value else { return Err("this is no JSON: a name is no text".to_owned()) };
        let (value, behind) = next(opened(behind, ':')?)?;
        members.push((name, value));
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
    Ok(members)
}

/// What stands in a list.
fn items(list: &str) -> Result<Vec<Raw<'_>>, String> {
    let mut rest = opened(list, '[')?;
    let mut items = Vec::new();
    while !rest.starts_with(']') {
        let (item, behind) = next(rest)?;
        items.push(item);
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
    Ok(items)
}

/// Behind a mark and blanks.
fn opened(text: &str, mark: char) -> Result<&str, String> {
    let behind = text.trim_start().strip_prefix(mark).map(str::trim_start);
    behind.ok_or_else(|| format!("this is no JSON: {mark} is missing"))
}

/// The value that a text begins with, and what comes behind it and its blanks.
fn next(text: &str) -> Result<(Raw<'_>, &str), String> {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    let value =
        values.next().ok_or("this is no JSON: a value is missing")?.map_err(|e| format!("this is no JSON: {e}"))?;
    let end = values.byte_offset();
    let (text, behind) = text.split_at_checked(end).ok_or("this is no JSON: a value does not end")?;
    Ok((Raw { value, text }, behind.trim_start()))
}

/// Which of two was meant is not for us to say.
fn once_each(members: Vec<(String, Raw<'_>)>) -> Result<Fields<'_>, String> {
    let mut fields = Fields::new();
    for (name, value) in members {
        if fields.contains_key(&name) {
            return Err(format!("\"{name}\" stands there twice; keep one"));
        }
        fields.insert(name, value);
    }
    Ok(fields)
}

fn number(fields: &mut Fields<'_>, name: &str) -> Result<Option<i64>, String> {
    match fields.remove(name) {
        None | Some(Raw { value: Value::Null, .. }) => Ok(None),
        Some(Raw { value, text }) => match value.as_i64().filter(|n| *n >= 0) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("\"{name}\" must be a whole number that is not negative, and this is {text}")),
        },
    }
}

/// The outer `None`: it is not there.
fn bytes(fields: &mut Fields<'_>, name: &str) -> Result<Option<Option<Vec<u8>>>, String> {
    let encoded = in_base64(name);
    match (fields.remove(name), fields.remove(&encoded)) {
        (Some(_), Some(_)) => Err(format!("\"{name}\" and \"{encoded}\" say the same thing twice")),
        (None, None) => Ok(None),
        (Some(raw), None) => Ok(Some(plain(raw))),
        (None, Some(Raw { value: Value::String(text), .. })) => match base64::decode(&text) {
            Some(bytes) => Ok(Some(Some(bytes))),
            None => Err(format!("\"{encoded}\" is no base64")),
        },
        (None, Some(_)) => Err(format!("\"{encoded}\" must be a text")),
    }
}

fn plain(raw: Raw<'_>) -> Option<Vec<u8>> {
    match raw.value {
        Value::Null => None,
        Value::String(text) => Some(text.into_bytes()),
        _ => Some(raw.text.as_bytes().to_vec()),
    }
}

/// A list of `{"name", "value"}`, or an object of names and values, in which a name may be repeated as in a record.
fn headers(raw: Option<Raw<'_>>) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, String> {
    match raw {
        None | Some(Raw { value: Value::Null, .. }) => Ok(Vec::new()),
        Some(Raw { value: Value::Object(_), text }) => {
            Ok(members(text)?.into_iter().map(|(name, value)| (name.into_bytes(), plain(value))).collect())
        }
        Some(Raw { value: Value::Array(_), text }) => items(text)?.into_iter().map(header).collect(),
        Some(_) => Err(header_shape()),
    }
}

fn header(item: Raw<'_>) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    if !item.value.is_object() {
        return Err(header_shape());
    }
    let mut fields = once_each(members(item.text)?)?;
    let name = bytes(&mut fields, "name")?.flatten().ok_or_else(header_shape)?;
    let value = bytes(&mut fields, "value")?.flatten();
    if fields.is_empty() { Ok((name, value)) } else { Err(header_shape()) }
}

fn header_shape() -> String {
    r#"write headers as {"name": "value"}, or as [{"name": "a", "value": "b"}]"#.to_owned()
}

impl Written {
    /// What is sent; `now_ms` where no time was written.
    pub fn outgoing(self, now_ms: i64) -> Outgoing {
        Outgoing {
            timestamp_ms: self.timestamp_ms.unwrap_or(now_ms),
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_a_record_are_read_from_json() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let full =
            br#"{"key": "k", "value": {"a": [1]}, "headers": {"h": "1", "n": null}, "partition": 2, "timestamp": 5}"#;
        let wanted = Written {
            partition: Some(2),
            timestamp_ms: Some(5),
            key: some("k"),
            value: some(r#"{"a": [1]}"#),
            headers: vec![(b"h".to_vec(), some("1")), (b"n".to_vec(), None)],
        };
        assert_eq!(parse(full), Ok(wanted));
        assert_eq!(parse(br#"{"value": 7}"#).map(|w| w.value), Ok(some("7")));
        assert_eq!(
            parse(br#"{"value": null, "key_base64": "/w=="}"#).map(|w| (w.key, w.value)),
            Ok((Some(vec![255]), None))
        );
    }

    #[test]
    fn json_that_is_no_text_keeps_every_byte_and_headers_of_one_name_are_all_kept() {
        for value in [
            r#"{"price":19.90,"id":900719925474099312345}"#,
            "12345678901234567890123",
            "0.1e1",
            "[ 1.0 , {\"a\" :\ttrue} ]",
            r#"{"b":1,"b":2}"#,
            "-0",
        ] {
            let line = format!(
                " {{ \"key\" : {value} ,\"value\":{value}\t, \"headers\": {{\"h\": {value} , \"h\":\"2\"}} }} "
            );
            let read = parse(line.as_bytes()).expect(value);
            let bytes = Some(value.as_bytes().to_vec());
            assert_eq!((&read.key, &read.value), (&bytes, &bytes));
            assert_eq!(read.headers, [(b"h".to_vec(), bytes), (b"h".to_vec(), Some(b"2".to_vec()))]);
        }
        let listed = parse(br#"{"value": "v", "headers": [{"name": "a", "value": 1.50}, {"name": "a"}]}"#);
        assert_eq!(
            listed.map(|read| read.headers),
            Ok(vec![(b"a".to_vec(), Some(b"1.50".to_vec())), (b"a".to_vec(), None)])
        );
    }

    #[test]
    fn what_is_no_record_is_told_with_what_to_write() {
        for (wrong, told) in [
            ("", "no JSON"),
            ("7", "is an object"),
            ("{}", "no \"value\""),
            (r#"{"value": "v", "keys": "k"}"#, "\"keys\" is no part of a record"),
            (r#"{"value": "v", "partition": -1}"#, "not negative"),
            (r#"{"value": "v", "partition": 4294967296}"#, "no partition"),
            (r#"{"value": "v", "timestamp": "now"}"#, "whole number"),
            (r#"{"value": "v", "value_base64": ""}"#, "twice"),
            (r#"{"value_base64": "_"}"#, "no base64"),
            (r#"{"value": "v", "headers": ["a=b"]}"#, "write headers"),
            (r#"{"key": "k1", "value": "v", "key": "k2"}"#, "\"key\" stands there twice"),
            (
                r#"{"value": "v", "headers": [{"name": "a", "value": "1", "value": "2"}]}"#,
                "\"value\" stands there twice",
            ),
            (r#"{"value": 1e400}"#, "out of range"),
            (r#"{"value": "v"} {}"#, "no JSON"),
            (r#"{"value": "v",}"#, "no JSON"),
        ] {
            let found = parse(wrong.as_bytes()).expect_err(wrong);
            assert!(found.contains(told), "{wrong}: {found}");
        }
    }

    fn part() -> impl Strategy<Value = Option<Bytes>> {
        prop_oneof![
            Just(None),
            any::<Vec<u8>>().prop_map(|b| Some(b.into())),
            any::<String>().prop_map(|s| Some(s.into()))
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same_record(
            key in part(), value in part(), name in any::<Vec<u8>>(), header in part(),
            partition in 0..i32::MAX, timestamp_ms in 0..i64::MAX,
        ) {
            let headers = vec![(Bytes::from(name), header)];
            let record = Received { partition, offset: 3, timestamp_ms, key, value, headers };
            let mut line = Vec::new();
            print("t", &record, &mut line);
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let owned = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
            let wanted = Written {
                partition: Some(partition),
                timestamp_ms: Some(timestamp_ms),
                key: owned(&record.key),
                value: owned(&record.value),
                headers: record.headers.iter().map(|(name, value)| (name.to_vec(), owned(value))).collect(),
            };
            prop_assert_eq!(parse(&line), Ok(wanted));
        }
    }
}
