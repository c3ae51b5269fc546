//! An idempotent producer: several requests in flight on one connection, retries with the same sequences.
//!
//! Invariant: of one partition at most five batches are without an answer, and after any failure all of them are sent
//! again, oldest first, before anything new.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::init_producer_id::InitProducerIdRequest;
use corelog::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use shards::batch::Compression;
use shards::runtime::Runtime;
use shards::runtime::sim::SimRuntime;
use shards::types::Mono;

use crate::client::{Clients, Load, one_in, pause, pick};
use crate::history::{Event, Part, Value};
use crate::link::{Broken, Link};
use crate::payload::{self, Identity};

pub const BATCHES_IN_FLIGHT: usize = 5;
const REQUESTS_IN_FLIGHT: usize = 4;

struct Batch {
    first: i32,
    values: Vec<Value>,
    bytes: Bytes,
}

/// What one producer sends to one partition.
#[derive(Default)]
struct Lane {
    next_sequence: i32,
    /// Without an answer yet, oldest first.
    pending: VecDeque<Batch>,
    /// How many of them are on their way on this connection.
    sent: usize,
    /// Requests with a batch of this lane that are on their way.
    outstanding: usize,
    /// One of them failed: all are sent again once the others are answered.
    failed: bool,
    /// A batch was refused without being appended, so later ones may have passed it.
    was_refused: bool,
}

pub struct Producer {
    rt: SimRuntime,
    clients: Clients,
    number: u64,
    identity: Option<Identity>,
    lanes: BTreeMap<Part, Lane>,
    /// When the requests on their way were sent, and parts and first sequences of each.
    requests: VecDeque<(Mono, Vec<(Part, i32)>)>,
    version: i16,
}

impl Producer {
    pub fn new(rt: SimRuntime, clients: Clients) -> Producer {
        let number = clients.fresh_client();
        clients.progress.borrow_mut().add_producer(number);
        // By name below 13, by id from there on.
        let version = 9 + i16::try_from(pick(&rt, 5)).expect("small");
        Producer { rt, clients, number, identity: None, lanes: BTreeMap::new(), requests: VecDeque::new(), version }
    }

    /// Sends for as long as there is a broker and a test.
    pub async fn run(mut self) {
        while self.clients.wait_open(&self.rt).await {
            let round = self.clients.gate.round.get();
            self.start_over();
            if let Err(Broken::Nonsense(what)) = self.send_on_one_connection(round).await {
                self.clients.history.unexpected(what);
            }
            pause(&self.rt, Duration::from_millis(1 + pick(&self.rt, 10))).await;
        }
    }

    /// A new connection: everything without an answer goes out again.
    fn start_over(&mut self) {
        self.requests.clear();
        for lane in self.lanes.values_mut() {
            (lane.sent, lane.outstanding, lane.failed) = (0, 0, false);
        }
    }

    async fn send_on_one_connection(&mut self, round: u64) -> Result<(), Broken> {
        let mut link = Link::open(&self.rt, self.clients.addr).await?;
        while self.clients.is_current(round) {
            let limit = self.clients.load.get().reply_limit;
            let Some(identity) = self.identity else {
                self.identity = self.new_identity(&mut link, limit).await?;
                continue;
            };
            let may_send = link.in_flight() < REQUESTS_IN_FLIGHT;
            if may_send && (link.in_flight() == 0 || !one_in(&self.rt, 3)) {
                let batches = self.next_batches(identity);
                if !batches.is_empty() {
                    let request = self.request(batches);
                    link.send(request, self.version, limit).await?;
                    pause(&self.rt, Duration::from_micros(pick(&self.rt, self.pause_us()))).await;
                    continue;
                }
            }
            if link.in_flight() == 0 {
                pause(&self.rt, Duration::from_millis(10)).await;
                continue;
            }
            let reply = link.receive(limit).await?;
            let refused = self.clients.refusals.get();
            self.take_reply(reply)?;
            if self.clients.refusals.get() > refused {
                pause(&self.rt, Duration::from_millis(20 + pick(&self.rt, 100))).await;
            }
        }
        Ok(())
    }

