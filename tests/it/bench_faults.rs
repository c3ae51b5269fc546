//! `corelog bench` and a broker behind a proxy that loses, repeats or swaps records on purpose, or hangs up: what is planted is
//! found, no more and no less.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use corelog::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse, TopicProduceData,
    TopicProduceResponse,
};
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Bytes, Reader, RequestHeader, encode_response};
use serde_json::Value;
use shards::batch::{BatchHeader, CRC_FROM, crc};

use crate::broker::{Broker, Home};
use crate::commands::Ran;

/// What becomes of one request that brings records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It is acked and not stored.
    Lost,
    /// It is stored twice.
    Twice,
    /// It is acked, and stored after the one that follows it.
    Swapped,
    /// The connection ends in the place of its answer.
    HangUp,
}

/// The request with records that has the fault, of all of a run.
const FAULTY: u64 = 20;
/// Producer id, epoch and sequence of a batch: without them a broker does not see what is planted.
const PRODUCER: std::ops::Range<usize> = 43..57;

struct Proxy {
    fault: Fault,
    broker: SocketAddr,
    /// Requests with records so far.
    requests: AtomicU64,
    /// Records in the one that has the fault.
    planted: AtomicU64,
    /// What comes after the next request of its connection.
    held: Mutex<Option<Vec<u8>>>,
}

/// A request with records.
struct Produce {
    header: RequestHeader,
    request: ProduceRequest,
}

impl Produce {
    /// `None`: it is another request.
    fn of(frame: &[u8]) -> Option<Produce> {
        let frame = Bytes::copy_from_slice(frame);
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).ok()?;
        let api = ApiKey::from_key(header.api_key).ok()?;
        match Request::decode(api, &mut reader, header.api_version).ok()? {
            Request::Produce(request) => Some(Produce { header, request }),
            _ => None,
        }
    }

    fn records(&self) -> &Bytes {
        self.request.topic_data[0].partition_data[0].records.as_ref().expect("records")
    }

    /// The answer of a broker that has stored it.
    fn acked(&self) -> Vec<u8> {
        let part = |part: &PartitionProduceData| PartitionProduceResponse { index: part.index, ..Default::default() };
        let topic = |topic: &TopicProduceData| TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses: topic.partition_data.iter().map(part).collect(),
        };
        let responses = self.request.topic_data.iter().map(topic).collect();
        let reply: Response = ProduceResponse { responses, ..Default::default() }.into();
        let frame = encode_response(&reply, self.header.api_version, self.header.correlation_id).expect("a reply");
        frame.concat().split_off(4)
    }

    /// The same frame, from a producer without a name.
    fn nameless(&self, mut frame: Vec<u8>) -> Vec<u8> {
        let records = self.records();
        let at = frame.windows(records.len()).position(|bytes| bytes == &records[..]).expect("they are in it");
        let batch = &mut frame[at..at + records.len()];
        batch[PRODUCER].fill(0xff);
        let crc = crc::crc32c(&batch[CRC_FROM..]);
        batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        frame
    }
}

impl Proxy {
    /// A broker that tells its clients to come through a proxy with this fault.
    fn start(home: &Home, fault: Fault) -> (Broker, Arc<Proxy>, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let broker = home.dev(&["--set", &format!("advertised.listeners=PLAINTEXT://{address}")]);
        let (requests, planted, held) = Default::default();
        let proxy = Arc::new(Proxy { fault, broker: home.address, requests, planted, held });
        let serving = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (proxy, stream) = (serving.clone(), stream.expect("a connection"));
                std::thread::spawn(move || proxy.serve(stream));
            }
        });
        (broker, proxy, address)
    }

    /// One request at a time, so that what is planted comes where it is wanted. `None`: somebody has hung up.
    fn serve(&self, mut client: TcpStream) -> Option<()> {
        let mut broker = TcpStream::connect(self.broker).ok()?;
        for stream in [&client, &broker] {
            stream.set_nodelay(true).ok()?;
        }
        loop {
            let request = receive(&mut client)?;
            let reply = match Produce::of(&request) {
                Some(produce) => self.produce(&produce, request, &mut broker)?,
                None => ask(&mut broker, &request)?,
            };
            send(&mut client, &reply)?;
        }
    }

    fn produce(&self, produce: &Produce, request: Vec<u8>, broker: &mut TcpStream) -> Option<Vec<u8>> {
        let request = produce.nameless(request);
        if self.requests.fetch_add(1, Ordering::SeqCst) + 1 != FAULTY {
            let reply = ask(broker, &request)?;
            if let Some(held) = self.held.lock().expect("no thread has panicked").take() {
                ask(broker, &held)?;
            }
            return Some(reply);
        }
        let records = BatchHeader::parse(produce.records()).expect("a batch").record_count;
        self.planted.store(u64::try_from(records).expect("a count"), Ordering::SeqCst);
        match self.fault {
            Fault::Lost => Some(produce.acked()),
            Fault::Twice => {
                ask(broker, &request)?;
                ask(broker, &request)
            }
            Fault::Swapped => {
                *self.held.lock().expect("no thread has panicked") = Some(request);
                Some(produce.acked())
            }
            Fault::HangUp => None,
        }
    }
}

