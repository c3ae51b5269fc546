//! A record as one line of JSON, and back. Pure.
//!
//! `{"topic", "partition", "offset", "timestamp", "key", "value", "headers": [{"name", "value"}]}`; bytes that are no
//! UTF-8 stand in base64 under `key_base64` and `value_base64`. Invariant: what is printed is read as the same record.

use serde_json::{Map, Value};

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
    out.extend_from_slice(Value::Object(map).to_string().as_bytes());
    out.push(b'\n');
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

/// Reads a line. A value that is no text is taken as the JSON that it is; `topic` and `offset` say where it came from.
pub fn parse(line: &[u8]) -> Result<Written, String> {
    let value: Value = serde_json::from_slice(line).map_err(|e| format!("this is no JSON: {e}"))?;
    let Value::Object(mut map) = value else {
        return Err(r#"a record is an object, as in {"key": "k", "value": "v"}"#.to_owned());
    };
    let written = Written {
        partition: number(&mut map, "partition")?
            .map(|n| i32::try_from(n).map_err(|_| format!("there is no partition {n}")))
            .transpose()?,
        timestamp_ms: number(&mut map, "timestamp")?,
        key: bytes(&mut map, "key")?.flatten(),
        value: bytes(&mut map, "value")?
            .ok_or_else(|| r#"it has no "value"; write null for a record that deletes its key"#.to_owned())?,
        headers: headers(map.remove("headers"))?,
    };
    map.retain(|name, _| !["topic", "offset"].contains(&name.as_str()));
    match map.keys().next() {
        None => Ok(written),
        Some(name) => Err(format!(
            "\"{name}\" is no part of a record; these are key, value, headers, partition, timestamp, key_base64 and \
             value_base64"
        )),
    }
}

fn number(map: &mut Map<String, Value>, name: &str) -> Result<Option<i64>, String> {
    match map.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64().filter(|n| *n >= 0) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("\"{name}\" must be a whole number that is not negative, and this is {value}")),
        },
    }
}

/// The outer `None`: it is not there.
fn bytes(map: &mut Map<String, Value>, name: &str) -> Result<Option<Option<Vec<u8>>>, String> {
    let encoded = in_base64(name);
    match (map.remove(name), map.remove(&encoded)) {
        (Some(_), Some(_)) => Err(format!("\"{name}\" and \"{encoded}\" say the same thing twice")),
        (None, None) => Ok(None),
        (Some(Value::Null), None) => Ok(Some(None)),
        (Some(Value::String(text)), None) => Ok(Some(Some(text.into_bytes()))),
        (Some(other), None) => Ok(Some(Some(other.to_string().into_bytes()))),
        (None, Some(Value::String(text))) => match base64::decode(&text) {
            Some(bytes) => Ok(Some(Some(bytes))),
            None => Err(format!("\"{encoded}\" is no base64")),
        },
        (None, Some(_)) => Err(format!("\"{encoded}\" must be a text")),
    }
}

/// A list of `{"name", "value"}`, or an object of names and values.
fn headers(value: Option<Value>) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => {
            let header = |(name, value): (String, Value)| {
                let mut one = Map::from_iter([("value".to_owned(), value)]);
                Ok((name.into_bytes(), bytes(&mut one, "value")?.flatten()))
            };
            map.into_iter().map(header).collect()
        }
        Some(Value::Array(items)) => items.into_iter().map(header).collect(),
        Some(_) => Err(header_shape()),
    }
}

fn header(item: Value) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    let Value::Object(mut map) = item else { return Err(header_shape()) };
    let name = bytes(&mut map, "name")?.flatten().ok_or_else(header_shape)?;
    let value = bytes(&mut map, "value")?.flatten();
    if map.is_empty() { Ok((name, value)) } else { Err(header_shape()) }
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
            value: some(r#"{"a":[1]}"#),
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
