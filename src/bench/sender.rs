//! One producing client: its batches by partition and its connections by leader. Its writer's thread.
//!
//! Invariant: batches of a partition are sent in the order in which they were opened, and a request has one of each at
//! most; a broker that answers in order thus acks each stream of records as a growing prefix.

use std::collections::VecDeque;

use shards::batch::{BatchBuilder, CompressionLevels, NewRecord};

use super::clock::now_ns;
use super::keys::{Key, Keys};
use super::meter::{Ack, Made, Meter, Window};
use super::payload::Payload;
use super::pipe::Pipe;
use super::plan::{Load, Plan};
use super::stamp::Stamp;
use crate::client::ClientError;
use crate::wire::messages::Response;
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use crate::wire::{ErrorCode, Str};

/// How long the broker may wait for replicas, in milliseconds.
const TIMEOUT_MS: i32 = 30_000;
/// Keys drawn for one batch at most: a million of the shortest records would fill the largest.
const KEYS_DRAWN_MAX: u32 = 1 << 20;
/// Most in one request, as Java's clients have it, unless a single batch is larger.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// What is the same for all clients of a thread.
pub struct Shared<'a> {
    pub plan: &'a Plan,
    pub run: u32,
    pub topic: Str,
    /// Records due from then on are measured.
    pub warm_ns: u64,
    /// To be added to the run's clock for milliseconds since 1970.
    pub wall_ms_at_zero: i64,
    pub linger_ns: u64,
    pub meter: &'a Meter,
}

/// A batch that is being filled, or waits to be sent.
struct Filling {
    builder: BatchBuilder,
    first_sequence: u64,
    opened_ns: u64,
    records: Vec<Made>,
    /// Of values.
    bytes: usize,
}

struct Lane {
    /// Which of the client's links its leader is at.
    link: usize,
    /// Of the next record: also how many were made.
    next: u64,
    /// How many were acked: all below.
    acked: u64,
    /// Bytes of the next record's value, drawn beforehand: whether a batch is full depends on it. 0 before the first.
    next_bytes: usize,
    filling: VecDeque<Filling>,
    /// The last request that has a batch of it.
    in_request: u64,
}

struct Sent {
    partition: usize,
    first_sequence: u64,
    records: Vec<Made>,
    bytes: usize,
}

/// What a thread knows of the acks that it is about to read.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// None of them has lain there for longer.
    pub since_ns: u64,
    /// Those that come later are not in time.
    pub end_ns: u64,
}

/// To one leader.
pub struct Outlet {
    pub pipe: Pipe,
    /// Its partitions.
    partitions: Vec<usize>,
    /// Where the next batch of a maximal load goes.
    turn: usize,
    /// The partition of each batch that is open or waits, in the order in which they were opened.
    order: VecDeque<usize>,
    in_flight: VecDeque<(u64, Vec<Sent>)>,
    requests: u64,
}

impl Outlet {
    pub fn new(pipe: Pipe, partitions: Vec<usize>) -> Outlet {
        Outlet { pipe, partitions, turn: 0, order: VecDeque::new(), in_flight: VecDeque::new(), requests: 0 }
    }
}

pub struct Sender {
    id: u32,
    /// Producer id and epoch; a broker that gives none gets batches without.
    identity: Option<(i64, i16)>,
    pub outlets: Vec<Outlet>,
    lanes: Vec<Lane>,
    /// Where the next record goes.
    turn: usize,
}

/// What adding a record did.
pub struct Added {
    pub outlet: usize,
    /// It is the first of its batch.
    pub opened: bool,
    /// Its batch takes no more.
    pub full: bool,
}

impl Sender {
    pub fn new(id: u32, identity: Option<(i64, i16)>, outlets: Vec<Outlet>, partitions: usize) -> Sender {
        let lane = |partition: usize| Lane {
            link: outlets.iter().position(|outlet| outlet.partitions.contains(&partition)).unwrap_or(0),
            next: 0,
            acked: 0,
            next_bytes: 0,
            filling: VecDeque::new(),
            in_request: 0,
        };
        let lanes = (0..partitions).map(lane).collect();
        Sender { id, identity, outlets, lanes, turn: id as usize % partitions }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// Records acked of each partition, all from the first on.
    pub fn acked(&self) -> Vec<u64> {
        self.lanes.iter().map(|lane| lane.acked).collect()
    }

    pub fn made(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.next).sum()
    }

