//! The cases, by subject. Each makes topics of its own, so that they need no order.

mod admin;
mod consume;
mod produce;
mod topics;

use crate::client::{Cluster, ReadRecord, Record};
use crate::random::Random;
use crate::report::{Outcome, Report, ensure};

/// Every codec that a producer may choose.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Runs all cases against the broker.
pub fn run(cluster: &Cluster, report: &mut Report) {
    topics::run(cluster, report);
    produce::run(cluster, report);
    consume::run(cluster, report);
    admin::run(cluster, report);
}

/// Half of it text that codecs shrink, half noise that they do not.
fn mixed_bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|at| if at % 64 < 32 { b'a' + (at % 26) as u8 } else { random.draw() as u8 }).collect()
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| random.draw() as u8).collect()
}

/// Records with keys and headers for one partition.
fn records(partition: i32, count: usize) -> Vec<Record> {
    let record = |at: usize| Record {
        partition,
        key: Some(format!("key-{at}").into_bytes()),
        value: Some(mixed_bytes(at as u64, 20 + at % 900)),
        headers: vec![
            ("at".into(), Some(at.to_string().into_bytes())),
            ("none".into(), None),
            ("at".into(), Some(vec![])),
        ],
        timestamp_ms: None,
    };
    (0..count).map(record).collect()
}

/// What was read is what was sent, at offsets from `first` on, in order.
fn same(sent: &[Record], read: &[ReadRecord], first: i64) -> Outcome {
    ensure(sent.len() == read.len(), || format!("{} sent, {} read", sent.len(), read.len()))?;
    for ((record, found), offset) in sent.iter().zip(read).zip(first..) {
        ensure(found.offset == offset, || format!("offset {} where {offset} comes next", found.offset))?;
        let equal = record.key == found.key && record.value == found.value && record.headers == found.headers;
        ensure(equal, || format!("offset {offset} differs: headers {:?}, key {:?}", found.headers, found.key))?;
    }
    Ok(())
}
