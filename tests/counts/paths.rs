//! The hot paths: what every produced and fetched batch goes through between its sockets and the disk, each alone.
//!
//! Invariant: no C code of ours and no clock in them, so that they take the same instructions everywhere.

use std::hint::black_box;

use corelog::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, FetchableTopicResponse, PartitionData,
};
use corelog::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use corelog::wire::messages::{Request, Response};
use corelog::wire::{Bytes, Message, Reader, Writer, encode_response};
use shards::batch::crc::crc32c;
use shards::batch::{
    BatchBuilder, BatchHeader, Compression, CompressionLevels, NewRecord, TimestampType, TopicRules, ValidBatch, apply,
    stamp,
};
use shards::journal::open::{OpenCommit, Place};
use shards::log::{PartitionLog, Piece, ReadPlan, RollRules};
use shards::request::Marks;
use shards::router::{Class, Stage, Trace};
use shards::runtime::buf::IoBuf;
use shards::shard::stages::Stages;
use shards::types::{FilePos, LeaderEpoch, Mono, Offset, PartitionId, TopicId};

const VALUE_BYTES: usize = 1024;
const RECORDS: usize = 16;
const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 16;

pub struct HotPath {
    pub name: &'static str,
    /// Makes what the rounds need; what it gives is run once a round.
    ready: fn() -> Box<dyn FnMut()>,
}

impl HotPath {
    pub fn run(&self, rounds: u64) {
        let mut round = (self.ready)();
        for _ in 0..rounds {
            round();
        }
    }
}

pub fn all() -> Vec<HotPath> {
    let path = |name, ready| HotPath { name, ready };
    vec![
        path("produce_decode", produce_decode),
        path("produce_check", || check(Compression::None)),
        path("produce_check_lz4", || check(Compression::Lz4)),
        path("crc_16_kib", crc_16_kib),
        path("journal_encode", journal_encode),
        path("log_append", log_append),
        path("read_plan_1_mib", read_plan_1_mib),
        path("fetch_decode", fetch_decode),
        path("fetch_reply", fetch_reply),
        path("trace_a_produce", trace_a_produce),
    ]
}

/// Sixteen records of a KiB.
fn batch(codec: Compression) -> Bytes {
    let value = [7; VALUE_BYTES];
    let mut builder = BatchBuilder::new(1000).compression(codec, CompressionLevels::default());
    for _ in 0..RECORDS {
        builder.push(&NewRecord { timestamp_ms: 1000, value: Some(&value), ..NewRecord::default() });
    }
    builder.finish().expect("the codec takes any bytes")
}

/// A request for one batch.
fn produce_decode() -> Box<dyn FnMut()> {
    let partition = PartitionProduceData { index: 0, records: Some(batch(Compression::None)) };
    let topic = TopicProduceData {
        topic_id: corelog::wire::TopicId([3; 16]),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request =
        Request::from(ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() });
    let bytes = encoded(&request, PRODUCE_VERSION);
    Box::new(move || {
        let decoded = ProduceRequest::decode(&mut Reader::new(black_box(&bytes)), PRODUCE_VERSION);
        black_box(decoded.expect("a whole request"));
    })
}

/// The batch's own checks, then the topic's.
fn check(codec: Compression) -> Box<dyn FnMut()> {
    let bytes = batch(codec);
    let rules = TopicRules {
        max_message_bytes: 1 << 20,
        compression: None,
        levels: CompressionLevels::default(),
        timestamp_type: TimestampType::Create,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        needs_keys: false,
        decompressed_bytes_max: 1 << 30,
    };
    Box::new(move || {
        let batch = ValidBatch::parse(black_box(bytes.clone())).expect("a whole batch");
        black_box(apply(batch, &rules, 1000)).expect("a batch that the topic takes");
    })
}

fn crc_16_kib() -> Box<dyn FnMut()> {
    let data = [7; 16 << 10];
    Box::new(move || {
        black_box(crc32c(black_box(&data)));
    })
}

/// A commit of four batches, each stamped with offset and epoch.
fn journal_encode() -> Box<dyn FnMut()> {
    let bytes = batch(Compression::None);
    let place = Place {
        partition: PartitionId { topic: TopicId([1; 16]), index: 0 },
        epoch: LeaderEpoch(0),
        segment_base: Offset(0),
        position: FilePos(0),
    };
    Box::new(move || {
        let mut open = OpenCommit::new(IoBuf::heap(128 << 10));
        for _ in 0..4 {
            open.push_batch(place, black_box(&bytes), |copy| stamp(copy, Offset(7), LeaderEpoch(0)));
        }
        black_box(open);
    })
}

