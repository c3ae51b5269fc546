//! What a topic has acked, to be compared with what it holds. Invariant: a value is made from its number alone, so a
//! record that is read tells which it is, and any wrong byte in it shows.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::fetch::FetchRequest;
use corelog::wire::messages::produce::ProduceRequest;
use shards::batch::{CRC_FROM, HEADER_BYTES, Records, crc, walk};

use crate::broker::Connection;
use crate::peer::{FETCH, PRODUCE, batch, fetch_request, produce_request, reply};

/// Others may hold the memory for a read so long.
const MEMORY_WAIT: Duration = Duration::from_secs(20);

/// Partition 0 of one topic, with one producer: this ledger.
pub struct Ledger {
    pub topic: String,
    value_bytes: usize,
    /// Offset → number of the value there.
    acked: BTreeMap<i64, u64>,
    sent: u64,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    Acked,
    Refused(ErrorCode),
    /// The connection ended without an answer.
    Cut,
}

impl Ledger {
    /// Values of so many bytes, at least eight.
    pub fn new(topic: &str, value_bytes: usize) -> Self {
        Self { topic: topic.to_owned(), value_bytes, acked: BTreeMap::new(), sent: 0 }
    }

    pub fn acked(&self) -> usize {
        self.acked.len()
    }

    /// Produces the next record with acks=all.
    pub fn append(&mut self, peer: &mut Connection) -> Appended {
        let number = self.sent;
        let request = self.next_request();
        let Some(reply) = peer.try_ask(request, PRODUCE) else { return Appended::Cut };
        let reply = reply!(Produce, reply);
        let answer = &reply.responses[0].partition_responses[0];
        if answer.error_code != ErrorCode::None {
            return Appended::Refused(answer.error_code);
        }
        let before = self.acked.insert(answer.base_offset, number);
        assert_eq!(before, None, "offset {} of {} is acked twice", answer.base_offset, self.topic);
        Appended::Acked
    }

    /// The produce request of the next record; whether it is acked is not looked at.
    pub fn next_request(&mut self) -> ProduceRequest {
        let value = value(self.sent, self.value_bytes);
        self.sent += 1;
        produce_request(&self.topic, -1, &[batch(&[&value], None)])
    }

    /// Appends until one is refused, at most `max` times; gives the refusal.
    pub fn append_until_refused(&mut self, peer: &mut Connection, max: usize) -> Option<ErrorCode> {
        (0..max).find_map(|_| match self.append(peer) {
            Appended::Acked => None,
            Appended::Refused(code) => Some(code),
            Appended::Cut => panic!("the broker closed the connection"),
        })
    }

    /// Reads the topic and checks that every acked record stands where it was acked, and nothing there that was not sent.
    pub fn check(&self, peer: &mut Connection) {
        if let Err(code) = self.check_readable(peer) {
            panic!("{} answers {code:?}", self.topic);
        }
    }

    /// As [`Ledger::check`]; an error code of the fetch is given, never forgiven: what was read before it is checked.
    pub fn check_readable(&self, peer: &mut Connection) -> Result<(), ErrorCode> {
        let first = match peer.list_offset(&self.topic, -2, 5) {
            (ErrorCode::None, first) => first,
            (code, _) => return Err(code),
        };
        let mut next = first;
        let deadline = Instant::now() + MEMORY_WAIT;
        loop {
            let (records, high_watermark) = read(peer, &self.topic, next)?;
            if records.is_empty() && next < high_watermark && Instant::now() < deadline {
                // A broker short of memory answers without records in the end.
                continue;
            }
            if records.is_empty() {
                assert_eq!(next, high_watermark, "{} ends before its high watermark", self.topic);
                break;
            }
            for (offset, value) in records {
                assert_eq!(offset, next, "{} has a gap", self.topic);
                self.check_record(offset, &value);
                next += 1;
            }
        }
        let lost: Vec<_> = self.acked.range(first.max(next)..).collect();
        assert!(lost.is_empty(), "{} ends at {next} and has lost {lost:?}", self.topic);
        Ok(())
    }

    fn check_record(&self, offset: i64, found: &[u8]) {
        let number = found.first_chunk().map(|number| u64::from_le_bytes(*number));
        let number = number.unwrap_or_else(|| panic!("a short value at {offset} of {}", self.topic));
        assert!(number < self.sent, "{offset} of {} was never sent: number {number}", self.topic);
        assert!(found == value(number, self.value_bytes), "wrong bytes at {offset} of {}", self.topic);
        if let Some(acked) = self.acked.get(&offset) {
            assert_eq!(number, *acked, "another record stands at {offset} of {}", self.topic);
        }
    }
}

/// One fetch from `from`: offsets with values, and the high watermark.
fn read(peer: &mut Connection, topic: &str, from: i64) -> Result<(Vec<(i64, Bytes)>, i64), ErrorCode> {
    let request = FetchRequest { max_bytes: 8 << 20, ..fetch_request(topic, from) };
    let reply = reply!(Fetch, peer.ask(request, FETCH));
    let partition = &reply.responses[0].partitions[0];
    if partition.error_code != ErrorCode::None {
        return Err(partition.error_code);
    }
    let bytes = partition.records.clone().map(|records| records.into_bytes()).unwrap_or_default();
    let mut records = Vec::new();
    for (at, header) in walk(&bytes) {
        let end = at + header.total_bytes().expect("a length");
        let batch = bytes.slice(at..end);
        assert_eq!(crc::crc32c(&batch[CRC_FROM..]), header.crc, "a damaged batch at {} of {topic}", header.base_offset);
        let payload = batch.slice(HEADER_BYTES..);
        for record in Records::new(&payload, header.record_count) {
            let record = record.expect("a sound record");
            let offset = header.base_offset + i64::from(record.offset_delta);
            if offset >= from {
                records.push((offset, payload.slice_ref(record.value.expect("a value"))));
            }
        }
    }
    Ok((records, partition.high_watermark))
}

/// The number, then bytes that no codec or file system makes smaller.
fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes + 8);
    value.extend_from_slice(&number.to_le_bytes());
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while value.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_le_bytes());
    }
    value.truncate(bytes.max(8));
    value
}
