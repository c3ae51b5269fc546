//! What a topic has acked, to be compared with what it holds. Invariant: a value is made from its number alone, so a
//! record that is read tells which it is, and any wrong byte in it shows.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::fetch::FetchRequest;
use corelog::wire::messages::produce::ProduceRequest;
use shards::batch::{CRC_FROM, Compression, HEADER_BYTES, Records, crc, walk};

use crate::broker::Connection;
use crate::compaction::keyed;
use crate::peer::{FETCH, PRODUCE, batch, fetch_request, now_ms, produce_request, reply};

/// Others may hold the memory for a read so long.
const MEMORY_WAIT: Duration = Duration::from_secs(20);

/// Partition 0 of one topic, with one producer: this ledger.
pub struct Ledger {
    pub topic: String,
    value_bytes: usize,
    /// Of a compacted topic: how many keys its records have in turn.
    keys: Option<u64>,
    /// Id and epoch of the idempotent producer, if it is one.
    producer: Option<(i64, i16)>,
    /// Offset → number of the value there.
    acked: BTreeMap<i64, u64>,
    sent: u64,
    /// Where its log may begin at the most, whatever the broker says.
    deleted_below: i64,
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
        let (topic, acked) = (topic.to_owned(), BTreeMap::new());
        Self { topic, value_bytes, keys: None, producer: None, acked, sent: 0, deleted_below: 0 }
    }

    /// Its oldest records go all the time: its log may begin wherever the broker says.
    pub fn shrinking(self) -> Self {
        Self { deleted_below: i64::MAX, ..self }
    }

    /// The records below were deleted on purpose.
    pub fn deleted_below(&mut self, offset: i64) {
        self.deleted_below = self.deleted_below.max(offset);
    }

    /// Of a compacted topic, whose records have so many keys in turn: one may be gone for a newer one of its key.
    pub fn compacted(topic: &str, value_bytes: usize, keys: u64) -> Self {
        Self { keys: Some(keys), ..Self::new(topic, value_bytes) }
    }

    /// With idempotence, as the producer of this id and epoch.
    pub fn idempotent(topic: &str, value_bytes: usize, producer: (i64, i16)) -> Self {
        Self { producer: Some(producer), ..Self::new(topic, value_bytes) }
    }

    pub fn acked(&self) -> usize {
        self.acked.len()
    }

    pub fn is_compacted(&self) -> bool {
        self.keys.is_some()
    }

    pub fn is_idempotent(&self) -> bool {
        self.producer.is_some()
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
        let batch = self.batch(self.sent);
        self.sent += 1;
        produce_request(&self.topic, -1, &[batch])
    }

    fn batch(&self, number: u64) -> Bytes {
        let value = value(number, self.value_bytes);
        if let Some(keys) = self.keys {
            return keyed(&[(0, now_ms(), (number % keys).to_le_bytes().into(), Some(value))], Compression::None);
        }
        let sequence = i32::try_from(number).expect("fewer records");
        batch(&[&value], self.producer.map(|(id, epoch)| (id, epoch, sequence)))
    }

    /// The value that was acked as number `nth`, from 0 on.
    pub fn acked_value(&self, nth: usize) -> Vec<u8> {
        let number = self.acked.values().nth(nth).expect("so many are acked");
        value(*number, self.value_bytes)
    }

    /// Of an idempotent producer: sends the batch again that was acked as number `nth`, and checks that it stands where it did.
    pub fn check_retry(&self, peer: &mut Connection, nth: usize) {
        let (offset, number) = self.acked.iter().nth(nth).expect("so many are acked");
        let answer = peer.append(&self.topic, &self.batch(*number));
        assert_eq!(answer, (ErrorCode::None, *offset), "a retry of what {} has acked", self.topic);
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
        self.check_first(peer, self.acked()).map(|_| ())
    }

    /// As [`Ledger::check_readable`] of a log that need not hold more than the first `acked` records that were acked; gives
    /// its first and last offsets.
    pub fn check_first(&self, peer: &mut Connection, acked: usize) -> Result<Range<i64>, ErrorCode> {
        let first = match peer.list_offset(&self.topic, -2, 5) {
            (ErrorCode::None, first) => first,
            (code, _) => return Err(code),
        };
        let may_begin = self.deleted_below;
        assert!(first <= may_begin, "{} begins at {first}, and nothing above {may_begin} was deleted", self.topic);
        let mut next = first;
        // Key → the last offset with it.
        let mut newest = BTreeMap::new();
        let deadline = Instant::now() + MEMORY_WAIT;
        loop {
            let Read { records, behind, high_watermark } = read(peer, &self.topic, next)?;
            if behind == next && next < high_watermark && Instant::now() < deadline {
                // A broker short of memory answers without records in the end.
                continue;
            }
            if behind == next {
                assert_eq!(next, high_watermark, "{} ends before its high watermark", self.topic);
                break;
            }
            for (offset, value) in records {
                assert!(offset == next || self.keys.is_some(), "{} has a gap from {next} to {offset}", self.topic);
                let number = self.check_record(offset, &value);
                newest.extend(self.keys.map(|keys| (number % keys, offset)));
                next = offset + 1;
            }
            assert!(next == behind || self.keys.is_some(), "{} has a gap from {next} to {behind}", self.topic);
            next = behind;
        }
        let is_lost = |&(offset, number): &(&i64, &u64)| match self.keys {
            Some(keys) => *offset >= first && newest.get(&(number % keys)) < Some(offset),
            None => *offset >= first.max(next),
        };
        let lost: Vec<_> = self.acked.iter().take(acked).filter(is_lost).collect();
        assert!(lost.is_empty(), "{} ends at {next} and has lost {lost:?}", self.topic);
        Ok(first..next)
    }

    /// Gives the record's number.
    fn check_record(&self, offset: i64, found: &[u8]) -> u64 {
        let number = found.first_chunk().map(|number| u64::from_le_bytes(*number));
        let number = number.unwrap_or_else(|| panic!("a short value at {offset} of {}", self.topic));
        assert!(number < self.sent, "{offset} of {} was never sent: number {number}", self.topic);
        assert!(found == value(number, self.value_bytes), "wrong bytes at {offset} of {}", self.topic);
        if let Some(acked) = self.acked.get(&offset) {
            assert_eq!(number, *acked, "another record stands at {offset} of {}", self.topic);
        }
        number
    }
}

