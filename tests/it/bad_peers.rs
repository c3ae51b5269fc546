//! Peers that mean harm: whatever they send, leave unsent or leave unread, another client is served meanwhile, memory
//! stays inside the budget, and nothing panics.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::Request;
use shards::batch::{CRC_FROM, Compression, CompressionLevels, HEADER_BYTES, crc};

use crate::broker::{Broker, Home, until};
use crate::dice::Dice;
use crate::ledger::{Appended, Ledger};
use crate::peer::{FETCH, batch, fetch_request, frame};

pub const MEMORY_MIB: u64 = 128;
/// Beside `memory`: the program, its threads, and what the allocator holds back.
const BESIDE_MIB: u64 = 64;
/// Other clients may wait for memory for so long, which is when peers that hold it without need are cut off.
const WAIT_MAX: Duration = Duration::from_secs(8);
const LINE: &str = "\"connection closed\"";

fn broker(home: &Home) -> Broker {
    broker_with(home, &["--set", "shards=2"])
}

pub fn broker_with(home: &Home, flags: &[&str]) -> Broker {
    let memory = format!("memory={}", MEMORY_MIB << 20);
    let broker = home.dev(&[&["--set", &memory, "--set", "journal.bytes=16777216"], flags].concat());
    assert_eq!(broker.connect().create("bystander", 1), ErrorCode::None);
    broker
}

/// A client that produces and fetches all the while.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    pub rounds: Arc<AtomicUsize>,
    thread: JoinHandle<(Ledger, Duration)>,
}

impl Bystander {
    pub fn of(broker: &Broker) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut peer = broker.connect();
        let (stopped, counted) = (stop.clone(), rounds.clone());
        let thread = std::thread::spawn(move || {
            let mut ledger = Ledger::new("bystander", 1000);
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                assert_eq!(ledger.append(&mut peer), Appended::Acked);
                let end = i64::try_from(ledger.acked()).expect("a small number");
                let reply = peer.fetch(fetch_request("bystander", end - 1));
                let part = &reply.responses[0].partitions[0];
                assert_eq!(part.high_watermark, end);
                assert!(part.records.as_ref().is_some_and(|records| !records.is_empty()));
                longest = longest.max(began.elapsed());
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
            (ledger, longest)
        });
        Self { stop, rounds, thread }
    }

    /// It must have been served all the while; and all that it was acked is there.
    pub fn check(self, broker: &Broker) {
        // At least one more round after all that was done.
        let (seen, deadline) = (self.rounds.load(Ordering::Relaxed), Instant::now() + WAIT_MAX);
        while self.rounds.load(Ordering::Relaxed) < seen + 2 && Instant::now() < deadline && !self.thread.is_finished()
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.stop.store(true, Ordering::Relaxed);
        let (ledger, longest) = self.thread.join().expect("the bystander is served");
        assert!(longest < WAIT_MAX, "a round took {longest:?}");
        assert!(ledger.acked() > 1, "no round at all");
        ledger.check(&mut broker.connect());
        check_health(broker);
    }
}

fn check_health(broker: &Broker) {
    let stderr = broker.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
    let (peak, most) = (broker.peak_memory_bytes() >> 20, MEMORY_MIB + BESIDE_MIB);
    assert!(peak <= most, "{peak} MiB of memory at the peak, not {most}");
}

pub fn connect(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(broker.address).expect("the broker listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream
}

/// Sends these bytes and no more; the broker must end the connection.
fn until_closed(broker: &Broker, bytes: &[u8]) -> SocketAddr {
    let mut stream = connect(broker);
    stream.write_all(bytes).expect("the broker reads");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "it stays open after {bytes:?}"),
    }
    stream.local_addr().expect("an address")
}

/// The lines on closed connections so far.
fn closed_lines(broker: &Broker) -> Vec<String> {
    broker.stderr().lines().filter(|line| line.contains(LINE)).map(str::to_owned).collect()
}

/// The lines on this peer's connection, once there is one: the log is written beside the cores.
pub fn closed_lines_of(broker: &Broker, peer: &str) -> Vec<String> {
    let told = || closed_lines(broker).into_iter().filter(|line| line.contains(peer)).collect::<Vec<_>>();
    until("a line in the log", || !told().is_empty());
    told()
}

