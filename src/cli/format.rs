//! How a record is printed: a format in kcat's manner, `%s\n` by default. Pure.
//!
//! `%s` value, `%S` its length, `%R` the same in 4 bytes, the highest first; `%k` key, `%K` its length, `%h` headers as
//! `a=b,c=d`, `%t` topic, `%p` partition, `%o` offset, `%T` timestamp in milliseconds, `%%` a percent sign; `\n`, `\r`, `\t`,
//! `\0`, `\\` and `\xNN` as in C. A null prints as nothing and has length -1.

use crate::client::Received;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    Value,
    ValueLength,
    /// Big-endian: what frames values of any bytes.
    ValueLengthBytes,
    Key,
    KeyLength,
    Headers,
    Topic,
    Partition,
    Offset,
    Timestamp,
}

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format(Vec<Piece>);

impl Format {
    /// Says what is wrong with the text if something is.
    pub fn parse(text: &str) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => {
                    let piece = match chars.next() {
                        Some('%') => {
                            plain.push(b'%');
                            continue;
                        }
                        Some('s') => Piece::Value,
                        Some('S') => Piece::ValueLength,
                        Some('R') => Piece::ValueLengthBytes,
                        Some('k') => Piece::Key,
                        Some('K') => Piece::KeyLength,
                        Some('h') => Piece::Headers,
                        Some('t') => Piece::Topic,
                        Some('p') => Piece::Partition,
                        Some('o') => Piece::Offset,
                        Some('T') => Piece::Timestamp,
                        other => {
                            let other = other.map_or_else(String::new, String::from);
                            return Err(format!("\"%{other}\" is none of %s %S %R %k %K %h %t %p %o %T %%"));
                        }
                    };
                    if !plain.is_empty() {
                        pieces.push(Piece::Bytes(std::mem::take(&mut plain)));
                    }
                    pieces.push(piece);
                }
                '\\' => plain.push(escaped(&mut chars)?),
                c => plain.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Bytes(plain));
        }
        Ok(Format(pieces))
    }

    /// Appends the record to `out`.
    pub fn print(&self, topic: &str, record: &Received, out: &mut Vec<u8>) {
        let length = |bytes: Option<&[u8]>| bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string());
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => out.extend_from_slice(bytes),
                Piece::Value => out.extend_from_slice(value.unwrap_or_default()),
                Piece::ValueLength => out.extend_from_slice(length(value).as_bytes()),
                Piece::ValueLengthBytes => {
                    // No record has as many bytes: its length is such a number on the wire, too.
                    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
                    out.extend_from_slice(&length.to_be_bytes());
                }
                Piece::Key => out.extend_from_slice(key.unwrap_or_default()),
                Piece::KeyLength => out.extend_from_slice(length(key).as_bytes()),
                Piece::Headers => headers(record, out),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(record.partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Timestamp => out.extend_from_slice(record.timestamp_ms.to_string().as_bytes()),
            }
        }
    }
}

fn headers(record: &Received, out: &mut Vec<u8>) {
    for (at, (name, value)) in record.headers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
    }
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match chars.next() {
        Some('n') => Ok(b'\n'),
        Some('r') => Ok(b'\r'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).ok();
            let two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            byte.filter(|_| two).ok_or_else(|| format!("\"\\x{digits}\" is no byte: write two digits, as in \\x1f"))
        }
        other => {
            let other = other.map_or_else(String::new, String::from);
            Err(format!("\"\\{other}\" is none of \\n \\r \\t \\0 \\\\ \\xNN"))
        }
    }
}

/// What stands between two parts of a line; never empty. `\t` in it is a tab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separator(pub Vec<u8>);

pub fn separator(text: &str) -> Result<Separator, String> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => bytes.push(escaped(&mut chars)?),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if bytes.is_empty() { Err("a separator cannot be empty".to_owned()) } else { Ok(Separator(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Received {
        Received {
            partition: 2,
            offset: 41,
            timestamp_ms: 1_700_000_000_000,
            key: Some("k".into()),
            value: Some("große\n".into()),
            headers: vec![("a".into(), Some("1".into())), ("b".into(), None)],
        }
    }

    fn printed(format: &str, record: &Received) -> String {
        let mut out = Vec::new();
        Format::parse(format).expect("a format").print("orders", record, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_part_of_a_record_can_be_printed() {
        assert_eq!(
            printed(r"%t-%p@%o %T %k(%K)=%s(%S) %h 100%%\n", &record()),
            "orders-2@41 1700000000000 k(1)=große\n(7) a=1,b=NULL 100%\n"
        );
        let null = Received { key: None, value: None, headers: Vec::new(), ..record() };
        assert_eq!(printed(r"[%k %K %s %S %h]\t\\\x41\0", &null), "[ -1  -1 ]\t\\A\0");
    }

    #[test]
    fn values_can_be_framed_by_their_length_in_four_bytes() {
        let mut out = Vec::new();
        let format = Format::parse("%R%s").expect("a format");
        for value in [Some("a\nb"), Some(""), None] {
            format.print("t", &Received { value: value.map(Into::into), ..record() }, &mut out);
        }
        assert_eq!(out, b"\0\0\0\x03a\nb\0\0\0\0\xff\xff\xff\xff");
    }

    #[test]
    fn what_is_no_format_is_explained() {
        for wrong in ["%", "%z", r"\", r"\q", r"\x4", r"\xzz"] {
            assert!(Format::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(separator(r"\t:"), Ok(Separator(b"\t:".to_vec())));
        assert!(separator("").is_err());
    }
}
