//! A consumer: follows all partitions by fetches with or without a session, long polls and all, and at times starts anew.

use std::collections::BTreeMap;
use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, PartitionData};
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, one_in, pause, pick};
use crate::history::{At, Event, Part};
use crate::link::{Broken, Link};
use crate::offsets::{EARLIEST, offset_at};
use crate::payload;

/// Version by topic id.
const VERSION: i16 = 16;
const REPLY_MAX: Duration = Duration::from_secs(30);

pub struct Consumer {
    rt: SimRuntime,
    clients: Clients,
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
        Consumer { rt, clients, positions: BTreeMap::new(), session: None }
    }

    /// Reads for as long as there is a broker and a test.
    pub async fn run(mut self) {
        while self.clients.wait_open(&self.rt).await {
            let round = self.clients.gate.round.get();
            self.session = None;
            if let Err(Broken::Nonsense(what)) = self.read_on_one_connection(round).await {
                self.clients.history.unexpected(what);
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
                if one_in(&self.rt, 200) {
                    *position = 0;
                }
            }
            if live.is_empty() {
                pause(&self.rt, Duration::from_millis(10)).await;
                continue;
            }
            let request = self.request(with_session);
            let asked = self.clients.history.at();
            let Response::Fetch(reply) = link.ask(request, VERSION, REPLY_MAX).await? else {
                return Err(Broken::Nonsense("another reply than asked for".to_owned()));
            };
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
            for topic in reply.responses {
                for data in topic.partitions {
                    let part = Part { topic: topic.topic_id, index: data.partition_index };
                    if !self.take(part, asked, data) {
                        lost.push(part);
                    }
                }
            }
            for part in lost {
                let Some(topic) = self.clients.topic(part.topic) else { continue };
                let start = offset_at(&self.clients, &mut link, &topic, part.index, EARLIEST).await?;
                self.positions.insert(part, start.unwrap_or(0));
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
            error if self.clients.is_excused(error) => return true,
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
                // A batch is given whole, whatever of it was asked for.
                for found in read.found.into_iter().filter(|found| found.offset >= from) {
                    self.clients.history.push(Event::Read { part, asked, found, high_watermark });
                }
            }
        }
        true
    }
}