    fn pause_us(&self) -> u64 {
        u64::try_from(self.clients.load.get().pause_max.as_micros()).expect("short").max(1)
    }

    async fn new_identity(&mut self, link: &mut Link, limit: Duration) -> Result<Option<Identity>, Broken> {
        while link.in_flight() > 0 {
            let reply = link.receive(limit).await?;
            self.take_reply(reply)?;
        }
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let Response::InitProducerId(reply) = link.ask(request, 4, limit).await? else {
            return Err(Broken::Nonsense("another reply than asked for".to_owned()));
        };
        // What the last identity left unanswered stays unknown.
        self.lanes.clear();
        if reply.error_code != ErrorCode::None {
            self.expect_refusal("InitProducerId", reply.error_code);
            pause(&self.rt, Duration::from_millis(20)).await;
            return Ok(None);
        }
        self.clients.history.push(Event::ProducerId { id: reply.producer_id });
        Ok(Some(Identity { id: reply.producer_id, epoch: reply.producer_epoch }))
    }

    /// The parts of the next request: one batch for each of a few partitions, old ones before new ones.
    fn next_batches(&mut self, identity: Identity) -> Vec<Part> {
        let parts: Vec<Part> =
            self.clients.topics.borrow().iter().flat_map(|topic| topic.parts().collect::<Vec<_>>()).collect();
        self.lanes.retain(|part, lane| lane.outstanding > 0 || parts.contains(part));
        if self.clients.is_hushed.get() {
            return Vec::new();
        }
        let resting = self.clients.resting.get();
        let progress = self.clients.progress.borrow();
        let may_send = |part: &Part| Some(part.topic) != resting && progress.may_send(self.number, *part);
        let parts: Vec<Part> = parts.into_iter().filter(may_send).collect();
        drop(progress);
        if parts.is_empty() {
            return Vec::new();
        }
        let mut chosen: Vec<Part> = Vec::new();
        for _ in 0..=pick(&self.rt, 3) {
            let part = parts[usize::try_from(pick(&self.rt, parts.len() as u64)).expect("an index")];
            if !chosen.contains(&part) && self.make_ready(part, identity) {
                chosen.push(part);
            }
        }
        chosen
    }

    /// Whether a batch of that partition may go out now; makes one if all others are on their way.
    fn make_ready(&mut self, part: Part, identity: Identity) -> bool {
        let load = self.clients.load.get();
        let lane = self.lanes.entry(part).or_default();
        if lane.failed {
            if lane.outstanding > 0 {
                return false;
            }
            (lane.sent, lane.failed) = (0, false);
        }
        if lane.sent < lane.pending.len() {
            return true;
        }
        if lane.pending.len() >= BATCHES_IN_FLIGHT {
            return false;
        }
        let records = 1 + pick(&self.rt, load.records_max);
        let long = if one_in(&self.rt, 8) { 16 } else { 1 };
        let filler = usize::try_from(pick(&self.rt, load.filler_max * long + 1)).expect("small");
        let codec = if one_in(&self.rt, 6) { Compression::Lz4 } else { Compression::None };
        let values: Vec<Value> = (0..records).map(|_| self.clients.fresh_value()).collect();
        let keyed = self.clients.topic(part.topic).is_some_and(|topic| topic.compacted);
        let bytes = payload::batch(&values, keyed, filler, codec, identity, lane.next_sequence, self.rt.wall_ms());
        for value in &values {
            self.clients.history.push(Event::Sent { part, producer: self.number, value: *value });
        }
        let first = lane.next_sequence;
        lane.next_sequence += i32::try_from(records).expect("small");
        lane.pending.push_back(Batch { first, values, bytes });
        true
    }