/// A batch into the log, synced.
fn log_append() -> Box<dyn FnMut()> {
    let (bytes, mut log, mut commit) = (batch(Compression::None), PartitionLog::new(), 0);
    let header = BatchHeader::parse(&bytes).expect("a batch has a header");
    Box::new(move || {
        append(&mut log, &header, black_box(&bytes), commit);
        log.synced(log.log_end());
        commit += 1;
    })
}

fn append(log: &mut PartitionLog, header: &BatchHeader, bytes: &Bytes, commit: u64) {
    let rules = RollRules { segment_bytes: 1 << 30, segment_ms: i64::MAX };
    let placement = log.place(header, bytes.len(), &rules, 0);
    log.attach(Piece {
        segment_base: placement.segment_base,
        position: placement.position,
        base_offset: placement.base_offset,
        last_offset: placement.base_offset.plus(i64::from(header.last_offset_delta)),
        max_timestamp: header.max_timestamp,
        commit,
        bytes: bytes.clone(),
        buffer_bytes: bytes.len(),
    });
}

/// A fetch of 1 MiB out of a tail of 10,000 batches in memory, from their midst.
fn read_plan_1_mib() -> Box<dyn FnMut()> {
    let (bytes, mut log) = (batch(Compression::None), PartitionLog::new());
    let header = BatchHeader::parse(&bytes).expect("a batch has a header");
    for commit in 0..10_000 {
        append(&mut log, &header, &bytes, commit);
    }
    log.synced(log.log_end());
    Box::new(move || {
        let plan = log.plan_read(black_box(Offset(80_000)), 1 << 20, log.log_end(), true);
        assert!(matches!(black_box(plan), ReadPlan::Memory(_)));
    })
}

/// A request for ten partitions.
fn fetch_decode() -> Box<dyn FnMut()> {
    let partitions = (0..10)
        .map(|partition| FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() })
        .collect();
    let topic = FetchTopic { topic_id: corelog::wire::TopicId([3; 16]), partitions, ..Default::default() };
    let bytes = encoded(&Request::Fetch(FetchRequest { topics: vec![topic], ..Default::default() }), FETCH_VERSION);
    Box::new(move || {
        let decoded = FetchRequest::decode(&mut Reader::new(black_box(&bytes)), FETCH_VERSION);
        black_box(decoded.expect("a whole request"));
    })
}

/// The frame of a reply with ten partitions, around batches that are not copied.
fn fetch_reply() -> Box<dyn FnMut()> {
    let records = batch(Compression::None);
    let partition = |partition_index| PartitionData {
        partition_index,
        aborted_transactions: None,
        records: Some(records.clone().into()),
        ..Default::default()
    };
    let topic = FetchableTopicResponse {
        topic_id: corelog::wire::TopicId([3; 16]),
        partitions: (0..10).map(partition).collect(),
        ..Default::default()
    };
    let reply = Response::from(FetchResponse { responses: vec![topic], ..Default::default() });
    Box::new(move || {
        black_box(encode_response(black_box(&reply), FETCH_VERSION, 1)).expect("the version carries the reply");
    })
}

/// What following one request through its stages takes, with the histograms, without the clock.
fn trace_a_produce() -> Box<dyn FnMut()> {
    let (mut stages, mut random) = (Stages::default(), 1_u64);
    Box::new(move || {
        let mut at = 0;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            at += 1_000 + (random >> 47);
            Mono(at as _)
        };
        let trace = Trace::new(next());
        trace.step(Stage::Read, next());
        trace.name("Produce", Class::Produce);
        trace.step(Stage::Decode, next());
        trace.appended(&Marks {
            taken_up: next(),
            placed: next(),
            appended: next(),
            write_started: next(),
            written: Mono(0),
            released: next(),
        });
        trace.answered(next());
        trace.step(Stage::Send, next());
        trace.each(|stage, took| stages.record(trace.class(), stage, took));
        stages.record(trace.class(), Stage::Total, trace.total());
    })
}

fn encoded(request: &Request, version: i16) -> Bytes {
    let mut w = Writer::default();
    request.encode(&mut w, version).expect("the version carries the request");
    w.into_bytes()
}
