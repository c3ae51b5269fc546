//! What `corelog bench` reports, held against a broker that answers late on purpose and knows how late it was.
//!
//! The broker reads from each record when it was due, and notes what lay between that and its answer. A report may never show
//! less. It may show more by as long as the generator was kept from the processor; how long that is on this machine, a record
//! that was made late tells: the same thread makes records and takes in answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corelog::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
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

/// The longest time between two records here: a generator that does not run for less makes none of them late.
const GAP: Duration = Duration::from_millis(40);
/// What it takes to send and receive, beside that.
const TRANSPORT: Duration = Duration::from_millis(20);
/// Three significant digits.
const BUCKET: f64 = 0.001;
/// In a record: when it was due, by the machine's clock, big-endian.
const DUE_AT: usize = 16;

/// How late a produce is answered.
#[derive(Clone, Copy)]
enum Delays {
    /// Each so long after it came.
    Fixed(Duration),
    /// Nothing is answered in the first so long of each second.
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
                    (self.answered_at(arrived, slow), dues(&records), self.append(&records))
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

    fn answered_at(&self, arrived: Duration, slow: bool) -> Duration {
        match self.delays {
            Delays::Fixed(delay) => arrived + delay,
            Delays::Bimodal(_, delay) if slow => arrived + delay,
            Delays::Bimodal(delay, _) => arrived + delay,
            Delays::Stalls(length) => arrived.max(Duration::from_secs(arrived.as_secs()) + length),
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

/// Three seconds of records against it: the latencies that the report shows, by name.
fn report(late: &Late, args: &[&str]) -> Value {
    result(late, args)["latency_us"].clone()
}

/// The same with all that the report has.
fn result(late: &Late, args: &[&str]) -> Value {
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

fn quantile_us(report: &Value, latency: &str, name: &str) -> u64 {
    report[latency][name].as_u64().expect("a figure")
}

/// Holds the report's quantiles against what the broker knows.
#[track_caller]
fn holds(late: &Late, report: &Value) {
    let count = report["ack"]["count"].as_u64().expect("a count") as usize;
    let [least, most] = late.took_us(count);
    assert_eq!((least.len(), most.len()), (count, count));
    let noise = quantile_us(report, "lateness", "max") + (GAP + TRANSPORT).as_micros() as u64;
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        let rank = ((count as f64 * share).ceil() as usize).clamp(1, count);
        let (shown, least, most) = (quantile_us(report, "ack", name), least[rank - 1], most[rank - 1]);
        eprintln!("{name}: shown {shown} µs, known {least} to {most} µs, and {noise} µs of noise at most");
        let bounds = (least as f64 * (1.0 - BUCKET)) as u64..=(most as f64 * (1.0 + BUCKET)) as u64 + noise;
        assert!(bounds.contains(&shown), "{name}: shown {shown} µs, known {least} to {most} µs");
    }
}

#[test]
fn a_fixed_delay_is_reported_as_it_was() {
    let late = Late::start(Delays::Fixed(Duration::from_millis(200)));
    let report = report(&late, &["--rate", "100", "--clients", "2", "--in-flight", "100"]);
    holds(&late, &report);
    assert!(quantile_us(&report, "ack", "p50") >= 199_000, "{report:#}");
}

#[test]
fn two_delays_are_reported_in_their_shares() {
    let late = Late::start(Delays::Bimodal(Duration::from_millis(50), Duration::from_millis(400)));
    // Each client's next record is due when its last is acked.
    let report = report(&late, &["--rate", "25", "--clients", "20"]);
    holds(&late, &report);
    assert!((49_000..399_000).contains(&quantile_us(&report, "ack", "p50")), "{report:#}");
    assert!(quantile_us(&report, "ack", "p90") >= 399_000, "{report:#}");
}

/// Of each second's records two fifths are late by up to the stall. Only the few that were on their way when it began show
/// that to whoever counts from the sending.
#[test]
fn a_stall_is_reported_by_all_records_that_were_due_in_it_and_a_closed_loop_hides_it() {
    let stall = Duration::from_millis(400);
    let late = Late::start(Delays::Stalls(stall));
    let report = report(&late, &["--rate", "200", "--clients", "1", "--in-flight", "1"]);
    holds(&late, &report);
    let [open, closed] = ["ack", "service"].map(|latency| quantile_us(&report, latency, "p90"));
    // Two of three stalls are whole, so that a tenth of the records waited for half of one at least.
    assert!(open >= 190_000, "{report:#}");
    assert!(closed * 2 < open, "the closed loop shows {closed} µs: {report:#}");
}

/// Half of what is due comes in time, and all of it in the end.
#[test]
fn a_broker_that_is_too_slow_for_a_rate_is_shown_with_what_it_held_and_the_run_is_invalid() {
    let late = Late::start(Delays::Fixed(Duration::from_millis(200)));
    let result = result(&late, &["--rate", "10", "--clients", "1", "--in-flight", "1", "--batch-size", "100"]);
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
