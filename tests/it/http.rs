//! The broker's own HTTP, over a real process: health, metrics, stages, settings, the level of the log.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use crate::broker::{Broker, Home};

const ANSWER: Duration = Duration::from_secs(20);

/// An answer of the broker.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
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
fn start(home: &Home, flags: &[&str]) -> (Broker, SocketAddr) {
    let flags: Vec<&str> = ["--set", "admin.listen=127.0.0.1:0"].iter().chain(flags).copied().collect();
    let broker = home.dev(&flags);
    let http = http_of(&broker);
    (broker, http)
}

fn get(http: SocketAddr, path: &str) -> Answer {
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
fn sample(page: &str, name: &str) -> f64 {
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
    assert_eq!(get(http, "/nothing").status, 404);
    assert_eq!(put(http, "/livez", "").status, 405);
}

#[test]
fn requests_are_counted_by_core_and_stage() {
    let home = Home::new();
    let (broker, http) = start(&home, &[]);
    let requests = "corelog_requests_total{shard=\"0\",api=\"ApiVersions\"}";
    let decoded = "corelog_stage_seconds_count{shard=\"0\",stage=\"decode\"}";
    for _ in 0..3 {
        broker.connect().check_served();
    }
    let answer = get(http, "/metrics");
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{answer:#?}");
    let page = answer.body;
    assert_eq!((sample(&page, requests), sample(&page, decoded)), (3.0, 3.0));
    assert_eq!(sample(&page, "kafka_network_requestmetrics_requests_total{request=\"ApiVersions\"}"), 3.0);
    assert_eq!(sample(&page, "corelog_ready"), 1.0);
    assert_eq!(sample(&page, "corelog_disk_full{shard=\"0\"}"), 0.0);
    assert!(sample(&page, "process_resident_memory_bytes") > 1e6);
    assert!(sample(&page, "corelog_disk_free_bytes") > 1e6);
    let stages = get(http, "/v1/stages").json();
    let decode = &stages["shards"][0]["stages"][0];
    assert_eq!((&decode["stage"], &decode["count"]), (&"decode".into(), &3.into()), "{stages}");
    assert!(decode["p50_ns"].as_u64() <= decode["max_ns"].as_u64() && decode["sum_ns"].as_u64() > Some(0));
    assert_eq!(stages["all"][0], stages["shards"][0]["stages"][0].clone());
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
    while broker.stderr().matches("commit_wait").count() < 2 {
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
