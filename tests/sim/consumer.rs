//! A consumer: follows all partitions by fetches with or without a session, long polls and all, and at times starts anew.

use std::collections::BTreeMap;
use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use shards::runtime::Runtime;
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, one_in, pause, pick};
use crate::history::{At, Event, Part};
use crate::link::{Broken, Link};
use crate::offsets::{EARLIEST, offset_at};
use crate::payload;

/// Version by topic id.
const VERSION: i16 = 16;
/// Of a fetch that waits for less than half a second, on a disk that takes a tenth of one for a read.
const REPLY_MAX: Duration = Duration::from_secs(8);

pub struct Consumer {
    rt: SimRuntime,
    clients: Clients,
    number: u64,
    positions: BTreeMap<Part, i64>,
    /// The session's id and next epoch, and what the broker thinks our positions are.
    session: Option<Session>,
}

struct Session {
    id: i32,
    epoch: i32,
    told: BTreeMap<Part, i64>,
}

impl Consumer {
    pub fn new(rt: SimRuntime, clients: Clients) -> Consumer {
        let number = clients.fresh_client();
        clients.progress.borrow_mut().add_consumer(number);
        Consumer { rt, clients, number, positions: BTreeMap::new(), session: None }
    }

    /// Reads for as long as there is a broker and a test.
    pub async fn run(mut self) {
        while self.clients.wait_open(&self.rt).await {
            let round = self.clients.gate.round.get();
            self.session = None;
            match self.read_on_one_connection(round).await {
                Err(Broken::Nonsense(what)) => self.clients.history.unexpected(what),
                Err(Broken::TimedOut) if self.clients.is_current(round) => {
                    let what = format!("consumer {} gets no reply", self.number);
                    self.clients.history.push(Event::Stuck { what });
                }
                Ok(()) | Err(Broken::Ended | Broken::TimedOut) => {}
            }
            pause(&self.rt, Duration::from_millis(1 + pick(&self.rt, 10))).await;
        }
    }

    async fn read_on_one_connection(&mut self, round: u64) -> Result<(), Broken> {
        let mut link = Link::open(&self.rt, self.clients.addr).await?;
        let with_session = one_in(&self.rt, 2);
        while self.clients.is_current(round) {
            let live: Vec<Part> =
                self.clients.topics.borrow().iter().flat_map(|topic| topic.parts().collect::<Vec<_>>()).collect();
            self.positions.retain(|part, _| live.contains(part));
            for part in &live {
                let position = self.positions.entry(*part).or_insert(0);
                // Not while all are awaited at the end.
                if one_in(&self.rt, 200) && !self.clients.is_hushed.get() {
                    *position = 0;
                }
            }
            if live.is_empty() {
                pause(&self.rt, Duration::from_millis(10)).await;
                continue;
            }
            let request = self.request(with_session);
            let (asked, sent) = (self.clients.history.at(), self.rt.now());
            let Response::Fetch(reply) = link.ask(request, VERSION, REPLY_MAX).await? else {
                return Err(Broken::Nonsense("another reply than asked for".to_owned()));
            };
            self.clients.progress.borrow_mut().answered(self.number, sent);
            if reply.error_code != ErrorCode::None {
                if self.session.take().is_none() {
                    self.clients.history.unexpected(format!("Fetch without a session: {}", reply.error_code.name()));
                }
                pause(&self.rt, Duration::from_millis(5)).await;
                continue;
            }
            match &mut self.session {
                Some(session) => session.epoch += 1,
                None if with_session && reply.session_id != 0 => {
                    self.session = Some(Session { id: reply.session_id, epoch: 1, told: self.positions.clone() });
                }
                None => {}
            }
            let mut lost = Vec::new();
            let (mut has_records, mut has_errors, mut behind) = (false, false, None);
            for topic in reply.responses {
                for data in topic.partitions {
                    let part = Part { topic: topic.topic_id, index: data.partition_index };
                    has_errors |= data.error_code != ErrorCode::None;
                    has_records |= data.records.as_ref().is_some_and(|records| !records.is_empty());
                    let position = self.positions.get(&part).filter(|position| **position < data.high_watermark);
                    if let Some(position) = position.filter(|_| data.error_code == ErrorCode::None) {
                        behind = behind.or(Some((part, *position, data.high_watermark)));
                    }
                    if !self.take(part, asked, data) {
                        lost.push(part);
                    }
                }
            }
            // The first batch of a reply comes whatever its limits are. What could not be read may have had all of its bytes.
            if let Some((part, position, end)) = behind.filter(|_| !has_records && !has_errors) {
                let what = format!("a fetch of {part:?} at {position} brings nothing, and the log goes to {end}");
                self.clients.history.push(Event::Skipped { what });
            }
            for part in lost {
                let Some(topic) = self.clients.topic(part.topic) else { continue };
                let start = offset_at(&self.clients, &mut link, &topic, part.index, EARLIEST).await?;
                self.positions.insert(part, start.unwrap_or(0));
                self.clients.progress.borrow_mut().read(self.number, part, start.unwrap_or(0));
            }
            if one_in(&self.rt, 4) {
                pause(&self.rt, Duration::from_micros(pick(&self.rt, 20_000))).await;
            }
        }
        Ok(())
    }

