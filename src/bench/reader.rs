//! The thread that reads some of the partitions, takes the end-to-end latencies and checks what comes.
//!
//! Invariant: a partition's position is one after the last offset that was looked at.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use shards::batch::{CRC_FROM, Compression, HEADER_BYTES, Records, crc, decompress, walk};

use super::clock::{NANOS_PER_SECOND, now_ns, thread_cpu_ns};
use super::error::BenchError;
use super::intake::{Acked, Intake, Read, Spent};
use super::meter::{Meter, Stretch};
use super::pipe::Pipe;
use super::poll::Poll;
use crate::client::{ClientError, DECOMPRESSED_BYTES_MAX};
use crate::wire::messages::Response;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData};
use crate::wire::{Bytes, ErrorCode, Str};

/// As Java's clients ask: how long a broker may wait for something to come, and how much of it may come.
const WAIT_MAX_MS: i32 = 500;
const REPLY_BYTES: i32 = 50 << 20;
const PARTITION_BYTES: i32 = 1 << 20;
/// After the last ack, records that have not come for so long are lost.
pub const LOST_AFTER_NS: u64 = 10 * NANOS_PER_SECOND;
/// How often a reader that has not begun looks whether the writers have ended.
const GLANCE: Duration = Duration::from_millis(50);

/// To one leader, and the next offset of each partition that it leads.
pub struct Inlet {
    pub pipe: Pipe,
    pub positions: Vec<(i32, i64)>,
}

pub struct Reader {
    pub inlets: Vec<Inlet>,
    pub intake: Intake,
    pub topic: Str,
    pub meter: Arc<Meter>,
}

impl Reader {
    /// Reads from `begin_ns` on until all that was acked has come; what that is, is told when the writers have ended.
    pub fn run(mut self, begin_ns: u64, acked: &OnceLock<Acked>) -> Read {
        let cpu_ns = thread_cpu_ns();
        // Writers that end early are waited for no longer.
        while now_ns() < begin_ns && acked.get().is_none() {
            thread::sleep(GLANCE.min(Duration::from_nanos(begin_ns.saturating_sub(now_ns()))));
        }
        let begun_ns = now_ns();
        self.intake.begin(begun_ns);
        let failed = self.work(acked).err();
        let spent = Spent::new(thread_cpu_ns() - cpu_ns, now_ns() - begun_ns);
        self.intake.ended(acked.get(), spent, failed)
    }

    fn work(&mut self, acked: &OnceLock<Acked>) -> Result<(), BenchError> {
        let mut poll = Poll::new()?;
        for number in 0..self.inlets.len() {
            poll.add(&self.inlets[number].pipe, number)?;
            self.ask(number)?;
        }
        let mut progress_ns = now_ns();
        loop {
            if let Some(acked) = acked.get()
                && (self.intake.missing(acked) == 0 || now_ns() > progress_ns + LOST_AFTER_NS)
            {
                return Ok(());
            }
            let ready: Vec<usize> = poll.wait(now_ns() + NANOS_PER_SECOND / 10)?.collect();
            for number in ready {
                let Some(inlet) = self.inlets.get_mut(number) else { continue };
                inlet.pipe.flush()?;
                while inlet.pipe.receive()? {}
                let now = now_ns();
                while let Some(reply) = self.inlets[number].pipe.reply()? {
                    let Response::Fetch(reply) = reply else {
                        let address = self.inlets[number].pipe.address().to_owned();
                        let what = "a reply of another API came".to_owned();
                        return Err(ClientError::NotKafka { address, what }.into());
                    };
                    let before = self.intake.came();
                    self.take(number, &reply, now)?;
                    if self.intake.came() > before || acked.get().is_none() {
                        progress_ns = now;
                    }
                    self.ask(number)?;
                }
            }
        }
    }

    fn ask(&mut self, number: usize) -> Result<(), ClientError> {
        let Inlet { pipe, positions } = &mut self.inlets[number];
        let part = |&(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: PARTITION_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: self.topic.clone(),
            partitions: positions.iter().map(part).collect(),
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_wait_ms: WAIT_MAX_MS,
            min_bytes: 1,
            max_bytes: REPLY_BYTES,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        pipe.send(&request.into())
    }

    fn take(&mut self, number: usize, reply: &FetchResponse, now_ns: u64) -> Result<(), ClientError> {
        let refused = |what: String, code| ClientError::Refused { what, code, message: None };
        if reply.error_code != ErrorCode::None {
            return Err(refused(format!("reading {}", self.topic), reply.error_code));
        }
        let (meter, topic) = (self.meter.clone(), self.topic.clone());
        for data in reply.responses.iter().flat_map(|topic| &topic.partitions) {
            let partition = data.partition_index;
            if data.error_code != ErrorCode::None {
                return Err(refused(format!("reading {topic}-{partition}"), data.error_code));
            }
            let place = self.inlets[number].positions.iter().position(|(own, _)| *own == partition);
            let Some(place) = place else { continue };
            let mut at = Place { intake: &mut self.intake, partition, now_ns };
            let before = self.inlets[number].positions[place].1;
            let after = meter.record(|stretch| at.read(data, before, stretch));
            let after = after.map_err(|(offset, what)| ClientError::Damaged {
                topic: topic.to_string(),
                partition,
                offset,
                what,
            })?;
            self.inlets[number].positions[place].1 = after;
        }
        Ok(())
    }
}

/// One partition of a reply.
struct Place<'a> {
    intake: &'a mut Intake,
    partition: i32,
    now_ns: u64,
}

impl Place<'_> {
    /// Takes in what came. The next offset; on an error, the offset of what cannot be read, and why.
    fn read(&mut self, data: &PartitionData, position: i64, stretch: &mut Stretch) -> Result<i64, (i64, String)> {
        let bytes = data.records.clone().map(|records| records.into_bytes()).unwrap_or_default();
        let mut next = position;
        for (at, header) in walk(&bytes) {
            let damaged = |what: String| (header.base_offset, what);
            let batch = bytes.slice(at..at.saturating_add(header.total_bytes().unwrap_or(0)));
            let computed = crc::crc32c(batch.get(CRC_FROM..).unwrap_or_default());
            if computed != header.crc {
                return Err(damaged(format!("their checksum is {computed:08x}, not {:08x}", header.crc)));
            }
            if !header.is_control() {
                let codec = Compression::from_code(header.compression_code()).map_err(|e| damaged(e.to_string()))?;
                let plain = plain(codec, &batch).map_err(&damaged)?;
                for record in Records::new(&plain, header.record_count).with_gaps() {
                    let record = record.map_err(|e| damaged(e.to_string()))?;
                    if header.base_offset.saturating_add(i64::from(record.offset_delta)) >= position {
                        self.intake.see(self.partition, record.value.unwrap_or_default(), self.now_ns, stretch);
                    }
                }
            }
            next = next.max(header.last_offset().saturating_add(1));
        }
        if next == position && !bytes.is_empty() {
            return Err((position, "no whole record batch of version 2".to_owned()));
        }
        Ok(next)
    }
}

fn plain(codec: Compression, batch: &Bytes) -> Result<Bytes, String> {
    let payload = batch.slice(HEADER_BYTES..);
    if codec == Compression::None {
        return Ok(payload);
    }
    let mut out = Vec::new();
    decompress(codec, &payload, DECOMPRESSED_BYTES_MAX, &mut out).map_err(|e| e.to_string())?;
    Ok(out.into())
}