#[test]
fn each_peer_that_sends_no_request_gets_one_log_line_with_peer_api_and_reason() {
    let home = Home::new();
    let broker = broker(&home);
    let bystander = Bystander::of(&broker);
    let cases: [(&[u8], &str, &str); 7] = [
        (&[0xff, 0xff, 0xff, 0xfe], "-", "-2"),
        (&[0, 0, 0, 0], "-", "0"),
        (&[0x06, 0x40, 0, 0], "-", "104857600"),
        (&[0x7f, 0xff, 0xff, 0xff], "-", "2147483647"),
        (&[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1], "", "32767"),
        (&[0, 0, 0, 8, 0, 3, 0x7f, 0xff, 0, 0, 0, 1], "Metadata", "32767"),
        (&[0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff], "Metadata", ""),
    ];
    for (bytes, api, reason) in cases {
        let peer = until_closed(&broker, bytes).to_string();
        let lines = closed_lines_of(&broker, &peer);
        assert_eq!(lines.len(), 1, "{bytes:?}: {lines:?}");
        for part in ["\"peer\"", "\"api\"", "\"reason\"", api, reason] {
            assert!(lines[0].contains(part), "{part:?} is missing after {bytes:?}: {}", lines[0]);
        }
    }
    bystander.check(&broker);
}

#[test]
fn random_and_half_frames_touch_nobody_else_and_their_log_lines_are_few() {
    const PEERS: usize = 600;
    /// Of each shard, in the ten seconds that this takes at most.
    const LINES_MAX: usize = 20;
    let home = Home::new();
    let broker = broker(&home);
    let bystander = Bystander::of(&broker);
    let mut dice = Dice::new(1);
    let began = Instant::now();
    for _ in 0..PEERS {
        let bytes = match dice.below(3) {
            0 => {
                let len = 1 + dice.below(200);
                dice.bytes(len)
            }
            kind => {
                // A header that is right, and a body that is not.
                let body_bytes = dice.below(300);
                let (api, version) = (dice.below(76) as u8, dice.below(14) as u8);
                let body = dice.bytes(body_bytes);
                let len = u32::try_from(8 + body.len()).expect("a small frame");
                let mut frame = len.to_be_bytes().to_vec();
                frame.extend_from_slice(&[0, api, 0, version, 0, 0, 0, 1]);
                frame.extend_from_slice(&body);
                frame.truncate(if kind == 1 { frame.len() } else { frame.len() / 2 });
                frame
            }
        };
        let mut stream = connect(&broker);
        if stream.write_all(&bytes).is_err() {
            continue;
        }
        // Already closed by the broker is as good.
        let _closed = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // Ended or reset: both are an end.
        let _end = stream.read_to_end(&mut answer);
    }
    let windows = began.elapsed().as_secs() as usize / 10 + 2;
    let lines = closed_lines(&broker).len();
    assert!(0 < lines && lines <= 2 * LINES_MAX * windows, "{lines} lines for {PEERS} peers");
    bystander.check(&broker);
}

