//! What `corelog bench` reports, held against a broker that answers late on purpose and knows how late it was.
//!
//! The broker reads from each record when it was due, and notes what lay between that and its answer, before the answer leaves
//! and after. A report may never show less until the ack, by more than one bucket of its histogram. It may show more by as long
//! as the generator was kept from the processor: that it says itself. What is left without that, its bare latency, is what the
//! broker noted, within a bucket and the time between two records: so late the generator may be woken without knowing of it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corelog::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use corelog::wire::messages::describe_configs::{DescribeConfigsResponse, DescribeConfigsResult};
use corelog::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};
use corelog::wire::messages::init_producer_id::InitProducerIdResponse;
use corelog::wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use corelog::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use corelog::wire::messages::produce::{PartitionProduceResponse, ProduceResponse, TopicProduceResponse};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Bytes, Reader, RequestHeader, encode_response};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use shards::batch::{BatchHeader, HEADER_BYTES, Records, stamp};
use shards::types::{LeaderEpoch, Offset};

/// Records that are due in a second: what is measured against what the broker noted.
const RATE: &str = "1000";
/// The time between two of them: a generator that does not run for less makes none of them late.
const GAP_US: u64 = 1000;
/// How late the last answers may be read, when no record is due any more that would tell.
const UNTOLD_US: u64 = 60_000;
/// Three significant digits.
const BUCKET: f64 = 0.001;
/// In a record: when it was due, by the machine's clock, big-endian.
const DUE_AT: usize = 16;

/// How late a produce is answered.
#[derive(Clone, Copy)]
enum Delays {
    /// Each so long after it came.
    Fixed(Duration),
    /// Nothing is answered for so long from the middle of each second on, counted from when the first record was due.
    Stalls(Duration),
    /// On every fifth connection the second of these, on the others the first.
    Bimodal(Duration, Duration),
}

struct Late {
    delays: Delays,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    log: Vec<u8>,
    end: i64,
    /// Connections that have brought records.
    producers: u32,
    /// When the first record was due.
    first_due: Option<Duration>,
    /// Of each record, in microseconds: from when it was due until its answer was about to leave, and until it had left.
    least_us: Vec<u64>,
    most_us: Vec<u64>,
}

fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).expect("after the start"), u32::try_from(now.tv_nsec).expect("a part"))
}

