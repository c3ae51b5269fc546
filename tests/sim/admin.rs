//! What the test itself asks of the broker: topics made and deleted, surveys after a start, whole reads of all logs.
//! The world runs on while it asks.

use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use corelog::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use corelog::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use corelog::wire::messages::metadata::{MetadataRequest, MetadataResponseTopic};
use shards::runtime::sim::{HostId, SimRuntime};
use shards::types::TopicId;

use crate::changes::{CONFIG, survey_config};
use crate::client::{Clients, Shrinks, Topic, pause};
use crate::history::{Event, Found, MayLose, Part, Setting};
use crate::link::{Broken, Link};
use crate::offsets::{EARLIEST, LATEST, offset_at};
use crate::payload;
use crate::producer::BATCHES_IN_FLIGHT;
use crate::world::World;

const REPLY_MAX: Duration = Duration::from_secs(20);
/// After so many failures of one question the broker is held to be dead.
const TRIES: usize = 5;

/// On a disk of the usual speed: a commit is on its way, one more is written before the sync.
const SYNC_MAX: Duration = Duration::from_millis(5);
/// What one commit can have of a partition: all that the clients have on their way.
const COMMIT_RECORDS_MAX: usize = 6 * BATCHES_IN_FLIGHT * 6;

/// Asks from a host of its own.
pub struct Admin {
    pub host: HostId,
    pub clients: Clients,
}

impl Admin {
    pub fn new(world: &World, clients: &Clients) -> Admin {
        Admin { host: world.sim.add_host("admin"), clients: clients.clone() }
    }

    /// Runs a conversation; a broker that does not answer is noted as a fault.
    fn run<T: 'static, F: Future<Output = Result<T, Broken>> + 'static>(
        &self,
        world: &World,
        talk: impl Fn(Clients, Link, SimRuntime) -> F + 'static,
    ) -> Option<T> {
        let clients = self.clients.clone();
        world.sim.block_on(self.host, |rt| async move {
            let mut last = String::new();
            for _ in 0..TRIES {
                let outcome = match Link::open(&rt, clients.addr).await {
                    Ok(link) => talk(clients.clone(), link, rt.clone()).await,
                    Err(broken) => Err(broken),
                };
                match outcome {
                    Ok(done) => return Some(done),
                    Err(broken) => last = format!("{broken:?}"),
                }
                pause(&rt, Duration::from_millis(50)).await;
            }
            clients.history.unexpected(format!("the broker does not answer: {last}"));
            None
        })
    }

    /// Makes a topic with small segments; `None` if the broker could not.
    pub fn create(&self, world: &World, name: &str, partitions: i32, configs: &[(&str, &str)]) -> Option<Topic> {
        self.create_that(world, Shrinks::Never, name, partitions, configs)
    }

    /// As `create`, for a topic that loses records on purpose.
    pub fn create_that(
        &self,
        world: &World,
        shrinks: Shrinks,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Option<Topic> {
        let wanted = name.to_owned();
        let configs: Vec<CreatableTopicConfig> = [("segment.bytes", "1048576")]
            .iter()
            .chain(configs)
            .map(|(name, value)| CreatableTopicConfig { name: (*name).into(), value: Some((*value).into()) })
            .collect();
        let number = |wanted: &str| -> Option<u64> {
            let config = configs.iter().find(|config| &*config.name == wanted)?;
            Some(config.value.as_ref()?.parse().expect("a number"))
        };
        let (records, bytes_max) = (number("flush.messages"), number("retention.bytes"));
        let age_max = number("flush.ms").map(|ms| Duration::from_millis(ms) + SYNC_MAX);
        let records_max = |records: u64| usize::try_from(records).expect("a small number") + COMMIT_RECORDS_MAX;
        let may_lose = records.map(|records| MayLose { records_max: records_max(records), age_max });
        let relaxed = may_lose.is_some();
        let config = number(CONFIG).map_or(0, |value| i64::try_from(value).expect("a small number"));
        let compacted = configs.iter().any(|config| &*config.name == "cleanup.policy");
        let id = self.run(world, move |clients, mut link, _| {
            let topic = CreatableTopic {
                name: wanted.as_str().into(),
                num_partitions: partitions,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: configs.clone(),
            };
            async move {
                let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000, validate_only: false };
                let Response::CreateTopics(reply) = link.ask(request, 7, REPLY_MAX).await? else { return Ok(None) };
                let answer = reply.topics.first().ok_or(Broken::Nonsense("no answer for the topic".to_owned()))?;
                match answer.error_code {
                    ErrorCode::None => Ok(Some(answer.topic_id)),
                    // An earlier try was carried out and its reply lost.
                    ErrorCode::TopicAlreadyExists => Ok(None),
                    error if clients.load.get().may_be_full && error != ErrorCode::None => Ok(None),
                    error => Err(Broken::Nonsense(format!("CreateTopics: {}", error.name()))),
                }
            }
        })??;
        let topic = Topic { name: name.to_owned(), id, partitions, relaxed, compacted, shrinks, bytes_max };
        let expires = shrinks == Shrinks::ByRetention;
        self.clients.history.push(Event::Created { topic: id, may_lose, compacted, expires });
        for (setting, value) in [(Setting::Partitions, partitions.into()), (Setting::Config, config)] {
            self.clients.history.push(Event::Changed { topic: id, setting, value });
        }
        self.clients.topics.borrow_mut().push(topic.clone());
        Some(topic)
    }