    fn request(&mut self, with_session: bool) -> FetchRequest {
        let told = self.session.as_ref().map(|session| session.told.clone()).unwrap_or_default();
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (part, position) in self.positions.iter().filter(|(part, position)| told.get(part) != Some(position)) {
            let asked = FetchPartition {
                partition: part.index,
                fetch_offset: *position,
                partition_max_bytes: 1_000 + i32::try_from(pick(&self.rt, 100_000)).expect("small"),
                ..FetchPartition::default()
            };
            match topics.iter_mut().find(|topic| topic.topic_id == part.topic) {
                Some(topic) => topic.partitions.push(asked),
                None => {
                    topics.push(FetchTopic { topic_id: part.topic, partitions: vec![asked], ..FetchTopic::default() })
                }
            }
        }
        let (session_id, session_epoch) = match &mut self.session {
            Some(session) => {
                session.told = self.positions.clone();
                (session.id, session.epoch)
            }
            None => (0, if with_session { 0 } else { -1 }),
        };
        FetchRequest {
            max_wait_ms: i32::try_from(pick(&self.rt, 400)).expect("small"),
            min_bytes: 1 + i32::try_from(pick(&self.rt, 20_000)).expect("small"),
            max_bytes: 10_000 + i32::try_from(pick(&self.rt, 400_000)).expect("small"),
            session_id,
            session_epoch,
            topics,
            ..FetchRequest::default()
        }
    }

    /// False when there is nothing at the position any more, and that may be.
    fn take(&mut self, part: Part, asked: At, data: PartitionData) -> bool {
        let Some(position) = self.positions.get_mut(&part) else { return true };
        match data.error_code {
            ErrorCode::None => {}
            ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition
                if self.clients.topic(part.topic).is_none() =>
            {
                self.positions.remove(&part);
                return true;
            }
            ErrorCode::OffsetOutOfRange if self.clients.may_lose_records(part.topic) => return false,
            error if self.clients.is_excused(part, error) => return true,
            error => {
                self.clients.history.unexpected(format!("Fetch of {part:?} at {position}: {}", error.name()));
                return true;
            }
        }
        let (high_watermark, log_start) = (data.high_watermark, data.log_start_offset);
        self.clients.history.push(Event::Answered { part, asked, high_watermark, log_start });
        let bytes = data.records.map(|records| records.into_bytes()).unwrap_or_default();
        match payload::read(&bytes) {
            Err(what) => self.clients.history.unexpected(format!("Fetch of {part:?}: {what}")),
            Ok(read) => {
                let from = *position;
                *position = from.max(read.next.unwrap_or_default());
                self.clients.progress.borrow_mut().read(self.number, part, *position);
                let has_gaps = self.clients.topic(part.topic).is_none_or(|topic| topic.compacted);
                // A batch is given whole, whatever of it was asked for.
                for (next, found) in (from..).zip(read.found.into_iter().filter(|found| found.offset >= from)) {
                    if found.offset != next && !has_gaps {
                        let what = format!("Fetch of {part:?} at {from} gives {} where {next} comes", found.offset);
                        self.clients.history.push(Event::Skipped { what });
                    }
                    self.clients.history.push(Event::Read { part, asked, found, high_watermark });
                }
            }
        }
        true
    }
}