impl Late {
    fn start(delays: Delays) -> Arc<Late> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let late = Arc::new(Late { delays, address, state: Arc::default() });
        let serving = late.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (late, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || late.serve(stream));
            }
        });
        late
    }

    /// Takes in requests as they come; another thread answers them in turn, each in its time.
    fn serve(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).expect("a socket");
        let (to_answer, answers) = channel();
        let (out, state) = (stream.try_clone().expect("a socket"), self.state.clone());
        let answering = std::thread::spawn(move || answer(out, &answers, &state));
        let mut slow = None;
        while let Some(frame) = frame(&mut stream) {
            let mut reader = Reader::new(&frame);
            let header = RequestHeader::decode(&mut reader).expect("a header");
            let api = ApiKey::from_key(header.api_key).expect("an API");
            let request = Request::decode(api, &mut reader, header.api_version).expect("a body");
            let arrived = now();
            let (at, dues, reply) = match request {
                Request::Produce(request) => {
                    let slow = *slow.get_or_insert_with(|| self.is_slow());
                    let records = request.topic_data[0].partition_data[0].records.clone().expect("records");
                    let dues = dues(&records);
                    (self.answered_at(arrived, slow, dues[0]), dues, self.append(&records))
                }
                other => (arrived, Vec::new(), self.reply(&other)),
            };
            let frame = encode_response(&reply, header.api_version, header.correlation_id).expect("a reply").concat();
            if to_answer.send(Answer { at, dues, frame }).is_err() {
                break;
            }
        }
        drop(to_answer);
        answering.join().expect("it answers");
    }

    fn is_slow(&self) -> bool {
        let mut state = self.state.lock().expect("no thread has panicked");
        state.producers += 1;
        state.producers.is_multiple_of(5)
    }

    fn answered_at(&self, arrived: Duration, slow: bool, due: Duration) -> Duration {
        match self.delays {
            Delays::Fixed(delay) => arrived + delay,
            Delays::Bimodal(_, delay) if slow => arrived + delay,
            Delays::Bimodal(delay, _) => arrived + delay,
            Delays::Stalls(length) => {
                let first = *self.state.lock().expect("no thread has panicked").first_due.get_or_insert(due);
                let since = arrived.saturating_sub(first);
                let stall = Duration::from_secs(since.as_secs()) + Duration::from_millis(500);
                if (stall..stall + length).contains(&since) { first + stall + length } else { arrived }
            }
        }
    }

    fn append(&self, records: &Bytes) -> Response {
        let mut state = self.state.lock().expect("no thread has panicked");
        let base_offset = state.end;
        let mut batch = records.to_vec();
        stamp(&mut batch, Offset(base_offset), LeaderEpoch(0));
        state.log.extend_from_slice(&batch);
        state.end += i64::from(BatchHeader::parse(records).expect("a batch").last_offset_delta) + 1;
        let part = PartitionProduceResponse { base_offset, ..Default::default() };
        let topic = TopicProduceResponse { name: "t".into(), partition_responses: vec![part], ..Default::default() };
        ProduceResponse { responses: vec![topic], ..Default::default() }.into()
    }

    fn reply(&self, request: &Request) -> Response {
        match request {
            Request::ApiVersions(_) => {
                let one = |api: &ApiKey| ApiVersion {
                    api_key: api.key(),
                    min_version: api.versions().min,
                    max_version: api.versions().max,
                };
                ApiVersionsResponse { api_keys: ApiKey::ALL.iter().map(one).collect(), ..Default::default() }.into()
            }
            Request::Metadata(_) => self.metadata(),
            Request::InitProducerId(_) => InitProducerIdResponse { producer_id: 7, ..Default::default() }.into(),
            Request::ListOffsets(_) => {
                let part = ListOffsetsPartitionResponse { offset: 0, ..Default::default() };
                let topic = ListOffsetsTopicResponse { name: "t".into(), partitions: vec![part] };
                ListOffsetsResponse { topics: vec![topic], ..Default::default() }.into()
            }
            // It says nothing of its configs.
            Request::DescribeConfigs(_) => {
                DescribeConfigsResponse { results: vec![DescribeConfigsResult::default()], ..Default::default() }.into()
            }
            Request::Fetch(request) => self.fetch(request.topics[0].partitions[0].fetch_offset),
            other => panic!("{other:?}"),
        }
    }

    fn metadata(&self) -> Response {
        let port = i32::from(self.address.port());
        let broker = MetadataResponseBroker { node_id: 1, host: "127.0.0.1".into(), port, ..Default::default() };
        let partition = MetadataResponsePartition {
            leader_id: 1,
            replica_nodes: vec![1],
            isr_nodes: vec![1],
            ..Default::default()
        };
        let topic = MetadataResponseTopic { name: Some("t".into()), partitions: vec![partition], ..Default::default() };
        MetadataResponse { brokers: vec![broker], controller_id: 1, topics: vec![topic], ..Default::default() }.into()
    }

    /// What is stored from there on; looks no more often than is good for what is measured.
    fn fetch(&self, offset: i64) -> Response {
        std::thread::sleep(Duration::from_millis(20));
        let state = self.state.lock().expect("no thread has panicked");
        let from = shards::batch::walk(&state.log).find(|(_, header)| header.base_offset >= offset);
        let records = from.map_or(&[][..], |(at, _)| &state.log[at..]);
        let part = PartitionData {
            high_watermark: state.end,
            records: Some(Bytes::copy_from_slice(records).into()),
            ..Default::default()
        };
        let topic = FetchableTopicResponse { topic: "t".into(), partitions: vec![part], ..Default::default() };
        FetchResponse { responses: vec![topic], ..Default::default() }.into()
    }

    /// Bounds of what each of so many records took, in microseconds, in ascending order.
    fn took_us(&self, records: usize) -> [Vec<u64>; 2] {
        loop {
            let state = self.state.lock().expect("no thread has panicked");
            if state.most_us.len() >= records {
                let mut took = [state.least_us.clone(), state.most_us.clone()];
                took.iter_mut().for_each(|took| took.sort_unstable());
                return took;
            }
            drop(state);
            // Answers that the generator has already, and whose thread has not noted that they are out.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Answer {
    at: Duration,
    dues: Vec<Duration>,
    frame: Vec<u8>,
}

fn answer(mut out: TcpStream, answers: &Receiver<Answer>, state: &Mutex<State>) {
    for answer in answers {
        std::thread::sleep(answer.at.saturating_sub(now()));
        let note = |took: fn(&mut State) -> &mut Vec<u64>| {
            let sent = now();
            let micros = answer.dues.iter().map(|due| u64::try_from((sent - *due).as_micros()).expect("a short time"));
            took(&mut state.lock().expect("no thread has panicked")).extend(micros);
        };
        note(|state| &mut state.least_us);
        if out.write_all(&answer.frame).is_err() {
            return;
        }
        note(|state| &mut state.most_us);
    }
}

fn frame(stream: &mut TcpStream) -> Option<Bytes> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame.into())
}