#[test]
fn slow_and_idle_peers_and_large_claims_keep_nobody_from_the_memory() {
    let home = Home::new();
    let broker = broker(&home);
    let bystander = Bystander::of(&broker);
    // More than there is memory for, in frames that are as long as they may be, and a byte now and then.
    let mut slow: Vec<_> = (0..60).map(|_| connect(&broker)).collect();
    for (stream, len) in slow.iter_mut().zip([10u32 << 20, 100 << 10, 1 << 20].iter().cycle()) {
        stream.write_all(&[&len.to_be_bytes()[..], &[0, 0, 0, 9]].concat()).expect("the broker reads");
    }
    let idle: Vec<_> = (0..1000).map(|_| connect(&broker)).collect();
    for _ in 0..7 {
        for stream in &mut slow {
            // Those that were cut off are what this is about.
            let _cut_off = stream.write_all(&[0]);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    for _ in 0..2000 {
        drop(connect(&broker));
    }
    bystander.check(&broker);
    drop((slow, idle));
}

/// Makes a topic of 21 MiB; a request for all of it.
fn large_fetch(broker: &Broker) -> Vec<u8> {
    let mut peer = broker.connect();
    assert_eq!(peer.create("large", 1), ErrorCode::None);
    let value = vec![7; 900 << 10];
    for _ in 0..24 {
        assert_eq!(peer.append("large", &batch(&[&value], None)).0, ErrorCode::None);
    }
    let mut ask = fetch_request("large", 0);
    ask.max_bytes = 20 << 20;
    ask.topics[0].partitions[0].partition_max_bytes = 20 << 20;
    frame(&Request::from(ask), FETCH)
}

/// Peers that ask for it four times each, and read nothing.
fn unread(broker: &Broker, request: &[u8], peers: usize) -> Vec<TcpStream> {
    let mut unread: Vec<_> = (0..peers).map(|_| connect(broker)).collect();
    for stream in &mut unread {
        for _ in 0..4 {
            stream.write_all(request).expect("the broker reads");
        }
    }
    unread
}

#[test]
fn replies_that_nobody_reads_hold_no_more_than_the_budget() {
    let home = Home::new();
    let broker = broker(&home);
    let request = large_fetch(&broker);
    let bystander = Bystander::of(&broker);
    let unread = unread(&broker, &request, 200);
    std::thread::sleep(Duration::from_secs(4));
    bystander.check(&broker);
    drop(unread);
}

#[test]
fn small_requests_are_served_while_frames_and_replies_hold_all_memory_that_peers_may_hold() {
    let home = Home::new();
    // One shard, so that all connections share a core.
    let broker = broker_with(&home, &["--set", "shards=1"]);
    let request = large_fetch(&broker);
    let bystander = Bystander::of(&broker);
    let unread = unread(&broker, &request, 100);
    let mut claims: Vec<_> = (0..20).map(|_| connect(&broker)).collect();
    for stream in &mut claims {
        stream.write_all(&[&(20u32 << 20).to_be_bytes()[..], &[0, 0, 0, 9]].concat()).expect("the broker reads");
    }
    // By now all of it is held, and nobody has been cut off.
    std::thread::sleep(Duration::from_secs(1));
    let before = bystander.rounds.load(Ordering::Relaxed);
    until("those that hold the memory are cut off", || !closed_lines(&broker).is_empty());
    let rounds = bystander.rounds.load(Ordering::Relaxed) - before;
    assert!(rounds > 10, "{rounds} rounds until then");
    bystander.check(&broker);
    drop((unread, claims));
}

/// A batch whose records are `plain` packed, whatever its header says of them.
fn packed(codec: Compression, plain: &[u8]) -> Bytes {
    let mut batch = batch(&[b"x"], None).to_vec();
    batch.truncate(HEADER_BYTES);
    shards::batch::compress(codec, CompressionLevels::default(), plain, &mut batch).expect("packed");
    let len = u32::try_from(batch.len() - 12).expect("a small batch");
    batch[8..12].copy_from_slice(&len.to_be_bytes());
    batch[21..23].copy_from_slice(&codec.code().to_be_bytes());
    let crc = crc::crc32c(&batch[CRC_FROM..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

#[test]
fn decompression_bombs_are_refused_and_cost_no_more_memory_than_there_is() {
    let home = Home::new();
    let broker = broker(&home);
    let mut peer = broker.connect();
    assert_eq!(
        peer.create_with("repacked", 1, &[("compression.type", "gzip"), ("max.message.bytes", "8388608")]),
        ErrorCode::None
    );
    let bystander = Bystander::of(&broker);
    let zeros = vec![0; 300 << 20];
    let mut bombs = vec![packed(Compression::Gzip, &zeros), packed(Compression::Zstd, &zeros)];
    drop(zeros);
    // A frame of zstd that claims eight GiB.
    let mut claim = bombs[1].to_vec();
    let at = HEADER_BYTES;
    claim.splice(at.., [0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0]);
    let len = u32::try_from(claim.len() - 12).expect("a small batch");
    claim[8..12].copy_from_slice(&len.to_be_bytes());
    let crc = crc::crc32c(&claim[CRC_FROM..]);
    claim[17..21].copy_from_slice(&crc.to_be_bytes());
    bombs.push(claim.into());
    for bomb in &bombs {
        for _ in 0..3 {
            let (code, offset) = peer.append("repacked", bomb);
            assert!(matches!(code, ErrorCode::InvalidRecord | ErrorCode::UnknownServerError), "{code:?} at {offset}");
        }
    }
    assert_eq!(peer.list_offset("repacked", -1, 5), (ErrorCode::None, 0), "nothing of it was appended");
    bystander.check(&broker);
}