    /// Tells the clients to leave the topic, then deletes it.
    pub fn delete(&self, world: &World, topic: &Topic) {
        self.clients.topics.borrow_mut().retain(|known| known.id != topic.id);
        let id = topic.id;
        self.clients.history.push(Event::DeleteAsked { topic: id });
        let deleted = self.run(world, move |_, mut link, _| async move {
            let request = DeleteTopicsRequest {
                topics: vec![DeleteTopicState { name: None, topic_id: id }],
                topic_names: Vec::new(),
                timeout_ms: 10_000,
            };
            let Response::DeleteTopics(reply) = link.ask(request, 6, REPLY_MAX).await? else { return Ok(false) };
            match reply.responses.first().map(|answer| answer.error_code) {
                Some(ErrorCode::None | ErrorCode::UnknownTopicId) => Ok(true),
                other => Err(Broken::Nonsense(format!("DeleteTopics: {other:?}"))),
            }
        });
        if deleted == Some(true) {
            self.clients.history.push(Event::Deleted { topic: id });
        }
    }

    /// Makes topics that no client uses, all in one request, and deletes them in the next.
    pub fn create_and_delete(&self, world: &World, names: &[String]) {
        let names = names.to_vec();
        self.run(world, move |_, mut link, _| {
            let creatable = |name: &String| CreatableTopic {
                name: name.as_str().into(),
                num_partitions: 1,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: Vec::new(),
            };
            let topics = names.iter().map(creatable).collect();
            let topic_names = names.iter().map(|name| name.as_str().into()).collect();
            async move {
                let create = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only: false };
                let Response::CreateTopics(reply) = link.ask(create, 7, REPLY_MAX).await? else { return Ok(()) };
                let delete = DeleteTopicsRequest { topics: Vec::new(), topic_names, timeout_ms: 10_000 };
                let Response::DeleteTopics(gone) = link.ask(delete, 5, REPLY_MAX).await? else { return Ok(()) };
                let created = reply.topics.iter().map(|topic| topic.error_code);
                let all = created.chain(gone.responses.iter().map(|topic| topic.error_code));
                match all.into_iter().find(|code| *code != ErrorCode::None) {
                    None => Ok(()),
                    Some(code) => Err(Broken::Nonsense(format!("a topic that comes and goes: {}", code.name()))),
                }
            }
        });
    }

    /// Deletes without waiting for the answer, to be cut short by whatever comes next.
    pub fn begin_delete(&self, world: &World, topic: &Topic) {
        self.clients.topics.borrow_mut().retain(|known| known.id != topic.id);
        let (clients, id) = (self.clients.clone(), topic.id);
        clients.history.push(Event::DeleteAsked { topic: id });
        world.sim.spawn(self.host, |rt| async move {
            let request = DeleteTopicsRequest {
                topics: vec![DeleteTopicState { name: None, topic_id: id }],
                topic_names: Vec::new(),
                timeout_ms: 10_000,
            };
            if let Ok(mut link) = Link::open(&rt, clients.addr).await
                && let Ok(Response::DeleteTopics(reply)) = link.ask(request, 6, REPLY_MAX).await
                && reply.responses.first().is_some_and(|answer| answer.error_code == ErrorCode::None)
            {
                clients.history.push(Event::Deleted { topic: id });
            }
        });
    }

    /// Notes what a start found: topics, high watermarks, epochs. Clients must be held back meanwhile.
    pub fn survey(&self, world: &World) {
        self.run(world, |clients, mut link, _| async move {
            let request =
                MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
            let Response::Metadata(reply) = link.ask(request, 12, REPLY_MAX).await? else { return Ok(()) };
            let ids: Vec<TopicId> =
                reply.topics.iter().filter(|topic| !topic.is_internal).map(|topic| topic.topic_id).collect();
            clients.history.push(Event::Topics { ids });
            for topic in &reply.topics {
                let Some(known) = clients.topic(topic.topic_id) else { continue };
                let count = i32::try_from(topic.partitions.len()).expect("few");
                clients.history.push(Event::HasNow {
                    topic: known.id,
                    setting: Setting::Partitions,
                    value: count.into(),
                });
                clients.has_partitions(known.id, count);
                if known.shrinks == Shrinks::Never {
                    survey_config(&clients, &mut link, &known).await?;
                }
                for partition in &topic.partitions {
                    let part = Part { topic: topic.topic_id, index: partition.partition_index };
                    if clients.is_excused(part, partition.error_code) {
                        continue;
                    }
                    if partition.error_code != ErrorCode::None {
                        clients.history.unexpected(format!("Metadata of {part:?}: {}", partition.error_code.name()));
                        continue;
                    }
                    // Noted where it is asked for.
                    offset_at(&clients, &mut link, &known, part.index, EARLIEST).await?;
                    let Some(high_watermark) = offset_at(&clients, &mut link, &known, part.index, LATEST).await? else {
                        continue;
                    };
                    clients.history.push(Event::Surveyed { part, high_watermark, epoch: partition.leader_epoch });
                }
            }
            Ok(())
        });
    }

    /// The names of all partitions that the broker has; `None` if it does not say.
    pub fn partitions(&self, world: &World) -> Option<Vec<String>> {
        self.run(world, |_, mut link, _| async move {
            let request =
                MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() };
            let Response::Metadata(reply) = link.ask(request, 12, REPLY_MAX).await? else {
                return Err(Broken::Nonsense("another reply than asked for".to_owned()));
            };
            let name_of = |topic: &MetadataResponseTopic| topic.name.as_ref().map(ToString::to_string);
            let names = reply.topics.iter().filter_map(|topic| Some((name_of(topic)?, topic.partitions.len())));
            Ok(names.flat_map(|(name, count)| (0..count).map(move |index| format!("{name}-{index}"))).collect())
        })
    }

    /// Where logs start, noted in the history.
    pub fn ask_starts(&self, world: &World) {
        self.run(world, |clients, mut link, _| async move {
            let topics = clients.topics.borrow().clone();
            for topic in topics {
                for part in topic.parts() {
                    offset_at(&clients, &mut link, &topic, part.index, EARLIEST).await?;
                }
            }
            Ok(())
        });
    }

    /// Reads every partition from its start to its high watermark.
    pub fn scan(&self, world: &World) {
        let topics = self.clients.topics.borrow().clone();
        for topic in topics {
            for part in topic.parts().collect::<Vec<_>>() {
                let topic = topic.clone();
                self.run(world, move |clients, link, _| scan_one(clients, link, topic.clone(), part));
            }
        }
    }
}