/// When each record of a batch was due.
fn dues(batch: &Bytes) -> Vec<Duration> {
    let count = BatchHeader::parse(batch).expect("a batch").record_count;
    let records = batch.slice(HEADER_BYTES..);
    let due = |value: &[u8]| {
        let due = value[DUE_AT..].first_chunk().expect("a record of the benchmark");
        Duration::from_nanos(u64::from_be_bytes(*due))
    };
    Records::new(&records, count).map(|record| due(record.expect("a record").value.expect("a value"))).collect()
}

/// Three seconds of records against it: what is reported.
fn report(late: &Late, args: &[&str]) -> Value {
    let out = tempfile::tempdir().expect("a directory");
    let address = late.address.to_string();
    let dir = out.path().to_str().expect("UTF-8");
    let run = ["bench", "--bootstrap", &address, "--topic", "t", "--partitions", "1", "--record-size", "100"];
    let of = ["--warmup", "0", "--duration", "3s", "--out", dir];
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    let done = command.args(run).args(of).args(args).output().expect("the binary runs");
    let text = std::fs::read_to_string(out.path().join("result.json"));
    let text = text.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["verdict"]["faults"], Value::Array(Vec::new()), "{json:#}");
    json
}

/// How long the record took that so large a share of all took no longer than, from what was counted.
fn quantile_us(report: &Value, latency: &str, share: f64) -> u64 {
    let latency = &report["latency_us"][latency];
    let counts = latency["counts"].as_str().expect("what was counted");
    let mut left = rank(number(&latency["count"]), share);
    for pair in counts.split(' ') {
        let (value, count) = pair.split_once(':').expect("a pair");
        left = left.saturating_sub(count.parse().expect("a count"));
        if left == 0 {
            return value.parse().expect("a value");
        }
    }
    panic!("{counts} are fewer than are said")
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).expect("a number")
}

/// From 1 to the count of all.
fn rank(count: usize, share: f64) -> usize {
    ((count as f64 * share).ceil() as usize).clamp(1, count)
}

/// Holds the report's quantiles against what the broker knows.
#[track_caller]
fn holds(late: &Late, report: &Value) {
    let count = number(&report["latency_us"]["ack"]["count"]);
    let [least, most] = late.took_us(count);
    assert_eq!((least.len(), most.len()), (count, count));
    let noise = quantile_us(report, "lateness", 1.0) + UNTOLD_US;
    // Of what comes when nothing is due any more a generator does not know how late it reads it: any of these may seem longer.
    let after_end = count - number(&report["measured"]["acked_in_time"]);
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
        let at = rank(count, share) - 1;
        let [shown, bare] = ["ack", "bare_ack"].map(|latency| quantile_us(report, latency, share));
        let told = &report["latency_us"]["ack"][name];
        assert!(told.is_null() || told.as_u64() == Some(shown), "{name} is told as {told} and counted as {shown}");
        let bounds = [least[at], most[at], most[(at + after_end).min(count - 1)]];
        let told = format!("{name}: shown {shown} µs, bare {bare} µs, known {bounds:?} µs");
        eprintln!("{told}, {noise} µs of noise at most");
        let [least, most, bare_most] = bounds.map(|us| us as f64);
        let bounds = (least * (1.0 - BUCKET)) as u64..=(most * (1.0 + BUCKET)) as u64 + noise;
        assert!(bounds.contains(&shown), "{told}");
        // Of a few the machine may have kept the answers themselves, between two sockets.
        assert!(share > 0.95 || bare <= (bare_most * (1.0 + BUCKET)) as u64 + GAP_US, "{told}");
    }
}