fn ask(broker: &mut TcpStream, request: &[u8]) -> Option<Vec<u8>> {
    send(broker, request)?;
    receive(broker)
}

fn send(stream: &mut TcpStream, frame: &[u8]) -> Option<()> {
    let len = u32::try_from(frame.len()).expect("a small frame");
    stream.write_all(&[&len.to_be_bytes()[..], frame].concat()).ok()
}

fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

/// A run through the proxy: how it ended, and what it reports.
fn run(address: SocketAddr, out: &Path, args: &[&str]) -> (Ran, Value) {
    let (address, dir) = (address.to_string(), out.to_str().expect("UTF-8"));
    let run = ["bench", "--bootstrap", &address, "--topic", "t", "--partitions", "1", "--record-size", "100"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.args(run).args(["--warmup", "0", "--out", dir]).args(args);
    let done = Ran::from(command.output().expect("the binary runs"));
    let text = std::fs::read_to_string(out.join("result.json"));
    let json = serde_json::from_str(&text.unwrap_or_else(|e| panic!("{e}: {}", done.stderr))).expect("JSON");
    (done, json)
}

/// Plants a fault in a run of two seconds and looks for it where it must be found, and for nothing else.
#[track_caller]
fn is_found(fault: Fault, args: &[&str], found: &str, told: &str) {
    let home = Home::new();
    let (_broker, proxy, address) = Proxy::start(&home, fault);
    let two_seconds = ["--clients", "1", "--rate", "50", "--duration", "2s"];
    let (done, json) = run(address, &home.path().join("report"), &[&two_seconds[..], args].concat());
    let planted = proxy.planted.load(Ordering::SeqCst);
    assert!(planted > 0, "{}", done.stderr);
    for name in ["lost", "duplicated", "reordered"] {
        let wanted = if name == found { planted } else { 0 };
        assert_eq!(json["whole_run"][name], wanted, "{name}: {}", json["whole_run"]);
    }
    assert!(json["verdict"]["valid"] == false && json["verdict"]["partial"] == false, "{}", json["verdict"]);
    assert!(done.code == Some(1) && done.stderr.contains("the run failed: "), "{}", done.stderr);
    assert!(done.stderr.contains(told), "{}", done.stderr);
}

#[test]
fn a_record_that_was_acked_and_not_stored_is_found() {
    is_found(Fault::Lost, &[], "lost", "acked and never came");
}

#[test]
fn a_record_that_was_stored_twice_is_found_while_it_is_written_and_after() {
    for args in [&[][..], &["--produce-only"]] {
        is_found(Fault::Twice, args, "duplicated", "came more than once");
    }
}

#[test]
fn records_that_were_stored_in_another_order_are_found() {
    is_found(Fault::Swapped, &[], "reordered", "came out of order");
}

/// What the other threads did after it would be divided by the time until then.
#[test]
fn a_thread_whose_connection_breaks_ends_the_run_of_all() {
    let home = Home::new();
    let (_broker, _proxy, address) = Proxy::start(&home, Fault::HangUp);
    let began = Instant::now();
    let two = ["--clients", "2", "--threads", "2", "--rate", "40", "--duration", "100s"];
    let (done, json) = run(address, &home.path().join("report"), &two);
    assert!(began.elapsed() < Duration::from_secs(90), "the other thread went on");
    assert!(done.stderr.contains("its figures are partial"), "{}", done.stderr);
    let made = json["whole_run"]["made"].as_u64().expect("a count");
    let measured_s = json["measured_s"].as_f64().expect("a time");
    assert!(made < 2000 && measured_s < 90.0, "{}", json["whole_run"]);
}
