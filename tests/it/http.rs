//! The broker's own HTTP, over a real process: health, metrics, stages, settings, the level of the log.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use corelog::wire::ErrorCode;
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::broker::{Broker, Home};
use crate::ledger::{Appended, Ledger};
use crate::peer::batch;
use crate::settings::change_level;

const ANSWER: Duration = Duration::from_secs(20);

/// An answer of the broker.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    head: String,
    pub body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json"), "{self:#?}");
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// Where this broker's HTTP is, as it says itself.
fn http_of(broker: &Broker) -> SocketAddr {
    let told = broker.greeting().iter().find_map(|line| Some(line.split_once("; health and metrics: http://")?.1));
    told.expect("it is told").trim_end_matches('/').parse().expect("an address")
}

/// Starts a broker with HTTP on a port of the kernel's choice.
pub fn start(home: &Home, flags: &[&str]) -> (Broker, SocketAddr) {
    let flags: Vec<&str> = ["--set", "admin.listen=127.0.0.1:0"].iter().chain(flags).copied().collect();
    let broker = home.dev(&flags);
    let http = http_of(&broker);
    (broker, http)
}

pub fn get(http: SocketAddr, path: &str) -> Answer {
    ask(http, &format!("GET {path} HTTP/1.1\r\nhost: broker\r\nconnection: close\r\n\r\n"))
}

fn put(http: SocketAddr, path: &str, body: &str) -> Answer {
    let length = body.len();
    ask(
        http,
        &format!("PUT {path} HTTP/1.1\r\nhost: broker\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"),
    )
}

fn ask(http: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(http).expect("it listens");
    stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer, then the end");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text}"));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// The value of a sample, by its name and labels as they are written.
pub fn sample(page: &str, name: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is missing: {page}")).parse().expect("a number")
}

#[test]
fn a_broker_that_serves_is_live_and_ready_on_every_core() {
    let home = Home::new();
    let (_broker, http) = start(&home, &["--set", "shards=2"]);
    let live = get(http, "/livez");
    assert_eq!((live.status, &live.json()["status"]), (200, &Value::from("live")));
    let ready = get(http, "/readyz");
    let told = ready.json();
    assert_eq!((ready.status, &told["status"]), (200, &Value::from("ready")), "{told}");
    for shard in 0..2 {
        assert_eq!((&told["shards"][shard]["shard"], &told["shards"][shard]["ready"]), (&shard.into(), &true.into()));
    }
    assert!(get(http, "/").body.contains("/metrics"));
    assert_eq!(get(http, "/v1/dashboard").json()["title"], "corelog");
    assert_eq!(get(http, "/nothing").status, 404);
    assert_eq!(put(http, "/livez", "").status, 405);
}

#[test]
fn requests_are_counted_by_core_and_stage() {
    let home = Home::new();
    let (broker, http) = start(&home, &[]);
    let requests = "corelog_requests_total{shard=\"0\",api=\"ApiVersions\"}";
    let decoded = "corelog_stage_seconds_count{shard=\"0\",request=\"other\",stage=\"decode\"}";
    for _ in 0..3 {
        broker.connect().check_served();
    }
    let decodes = |stages: &Value| stage(stages, "other", "decode").is_some_and(|decode| decode["count"] == 3);
    let stages = stages_when(http, |stages| count(stages, "other") == 3 && decodes(stages));
    let answer = get(http, "/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:#?}");
    let page = answer.body;
    assert_eq!((sample(&page, requests), sample(&page, decoded)), (3.0, 3.0));
    assert_eq!(sample(&page, "kafka_network_requestmetrics_requests_total{request=\"ApiVersions\"}"), 3.0);
    assert_eq!(sample(&page, "corelog_ready"), 1.0);
    assert_eq!(sample(&page, "corelog_disk_full{shard=\"0\"}"), 0.0);
    assert!(sample(&page, "process_resident_memory_bytes") > 1e6);
    assert!(sample(&page, "corelog_disk_free_bytes") > 1e6);
    let decode = stage(&stages, "other", "decode").expect("a stage");
    assert!(decode["p50_ns"].as_u64() <= decode["max_ns"].as_u64() && decode["sum_ns"].as_u64() > Some(0));
    assert_eq!(stages["all"], stages["shards"][0]["stages"], "there is one shard");
}