/// What a fetch gives.
struct Read {
    /// Offsets with values.
    records: Vec<(i64, Bytes)>,
    /// Where the next fetch goes on.
    behind: i64,
    high_watermark: i64,
}

fn read(peer: &mut Connection, topic: &str, from: i64) -> Result<Read, ErrorCode> {
    let request = FetchRequest { max_bytes: 8 << 20, ..fetch_request(topic, from) };
    let reply = reply!(Fetch, peer.ask(request, FETCH));
    let partition = &reply.responses[0].partitions[0];
    if partition.error_code != ErrorCode::None {
        return Err(partition.error_code);
    }
    let bytes = partition.records.clone().map(|records| records.into_bytes()).unwrap_or_default();
    let (mut records, mut behind) = (Vec::new(), from);
    for (at, header) in walk(&bytes) {
        let end = at + header.total_bytes().expect("a length");
        let batch = bytes.slice(at..end);
        assert_eq!(crc::crc32c(&batch[CRC_FROM..]), header.crc, "a damaged batch at {} of {topic}", header.base_offset);
        let payload = batch.slice(HEADER_BYTES..);
        behind = header.last_offset() + 1;
        for record in Records::new(&payload, header.record_count).with_gaps() {
            let record = record.expect("a sound record");
            let offset = header.base_offset + i64::from(record.offset_delta);
            if offset >= from {
                records.push((offset, payload.slice_ref(record.value.expect("a value"))));
            }
        }
    }
    Ok(Read { records, behind, high_watermark: partition.high_watermark })
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