    /// Makes the next record of a partition.
    pub fn add(
        &mut self,
        to: &Shared<'_>,
        (partition, key): (usize, Option<Key>),
        due_ns: u64,
        now_ns: u64,
        payload: &mut Payload,
    ) -> Added {
        let (client, identity) = (self.id, self.identity);
        let lane = &mut self.lanes[partition];
        let timestamp_ms = to.wall_ms_at_zero + (due_ns / 1_000_000) as i64;
        if lane.next_bytes == 0 {
            lane.next_bytes = payload.draw();
        }
        let opened = lane.filling.back().is_none_or(|filling| filling.is_full(to.plan, lane.next_bytes));
        if opened {
            self.outlets[lane.link].order.push_back(partition);
            lane.filling.push_back(Filling::open(to.plan, identity, lane.next, timestamp_ms, now_ns));
        }
        let stamp = Stamp { run: to.run, client, sequence: lane.next, due_ns };
        lane.next += 1;
        let bytes = std::mem::replace(&mut lane.next_bytes, payload.draw());
        let value = payload.value(bytes, stamp);
        let full = lane.filling.back_mut().is_some_and(|filling| {
            filling.builder.push(&NewRecord {
                timestamp_ms,
                key: key.as_ref().map(|key| key.as_slice()),
                value: Some(value),
                headers: &[],
            });
            filling.records.push(Made { due_ns, late_ns: now_ns.saturating_sub(due_ns) });
            filling.bytes += value.len();
            filling.is_full(to.plan, lane.next_bytes)
        });
        Added { outlet: lane.link, opened, full }
    }

    /// Fills one batch to its limit, for the partition whose turn it is or whose keys come. How many records were made.
    pub fn fill(&mut self, to: &Shared<'_>, outlet: usize, payload: &mut Payload, keys: Option<&mut Keys>) -> u64 {
        if let Some(keys) = keys {
            return self.fill_by_key(to, outlet, payload, keys);
        }
        let at = &mut self.outlets[outlet];
        let Some(&partition) = at.partitions.get(at.turn) else { return 0 };
        at.turn = (at.turn + 1) % at.partitions.len();
        let now = now_ns();
        let mut made = 1;
        while !self.add(to, (partition, None), now, now, payload).full {
            made += 1;
        }
        made
    }

    /// Makes records until one of this outlet's batches is full; the others go with it as they are.
    fn fill_by_key(&mut self, to: &Shared<'_>, outlet: usize, payload: &mut Payload, keys: &mut Keys) -> u64 {
        if self.outlets[outlet].partitions.is_empty() {
            return 0;
        }
        let now = now_ns();
        let mut made = 0;
        // A key whose partition is elsewhere comes when that outlet is filled; where no key of ours comes, none is made.
        for _ in 0..KEYS_DRAWN_MAX {
            let (key, partition) = keys.next();
            if self.lanes[partition].link == outlet {
                made += 1;
                if self.add(to, (partition, Some(key)), now, now, payload).full {
                    break;
                }
            }
        }
        made
    }

    /// Where the next record of an open loop goes.
    pub fn next_place(&mut self, keys: Option<&mut Keys>) -> (usize, Option<Key>) {
        if let Some(keys) = keys {
            let (key, partition) = keys.next();
            return (partition, Some(key));
        }
        let partition = self.turn;
        self.turn = (partition + 1) % self.lanes.len();
        (partition, None)
    }

    pub fn has_room(&self, to: &Shared<'_>, outlet: usize) -> bool {
        self.outlets[outlet].in_flight.len() < to.plan.in_flight
    }

    /// Sends what is ready, as far as requests may be on their way; with `all`, also what would wait for more records.
    pub fn send_ready(&mut self, to: &Shared<'_>, outlet: usize, all: bool) -> Result<(), ClientError> {
        let now = now_ns();
        while self.has_room(to, outlet) {
            let (request, parts) = self.request(to, outlet, now, all)?;
            if parts.is_empty() {
                break;
            }
            let at = &mut self.outlets[outlet];
            at.in_flight.push_back((now_ns(), parts));
            at.pipe.send(&request.into())?;
        }
        Ok(())
    }