/// The stage of all cores together; `None`: nothing went through it.
fn stage<'a>(stages: &'a Value, request: &str, stage: &str) -> Option<&'a Value> {
    let all = stages["all"].as_array().expect("a list");
    all.iter().find(|told| told["request"] == request && told["stage"] == stage)
}

/// The stages once they are so: a reply is there a little before its request is over and noted.
fn stages_when(http: SocketAddr, are_so: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + ANSWER;
    loop {
        let stages = get(http, "/v1/stages").json();
        if are_so(&stages) {
            return stages;
        }
        assert!(Instant::now() < until, "{stages:#}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many requests of this class are over.
fn count(stages: &Value, request: &str) -> u64 {
    stage(stages, request, "total").and_then(|total| total["count"].as_u64()).unwrap_or(0)
}

/// What the stages of a class come to, and its whole time, in nanoseconds.
fn sums(stages: &Value, request: &str) -> (u64, u64) {
    let all = stages["all"].as_array().expect("a list");
    let sum_of = |total: bool| -> u64 {
        let of = all.iter().filter(|told| told["request"] == request && (told["stage"] == "total") == total);
        of.map(|told| told["sum_ns"].as_u64().expect("a number")).sum()
    };
    (sum_of(false), sum_of(true))
}

#[test]
fn stages_add_up_to_the_time_of_requests() {
    let home = Home::new();
    let (broker, http) = start(&home, &["--set", "shards=2"]);
    let mut peer = broker.connect();
    let mut ledger = Ledger::new("t", 100);
    assert_eq!((peer.create("t", 1), peer.create("wide", 8)), (ErrorCode::None, ErrorCode::None));
    for _ in 0..25 {
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
        // Both cores own some: the request is one all the same.
        let answers = peer.produce("wide", -1, &vec![batch(&[b"v"], None); 8]);
        assert!(answers.iter().all(|answer| answer.error_code == ErrorCode::None), "{answers:?}");
    }
    ledger.check(&mut peer);
    // A report is put together while requests pass: only of a core at rest it is of one moment.
    let adds_up = |stages: &Value, request| {
        let (parts, whole) = sums(stages, request);
        whole > 0 && parts == whole
    };
    let all_over = |stages: &Value| count(stages, "produce") == 50 && count(stages, "fetch") > 0;
    let classes = ["produce", "fetch", "other"];
    let stages = stages_when(http, |stages| all_over(stages) && classes.iter().all(|class| adds_up(stages, class)));
    for stage_name in ["read", "decode", "route", "queue", "append", "commit_wait", "write_sync", "reply", "send"] {
        let told = stage(&stages, "produce", stage_name).unwrap_or_else(|| panic!("{stage_name}: {stages:#}"));
        assert_eq!(told["count"], 50, "{stage_name}");
    }
    assert!(stage(&stages, "fetch", "read_memory").is_some(), "{stages:#}");
    assert!(stage(&stages, "core", "write_sync").is_some() && stage(&stages, "core", "route").is_some(), "{stages:#}");
}

#[test]
fn slow_requests_keep_a_trace_that_adds_up() {
    let home = Home::new();
    let every = ["--set", "slow.request.ms=0"];
    let (broker, http) = start(&home, &every);
    let mut peer = broker.connect();
    let mut ledger = Ledger::new("t", 20_000);
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    for _ in 0..4 {
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
    }
    stages_when(http, |stages| count(stages, "produce") == 4);
    let told = get(http, "/v1/slow").json();
    let slow = told["requests"].as_array().expect("a list");
    let produce = slow.iter().find(|slow| slow["api"] == "Produce").unwrap_or_else(|| panic!("none: {told:#}"));
    let stages = produce["stages"].as_array().expect("a list");
    assert!(stages.iter().any(|step| step["stage"] == "write_sync"), "{produce:#}");
    let sum: u64 = stages.iter().map(|step| step["ns"].as_u64().expect("a number")).sum();
    assert_eq!(produce["total_ns"].as_u64(), Some(sum), "{produce:#}");
    assert!(produce["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert!(slow.windows(2).all(|pair| pair[0]["ended_ms"].as_i64() >= pair[1]["ended_ms"].as_i64()), "newest first");

    // What a clean stop left is read from the disk, but for the last block.
    broker.terminate();
    let (broker, http) = start(&home, &every);
    ledger.check(&mut broker.connect());
    stages_when(http, |stages| stage(stages, "fetch", "read_disk").is_some());
    drop(broker);
    let (_broker, http) = start(&home, &[]);
    assert_eq!(get(http, "/v1/slow").json()["requests"].as_array().map(Vec::len), Some(0));
}

#[test]
fn settings_are_told_with_where_they_are_from() {
    let home = Home::new();
    let (_broker, http) = start(&home, &["--set", "num.partitions=4"]);
    let told = get(http, "/v1/config").json();
    let settings = told["settings"].as_array().expect("a list");
    let find = |key: &str| settings.iter().find(|setting| setting["key"] == key).expect("a setting");
    assert_eq!((&find("num.partitions")["value"], &find("num.partitions")["origin"]), (&"4".into(), &"--set".into()));
    assert_eq!(find("node.id")["origin"], "default");
}

#[test]
fn the_level_of_the_log_changes_while_the_broker_runs() {
    let home = Home::new();
    let (broker, http) = start(&home, &["--set", "log_level=error"]);
    assert_eq!(get(http, "/v1/log-level").json()["level"], "error");
    let refused = put(http, "/v1/log-level", "loud");
    assert!(refused.status == 400 && refused.body.contains("error, warn, info, debug, trace"), "{refused:#?}");
    assert_eq!(put(http, "/v1/log-level", &"x".repeat(5000)).status, 413);
    assert!(!broker.stderr().contains("no API with key"), "{}", broker.stderr());
    let set = put(http, "/v1/log-level", "warn\n");
    assert_eq!((set.status, &set.json()["level"]), (200, &Value::from("warn")));
    // What closes a connection is a warning.
    let mut bad = broker.connect();
    bad.send(&[0x7f, 0xff, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bad.receive(), None);
    let left = broker.terminate();
    assert!(left.stderr.contains("the level of the log was changed"), "{}", left.stderr);
    assert!(left.stderr.contains("no API with key"), "{}", left.stderr);
}

#[test]
fn the_level_of_the_log_changes_for_kafkas_clients_as_well() {
    let home = Home::new();
    let (broker, http) = start(&home, &["--set", "log_level=error"]);
    let mut peer = broker.connect();
    let level = || get(http, "/v1/log-level").json()["level"].clone();
    assert_eq!((change_level(&mut peer, Some("WARN")), level()), (ErrorCode::None, "warn".into()));
    let mut bad = broker.connect();
    bad.send(&[0x7f, 0xff, 0, 0, 0, 0, 0, 1]);
    assert_eq!(bad.receive(), None);
    assert_eq!((change_level(&mut peer, Some("warn")), level()), (ErrorCode::InvalidConfig, "warn".into()));
    assert_eq!((change_level(&mut peer, None), level()), (ErrorCode::None, "error".into()));
    let left = broker.terminate();
    assert_eq!(left.stderr.matches("the level of the log was changed").count(), 2, "{}", left.stderr);
    assert!(left.stderr.contains("no API with key"), "what closes a connection is a warning: {}", left.stderr);
}

#[test]
fn a_port_that_is_taken_ends_only_a_start_that_asked_for_it() {
    let home = Home::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = taken.local_addr().expect("its address").to_string();
    let left = home.dev_refused(&["--set", &format!("admin.listen={addr}")]);
    assert!(!left.status.success(), "{left:#?}");
    for part in [&addr, "admin.listen", "HTTP"] {
        assert!(left.stderr.contains(part), "{part} is missing: {}", left.stderr);
    }
}

#[test]
fn with_the_setting_empty_there_is_no_http() {
    let home = Home::new();
    for off in ["admin.listen=", "admin.listen=0"] {
        let broker = home.dev(&["--set", off]);
        assert!(!broker.greeting().iter().any(|line| line.contains("http")), "{:?}", broker.greeting());
    }
}

#[test]
fn a_silent_peer_and_a_broken_request_keep_nobody_else_waiting() {
    let home = Home::new();
    let (broker, http) = start(&home, &[]);
    let mut silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(http).expect("it listens")).collect();
    silent[0].write_all(b"GET /metrics HTTP/1.1\r\n").expect("it reads");
    silent[1].write_all(&[0xff; 4096]).expect("it reads");
    assert_eq!(get(http, "/readyz").status, 200);
    assert_eq!(ask(http, "garbage\r\n\r\n").status, 400);
    broker.connect().check_served();
}

#[test]
fn sigusr1_prints_the_stages_of_every_core() {
    let home = Home::new();
    let broker = home.dev(&["--set", "shards=2"]);
    kill_process(broker.pid(), Signal::USR1).expect("it runs");
    let until = Instant::now() + ANSWER;
    while broker.stderr().matches("p99.9").count() < 2 {
        assert!(Instant::now() < until, "no table: {}", broker.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What `corelog stages` says of this broker, and its exit code.
fn stages(http: SocketAddr, flags: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    command.env_clear().arg("stages").arg("--admin").arg(http.to_string()).args(flags);
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned())
}

#[test]
fn the_command_shows_the_stages_of_a_running_broker() {
    let home = Home::new();
    let (broker, http) = start(&home, &["--set", "shards=2"]);
    broker.connect().check_served();
    let (code, table, _) = stages(http, &[]);
    assert_eq!(code, Some(0));
    assert!(table.contains("p99.9 µs") && table.contains("decode") && table.contains("all"), "{table}");
    let (_, told, _) = stages(http, &["-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["shards"].as_array().map(Vec::len), Some(2), "{told}");
    broker.kill();
    let (code, _, error) = stages(http, &[]);
    assert!(code == Some(3) && error.contains("--admin"), "{code:?} {error}");
}

#[test]
fn the_busiest_partitions_and_clients_are_told() {
    let home = Home::new();
    let (broker, http) = start(&home, &["--set", "shards=2"]);
    let mut peer = broker.connect();
    let mut ledger = Ledger::new("t", 100);
    assert_eq!(peer.create("t", 1), ErrorCode::None);
    for _ in 0..5 {
        assert_eq!(ledger.append(&mut peer), Appended::Acked);
    }
    let told = get(http, "/v1/partitions").json();
    let partitions = told["partitions"].as_array().expect("a list");
    let ours = partitions.iter().find(|told| told["topic"] == "t").unwrap_or_else(|| panic!("none: {told:#}"));
    assert_eq!((&ours["appended_records"], &ours["high_watermark"]), (&5.into(), &5.into()), "{ours:#}");
    let told = get(http, "/v1/clients").json();
    let client = &told["clients"][0];
    assert!(client["requests"].as_u64() >= Some(6) && client["received_bytes"].as_u64() > Some(500), "{told:#}");
}

#[test]
fn top_without_a_terminal_says_what_to_do_instead() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelog"));
    let Output { status, stderr, .. } = command.env_clear().arg("top").output().expect("it runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.code() == Some(2) && stderr.contains("corelog stages"), "{status}: {stderr}");
}
