//! `corelog consume`: prints records of assigned partitions, in a format of one's own.

use std::io::{ErrorKind, Write, stdout};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use shards::batch::{Compression, HEADER_BYTES, Record, Records, decompress, walk};

use super::{Bootstrap, Failure};
use crate::client::driver::Client;
use crate::wire::messages::metadata::MetadataResponseTopic;

/// A batch may decompress to this many bytes.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;
/// How long one fetch waits for new records.
const FOLLOW_WAIT: Duration = Duration::from_millis(500);

/// Prints records.
#[derive(Debug, Args)]
pub struct Arguments {
    topic: String,
    /// beginning, end, an offset, or @MILLISECONDS since 1970.
    #[arg(long, default_value = "beginning", value_parser = parse_start)]
    from: Start,
    /// Only this partition; else all.
    #[arg(long)]
    partition: Option<i32>,
    /// Ends after so many records.
    #[arg(long)]
    count: Option<u64>,
    /// Waits for more at the end.
    #[arg(long)]
    follow: bool,
    /// %t topic, %p partition, %o offset, %T timestamp, %k key, %s value, %h headers, %% percent, \n, \t, \\.
    #[arg(short, long, default_value = r"%s\n")]
    format: String,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Beginning,
    End,
    Offset(i64),
    Timestamp(i64),
}

fn parse_start(text: &str) -> Result<Start, String> {
    let wrong = || format!("{text} is not beginning, end, an offset or @MILLISECONDS");
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match text.strip_prefix('@') {
            Some(at) => at.parse().map(Start::Timestamp).map_err(|_| wrong()),
            None => text.parse().map(Start::Offset).map_err(|_| wrong()),
        },
    }
}

/// One partition's place.
struct Place {
    partition: i32,
    next: i64,
    end: i64,
}

pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut client = Client::connect(&arguments.bootstrap.bootstrap)?;
    let topic = client.topic(&arguments.topic)?;
    let wanted = |partition: &i32| arguments.partition.is_none_or(|only| only == *partition);
    let partitions: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).filter(wanted).collect();
    if partitions.is_empty() {
        return Err(Failure::Usage(format!("{} has no such partition", arguments.topic)));
    }
    let mut places = Vec::new();
    for partition in partitions {
        places.push(place(&mut client, &topic, partition, arguments.from)?);
    }
    let mut out = stdout().lock();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    loop {
        let mut moved = false;
        for place in &mut places {
            if place.next >= place.end && !arguments.follow {
                continue;
            }
            let wait = if arguments.follow { FOLLOW_WAIT } else { Duration::ZERO };
            let fetched = client.fetch(&topic, place.partition, place.next, wait)?;
            let records = fetched.records.map(crate::wire::RecordParts::into_bytes).unwrap_or_default();
            for line in lines(&arguments, place, &records)? {
                if left == 0 {
                    return finish(out.flush());
                }
                left -= 1;
                moved = true;
                if let Err(e) = out.write_all(&line) {
                    return finish(Err(e));
                }
            }
        }
        if let Err(e) = out.flush() {
            return finish(Err(e));
        }
        let at_end = places.iter().all(|place| place.next >= place.end);
        if left == 0 || (!arguments.follow && (at_end || !moved)) {
            return Ok(());
        }
    }
}

/// A reader that has gone is no failure.
fn finish(outcome: std::io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::Runtime(format!("writing the records: {e}"))),
        _ => Ok(()),
    }
}

fn place(client: &mut Client, topic: &MetadataResponseTopic, partition: i32, from: Start) -> Result<Place, Failure> {
    const END: i64 = -1;
    const BEGINNING: i64 = -2;
    let end = client.offset_at(topic, partition, END)?;
    let next = match from {
        Start::Beginning => client.offset_at(topic, partition, BEGINNING)?,
        Start::End => end,
        Start::Offset(offset) => offset,
        Start::Timestamp(at) => match client.offset_at(topic, partition, at)? {
            -1 => end,
            offset => offset,
        },
    };
    Ok(Place { partition, next, end })
}

/// The records of a reply as they are printed; moves the place behind them.
fn lines(arguments: &Arguments, place: &mut Place, records: &Bytes) -> Result<Vec<Vec<u8>>, Failure> {
    let damaged = |what: String| Failure::Runtime(format!("partition {}: {what}", place.partition));
    let mut lines = Vec::new();
    let mut plain = Vec::new();
    let mut next = place.next;
    for (position, header) in walk(records) {
        let total = header.total_bytes().unwrap_or(0);
        next = header.last_offset() + 1;
        if header.is_control() {
            continue;
        }
        let payload = records.get(position + HEADER_BYTES..position + total).unwrap_or_default();
        let codec = Compression::from_code(header.compression_code()).map_err(|e| damaged(e.to_string()))?;
        decompress(codec, payload, DECOMPRESSED_BYTES_MAX, &mut plain).map_err(|e| damaged(e.to_string()))?;
        for record in Records::new(&plain, header.record_count) {
            let record = record.map_err(|e| damaged(e.to_string()))?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if offset >= place.next {
                let timestamp = header.base_timestamp + record.timestamp_delta;
                lines.push(print(arguments, place.partition, offset, timestamp, &record));
            }
        }
    }
    place.next = next;
    Ok(lines)
}

fn print(arguments: &Arguments, partition: i32, offset: i64, timestamp: i64, record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut format = arguments.format.chars();
    while let Some(c) = format.next() {
        match (c, format.clone().next()) {
            ('%' | '\\', Some(what)) => {
                format.next();
                match (c, what) {
                    ('%', 't') => out.extend_from_slice(arguments.topic.as_bytes()),
                    ('%', 'p') => out.extend_from_slice(partition.to_string().as_bytes()),
                    ('%', 'o') => out.extend_from_slice(offset.to_string().as_bytes()),
                    ('%', 'T') => out.extend_from_slice(timestamp.to_string().as_bytes()),
                    ('%', 'k') => out.extend_from_slice(record.key.unwrap_or_default()),
                    ('%', 's') => out.extend_from_slice(record.value.unwrap_or_default()),
                    ('%', 'h') => print_headers(&mut out, record),
                    ('\\', 'n') => out.push(b'\n'),
                    ('\\', 't') => out.push(b'\t'),
                    (_, other) => out.extend_from_slice(other.to_string().as_bytes()),
                }
            }
            (c, _) => out.extend_from_slice(c.to_string().as_bytes()),
        }
    }
    out
}

fn print_headers(out: &mut Vec<u8>, record: &Record<'_>) {
    for (index, header) in record.headers.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.key);
        out.push(b'=');
        out.extend_from_slice(header.value.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_start_from_are_read() {
        assert_eq!(parse_start("beginning"), Ok(Start::Beginning));
        assert_eq!(parse_start("end"), Ok(Start::End));
        assert_eq!(parse_start("42"), Ok(Start::Offset(42)));
        assert_eq!(parse_start("@1700000000000"), Ok(Start::Timestamp(1_700_000_000_000)));
        assert!(parse_start("yesterday").is_err());
    }
}