    /// The next request and what is in it. Once one batch waits no more, the others go with it, as Java's clients and franz-go
    /// have it: many partitions make no more requests than one.
    fn request(
        &mut self,
        to: &Shared<'_>,
        outlet: usize,
        now_ns: u64,
        all: bool,
    ) -> Result<(ProduceRequest, Vec<Sent>), ClientError> {
        let at = &mut self.outlets[outlet];
        at.requests += 1;
        let (mut data, mut parts, mut bytes) = (Vec::new(), Vec::new(), 0);
        let waits_no_more = |partition: &usize| {
            let lane = &self.lanes[*partition];
            let full = |front: &Filling| lane.filling.len() > 1 || front.is_full(to.plan, lane.next_bytes);
            lane.filling.front().is_some_and(|front| full(front) || front.opened_ns + to.linger_ns <= now_ns)
        };
        if !all && !at.order.iter().any(waits_no_more) {
            return Ok((ProduceRequest::default(), parts));
        }
        while let Some(&partition) = at.order.front() {
            let lane = &mut self.lanes[partition];
            let Some(front) = lane.filling.front() else { break };
            let fits = parts.is_empty() || bytes + front.builder.bytes() <= REQUEST_BYTES_MAX;
            if !fits || lane.in_request == at.requests {
                break;
            }
            lane.in_request = at.requests;
            at.order.pop_front();
            let Some(filling) = lane.filling.pop_front() else { break };
            bytes += filling.builder.bytes();
            data.push(PartitionProduceData { index: partition as i32, records: Some(filling.builder.finish()?) });
            let Filling { first_sequence, records, bytes, .. } = filling;
            parts.push(Sent { partition, first_sequence, records, bytes });
        }
        let topic_data =
            vec![TopicProduceData { name: to.topic.clone(), partition_data: data, ..TopicProduceData::default() }];
        Ok((ProduceRequest { acks: -1, timeout_ms: TIMEOUT_MS, topic_data, ..ProduceRequest::default() }, parts))
    }

    /// Takes in the replies that have come. How many records they ack.
    pub fn receive(&mut self, to: &Shared<'_>, outlet: usize, look: Look) -> Result<u64, ClientError> {
        let at = &mut self.outlets[outlet];
        while at.pipe.receive()? {}
        let now = now_ns();
        let mut acked = 0;
        while let Some(reply) = at.pipe.reply()? {
            let unasked =
                |what: &str| ClientError::NotKafka { address: at.pipe.address().to_owned(), what: what.into() };
            let Response::Produce(reply) = reply else { return Err(unasked("a reply of another API came")) };
            let Some((sent_ns, parts)) = at.in_flight.pop_front() else { return Err(unasked("a reply too many")) };
            for part in &parts {
                judge(to, &reply, part)?;
                let lane = &mut self.lanes[part.partition];
                assert_eq!(lane.acked, part.first_sequence, "requests and replies of a connection are in order");
                lane.acked += part.records.len() as u64;
                acked += part.records.len() as u64;
            }
            to.meter.record(|stretch| {
                for part in &parts {
                    let ack = Ack {
                        records: &part.records,
                        bytes: part.bytes as u64,
                        sent_ns,
                        now_ns: now,
                        unread_ns: now.saturating_sub(look.since_ns),
                        closed_loop: to.plan.load == Load::Max,
                    };
                    stretch.ack(&ack, Window { warm_ns: to.warm_ns, end_ns: look.end_ns });
                }
                stretch.of(sent_ns, to.warm_ns).requests += 1;
            });
        }
        Ok(acked)
    }
}

impl Filling {
    fn open(plan: &Plan, identity: Option<(i64, i16)>, sequence: u64, timestamp_ms: i64, now_ns: u64) -> Filling {
        let mut builder = BatchBuilder::new(timestamp_ms).compression(plan.codec, CompressionLevels::default());
        if let Some((id, epoch)) = identity {
            // From 2^31-1 it goes on at 0.
            builder = builder.producer(id, epoch, (sequence & i32::MAX as u64) as i32);
        }
        Filling { builder, first_sequence: sequence, opened_ns: now_ns, records: Vec::new(), bytes: 0 }
    }

    /// The next record, of so many bytes, is too much.
    fn is_full(&self, plan: &Plan, next_bytes: usize) -> bool {
        self.builder.len() >= plan.batch_records || self.builder.bytes() + next_bytes > plan.batch_bytes
    }
}

/// Whether the broker took a batch.
fn judge(to: &Shared<'_>, reply: &ProduceResponse, part: &Sent) -> Result<(), ClientError> {
    let mut answers = reply.responses.iter().flat_map(|topic| &topic.partition_responses);
    let answer = answers.find(|answer| usize::try_from(answer.index) == Ok(part.partition));
    let what = || format!("records for {}-{} were not taken", to.plan.topic, part.partition);
    match answer.map(|answer| (answer.error_code, answer.error_message.as_ref())) {
        Some((ErrorCode::None, _)) => Ok(()),
        Some((code, message)) => {
            Err(ClientError::Refused { what: what(), code, message: message.map(|text| text.to_string()) })
        }
        None => Err(ClientError::Refused { what: what(), code: ErrorCode::UnknownTopicOrPartition, message: None }),
    }
}