    fn request(&mut self, parts: Vec<Part>) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        let mut sent = Vec::new();
        for part in parts {
            let Some(lane) = self.lanes.get_mut(&part) else { continue };
            let batch = &lane.pending[lane.sent];
            lane.sent += 1;
            lane.outstanding += 1;
            sent.push((part, batch.first));
            let data = PartitionProduceData { index: part.index, records: Some(batch.bytes.clone()) };
            match topics.iter_mut().find(|topic| topic.topic_id == part.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => topics.push(TopicProduceData {
                    name: self.clients.topic(part.topic).map(|topic| topic.name.as_str().into()).unwrap_or_default(),
                    topic_id: part.topic,
                    partition_data: vec![data],
                }),
            }
        }
        self.requests.push_back((self.rt.now(), sent));
        ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 5_000, topic_data: topics }
    }

    fn take_reply(&mut self, reply: Response) -> Result<(), Broken> {
        let Response::Produce(reply) = reply else {
            return Err(Broken::Nonsense("another reply than asked for".to_owned()));
        };
        let (sent, asked) = self.requests.pop_front().expect("a request was sent");
        for (part, first) in asked {
            let topic = self.clients.topic(part.topic);
            let answer = reply
                .responses
                .iter()
                .filter(|t| {
                    if self.version >= 13 {
                        t.topic_id == part.topic
                    } else {
                        topic.as_ref().is_some_and(|known| *known.name == *t.name)
                    }
                })
                .flat_map(|t| &t.partition_responses)
                .find(|p| p.index == part.index);
            match answer {
                Some(answer) => self.take_answer(part, first, sent, answer),
                // A topic that was deleted meanwhile, asked for by its name.
                None if topic.is_none() => {
                    self.lanes.remove(&part);
                }
                None => return Err(Broken::Nonsense(format!("no answer for {part:?}"))),
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, part: Part, first: i32, sent: Mono, answer: &PartitionProduceResponse) {
        let is_relaxed = self.clients.is_relaxed(part.topic);
        let is_known = self.clients.topic(part.topic).is_some();
        let Load { may_be_full, may_refuse, damage, .. } = self.clients.load.get();
        let Some(lane) = self.lanes.get_mut(&part) else { return };
        lane.outstanding -= 1;
        match answer.error_code {
            ErrorCode::None | ErrorCode::DuplicateSequenceNumber => {
                let Some(at) = lane.pending.iter().position(|batch| batch.first == first) else { return };
                let batch = lane.pending.remove(at).expect("it is there");
                lane.sent = lane.sent.saturating_sub(1);
                let base =
                    (answer.error_code == ErrorCode::None && answer.base_offset >= 0).then_some(answer.base_offset);
                let when = self.rt.now();
                let mut end = 0;
                for (offset, value) in (0..).zip(batch.values) {
                    let offset = base.map(|base| base + offset);
                    end = offset.map_or(0, |offset| offset + 1);
                    self.clients.history.push(Event::Acked { part, value, offset, sent, when });
                }
                self.clients.progress.borrow_mut().acked(self.number, part, sent, end);
                self.clients.acks.set(self.clients.acks.get() + 1);
            }
            ErrorCode::KafkaStorageError if may_be_full || damage.reaches(part) => {
                (lane.failed, lane.was_refused) = (true, true);
                self.clients.refusals.set(self.clients.refusals.get() + 1);
            }
            ErrorCode::NotLeaderOrFollower if may_refuse => lane.failed = true,
            // Its predecessor was refused, and it comes again after that one.
            ErrorCode::OutOfOrderSequenceNumber if lane.pending.front().is_some_and(|batch| batch.first != first) => {
                lane.failed = true;
            }
            // The log lost what it had acked, as it may; or later batches passed one that was refused.
            ErrorCode::OutOfOrderSequenceNumber if is_relaxed || lane.was_refused => self.identity = None,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId if !is_known => {
                self.lanes.remove(&part);
            }
            error => {
                lane.failed = true;
                self.clients.history.unexpected(format!("Produce to {part:?}, sequence {first}: {}", error.name()));
            }
        }
    }

    fn expect_refusal(&self, what: &str, error: ErrorCode) {
        let Load { may_be_full, may_refuse, .. } = self.clients.load.get();
        if !may_be_full && !may_refuse {
            self.clients.history.unexpected(format!("{what}: {}", error.name()));
        }
    }
}