async fn scan_one(clients: Clients, mut link: Link, topic: Topic, part: Part) -> Result<(), Broken> {
    // Again when retention has moved the start away under the reader.
    while !scan_once(&clients, &mut link, &topic, part).await? {}
    Ok(())
}

async fn scan_once(clients: &Clients, link: &mut Link, topic: &Topic, part: Part) -> Result<bool, Broken> {
    let asked = clients.history.at();
    let Some(from) = offset_at(clients, link, topic, part.index, EARLIEST).await? else { return Ok(true) };
    let Some(end) = offset_at(clients, link, topic, part.index, LATEST).await? else { return Ok(true) };
    let mut found: Vec<Found> = Vec::new();
    let mut position = from;
    while position < end {
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic_id: part.topic,
                partitions: vec![FetchPartition {
                    partition: part.index,
                    fetch_offset: position,
                    partition_max_bytes: 512 << 10,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let Response::Fetch(reply) = link.ask(request, 16, REPLY_MAX).await? else { break };
        let data = reply.responses.into_iter().flat_map(|topic| topic.partitions).next();
        let moves = topic.shrinks != Shrinks::Never;
        if moves && data.as_ref().is_some_and(|data| data.error_code == ErrorCode::OffsetOutOfRange) {
            return Ok(false);
        }
        if data.as_ref().is_some_and(|data| clients.is_excused(part, data.error_code)) {
            return Ok(true);
        }
        let Some(data) = data.filter(|data| data.error_code == ErrorCode::None) else {
            clients.history.unexpected(format!("the scan of {part:?} at {position} failed: {:?}", reply.error_code));
            return Ok(true);
        };
        let high_watermark = data.high_watermark;
        let bytes = data.records.map(|records| records.into_bytes()).unwrap_or_default();
        match payload::read(&bytes) {
            Err(what) => {
                clients.history.unexpected(format!("the scan of {part:?} at {position}: {what}"));
                return Ok(true);
            }
            Ok(read) => {
                let Some(next) = read.next else {
                    let what = format!("the scan of {part:?} ends at {position}, below {high_watermark}");
                    clients.history.unexpected(what);
                    return Ok(true);
                };
                found.extend(read.found.into_iter().filter(|found| found.offset >= position && found.offset < end));
                position = next;
            }
        }
    }
    clients.history.push(Event::Scanned { part, asked, from, end, found });
    Ok(true)
}