#[test]
fn a_fixed_delay_is_reported_as_it_was() {
    let late = Late::start(Delays::Fixed(Duration::from_millis(200)));
    let report = report(&late, &["--rate", RATE, "--clients", "2", "--in-flight", "1000"]);
    holds(&late, &report);
    assert!(quantile_us(&report, "ack", 0.0) >= 199_000, "{report:#}");
}

#[test]
fn two_delays_are_reported_in_their_shares() {
    let late = Late::start(Delays::Bimodal(Duration::from_millis(50), Duration::from_millis(400)));
    let report = report(&late, &["--rate", RATE, "--clients", "20", "--in-flight", "1000"]);
    holds(&late, &report);
    // Four of five records are answered after the first of the two, a fifth after the second.
    let [quick, slow] = [0.0, 0.81].map(|share| quantile_us(&report, "ack", share));
    assert!(quick >= 49_000 && slow >= 399_000, "{report:#}");
}

/// A tenth of the records are due in the stalls, and are late by what is left of them.
#[test]
fn stalls_of_a_tenth_of_each_second_are_reported_by_the_records_that_were_due_in_them() {
    let late = Late::start(Delays::Stalls(Duration::from_millis(100)));
    let report = report(&late, &["--rate", RATE, "--clients", "2", "--in-flight", "1000"]);
    holds(&late, &report);
    for (share, left_us) in [(0.92, 20_000), (0.95, 50_000), (0.99, 90_000)] {
        let shown = quantile_us(&report, "ack", share);
        // Between two records, and between the two clients.
        assert!(shown + 2 * GAP_US >= left_us, "{share}: {shown} µs: {report:#}");
    }
}

/// Of each second's records two fifths are late by up to the stall. Only the few that were on their way when it began show
/// that to whoever counts from the sending.
#[test]
fn a_stall_is_reported_by_all_records_that_were_due_in_it_and_a_closed_loop_hides_it() {
    let late = Late::start(Delays::Stalls(Duration::from_millis(400)));
    let report = report(&late, &["--rate", RATE, "--clients", "1", "--in-flight", "1"]);
    holds(&late, &report);
    let [open, closed] = ["ack", "service"].map(|latency| quantile_us(&report, latency, 0.9));
    // A tenth of the records waited for three quarters of a stall at least.
    assert!(open >= 295_000, "{report:#}");
    // On a machine that kept the generator waiting, its requests waited with it.
    let waited = quantile_us(&report, "lateness", 1.0);
    assert!(closed.saturating_sub(waited) * 2 < open, "the closed loop shows {closed} µs: {report:#}");
}

/// Half of what is due comes in time, and all of it in the end.
#[test]
fn a_broker_that_is_too_slow_for_a_rate_is_shown_with_what_it_held_and_the_run_is_invalid() {
    let late = Late::start(Delays::Fixed(Duration::from_millis(200)));
    let result = report(&late, &["--rate", "10", "--clients", "1", "--in-flight", "1", "--batch-size", "100"]);
    assert_eq!((&result["measured"]["acked"], &result["whole_run"]["made"]), (&30.into(), &30.into()));
    assert!(result["records_per_s"].as_f64().is_some_and(|held| held <= 5.0), "{}", result["records_per_s"]);
    assert!(result["whole_run"]["last_ack_after_s"].as_f64().is_some_and(|after| after > 2.5), "{result:#}");
    let doubts = result["verdict"]["doubts"].as_array().expect("a list");
    assert!(
        doubts.iter().any(|why| why.as_str().is_some_and(|why| why.contains("the rate was not held"))),
        "{doubts:?}"
    );
    assert_eq!(result["verdict"]["valid"], false);
}
