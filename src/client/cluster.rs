//! A cluster as a client sees it: who leads what, and a connection to each broker that was needed so far. Blocking.
//!
//! Invariant: what is known of topics and connections is forgotten when a request fails for a passing reason, so that
//! the next try asks anew.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::error::ClientError;
use crate::wire::messages::find_coordinator::FindCoordinatorRequest;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseTopic};
use crate::wire::messages::{ApiKey, Request, Response};
use crate::wire::{ErrorCode, Str, TopicId};

/// From this version on FindCoordinator asks for several at once (KIP-699).
const SEVERAL_COORDINATORS: i16 = 4;
/// Coordinators, and topics, that are asked for at once.
const COORDINATORS_AT_ONCE: usize = 1000;
const TOPICS_AT_ONCE: usize = 1000;

/// How often somebody who reads on and on looks whether a topic has grown. A small request; Kafka's clients wait for 5 minutes.
pub const GROWTH_EVERY: Duration = Duration::from_secs(10);
/// How long passing errors are tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// A topic and who leads its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    pub name: String,
    /// Zero where the broker is too old to have ids.
    pub id: TopicId,
    pub internal: bool,
    /// By index.
    pub partitions: Vec<PartitionInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    pub index: i32,
    /// Negative: none.
    pub leader: i32,
    pub leader_epoch: i32,
    pub replicas: Vec<i32>,
    pub in_sync: Vec<i32>,
}

/// A broker as the cluster tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

impl BrokerInfo {
    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        let BrokerInfo { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

pub struct Cluster {
    bootstrap: String,
    client_id: String,
    /// To whoever answers at the bootstrap address.
    seed: Option<Connection>,
    connections: HashMap<i32, Connection>,
    brokers: Vec<BrokerInfo>,
    controller: i32,
    id: Option<String>,
    topics: HashMap<String, TopicInfo>,
    /// The broker that coordinates each group that was asked about.
    coordinators: HashMap<String, i32>,
}

impl Cluster {
    /// Connects to `HOST:PORT`.
    pub fn connect(bootstrap: &str, client_id: &str) -> Result<Cluster, ClientError> {
        Ok(Cluster {
            bootstrap: bootstrap.to_owned(),
            client_id: client_id.to_owned(),
            seed: Some(Connection::open(bootstrap, client_id)?),
            connections: HashMap::new(),
            brokers: Vec::new(),
            controller: -1,
            id: None,
            topics: HashMap::new(),
            coordinators: HashMap::new(),
        })
    }

    /// Where it was connected to, and as whom.
    pub(super) fn origin(&self) -> (String, String) {
        (self.bootstrap.clone(), self.client_id.clone())
    }

    /// Those that are known so far.
    pub fn brokers(&self) -> &[BrokerInfo] {
        &self.brokers
    }

    /// Its id, once brokers or a topic were asked for; `None` from a broker that tells none.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Asks for the brokers that there are now.
    pub fn refresh(&mut self) -> Result<(), ClientError> {
        self.metadata(Some(&[]), false).map(|_| ())
    }

    /// Every topic, by name.
    pub fn all_topics(&mut self) -> Result<Vec<TopicInfo>, ClientError> {
        let reply = self.metadata(None, false)?;
        let mut topics: Vec<TopicInfo> = reply.topics.iter().filter_map(|topic| told(topic).ok()).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// What is known of a topic; asks when nothing is. With `create` the broker may make it, if it does such things.
    pub fn topic(&mut self, name: &str, create: bool) -> Result<TopicInfo, ClientError> {
        if let Some(known) = self.topics.get(name) {
            return Ok(known.clone());
        }
        let started = Instant::now();
        let found = self.retrying(|cluster| {
            let reply = cluster.metadata(Some(&[name]), create)?;
            let topic = reply.topics.first().ok_or_else(|| ClientError::NoTopic { topic: name.to_owned() })?;
            match told(topic) {
                // The answer that makes a topic does not show it yet.
                Err(ClientError::NoTopic { .. }) if create && started.elapsed() < Duration::from_secs(5) => {
                    Err(ClientError::refused(format!("topic \"{name}\""), ErrorCode::LeaderNotAvailable))
                }
                told => told,
            }
        })?;
        self.topics.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// The topic as it is now, whatever is known of it: it may have grown.
    pub fn topic_anew(&mut self, name: &str) -> Result<TopicInfo, ClientError> {
        self.topics.remove(name);
        self.topic(name, false)
    }

    /// Those of these topics that are there, as they are now: it may be fewer.
    pub fn topics_anew(&mut self, names: &[&str]) -> Result<BTreeMap<String, TopicInfo>, ClientError> {
        let mut found = BTreeMap::new();
        for some in names.chunks(TOPICS_AT_ONCE) {
            for topic in &self.metadata(Some(some), false)?.topics {
                match told(topic) {
                    Ok(info) => found.insert(info.name.clone(), info),
                    Err(ClientError::NoTopic { topic }) => {
                        self.topics.remove(&topic);
                        continue;
                    }
                    Err(e) => return Err(e),
                };
            }
        }
        self.topics.extend(found.iter().map(|(name, info)| (name.clone(), info.clone())));
        Ok(found)
    }

    /// The number of the broker that leads a partition.
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<i32, ClientError> {
        let leaders = self.leaders(topic, &[partition])?;
        leaders.into_keys().next().ok_or_else(|| ClientError::NoLeader { topic: topic.to_owned(), partition })
    }

    /// These partitions by the broker that leads them.
    pub fn leaders(&mut self, topic: &str, partitions: &[i32]) -> Result<BTreeMap<i32, Vec<i32>>, ClientError> {
        if !self.topics.contains_key(topic) {
            self.topic(topic, false)?;
        }
        let known = self.topics.get(topic).map_or(&[][..], |info| &info.partitions);
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for &partition in partitions {
            let place = known.binary_search_by_key(&partition, |known| known.index);
            let found = place.ok().and_then(|place| known.get(place)).ok_or_else(|| ClientError::NoPartition {
                topic: topic.to_owned(),
                partition,
                last: i32::try_from(known.len()).unwrap_or(i32::MAX).saturating_sub(1),
            })?;
            if found.leader < 0 {
                return Err(ClientError::NoLeader { topic: topic.to_owned(), partition });
            }
            by_leader.entry(found.leader).or_default().push(partition);
        }
        Ok(by_leader)
    }

    /// Asks this broker.
    pub fn call(&mut self, broker: i32, request: impl Into<Request>) -> Result<Response, ClientError> {
        let reply = self.connection(broker)?.call(request);
        self.drop_if_broken(broker, &reply);
        reply
    }

    /// Asks each of these brokers at once. All replies are waited for, in the order of the requests.
    pub fn call_each(&mut self, requests: Vec<(i32, Request)>) -> Vec<Result<Response, ClientError>> {
        let send =
            |(broker, request): (i32, Request)| (broker, self.connection(broker).and_then(|there| there.send(request)));
        let sent: Vec<(i32, Result<(), ClientError>)> = requests.into_iter().map(send).collect();
        let receive = |(broker, sent): (i32, Result<(), ClientError>)| {
            let reply = sent.and_then(|()| self.connection(broker)?.receive());
            self.drop_if_broken(broker, &reply);
            reply
        };
        sent.into_iter().map(receive).collect()
    }

    fn drop_if_broken(&mut self, broker: i32, reply: &Result<Response, ClientError>) {
        if matches!(reply, Err(ClientError::Broken { .. } | ClientError::NotKafka { .. })) {
            self.connections.remove(&broker);
        }
    }

    /// The version that an API is spoken in with this broker.
    pub fn version(&mut self, broker: i32, api: ApiKey) -> Result<i16, ClientError> {
        self.connection(broker)?.link().version(api)
    }

    fn connection(&mut self, broker: i32) -> Result<&mut Connection, ClientError> {
        let Some(info) = self.brokers.iter().find(|info| info.id == broker) else {
            return Err(ClientError::refused(format!("broker {broker}"), ErrorCode::BrokerNotAvailable));
        };
        match self.connections.entry(broker) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let opened = Connection::open(&info.address(), &self.client_id);
                Ok(entry.insert(opened.map_err(|e| told_elsewhere(e, &self.bootstrap))?))
            }
        }
    }

    /// The broker that coordinates a group.
    pub fn coordinator(&mut self, group: &str) -> Result<i32, ClientError> {
        let coordinators = self.coordinators(&[group])?;
        coordinators.into_keys().next().ok_or_else(|| no_coordinator(&self.bootstrap, group))
    }

    /// These groups by the broker that coordinates them. Those that are not known are asked for, as many at once as the
    /// broker takes.
    pub fn coordinators<'a>(&mut self, groups: &[&'a str]) -> Result<BTreeMap<i32, Vec<&'a str>>, ClientError> {
        let unknown: Vec<&str> =
            groups.iter().copied().filter(|group| !self.coordinators.contains_key(*group)).collect();
        if !unknown.is_empty() {
            let version = self.seed()?.link().version(ApiKey::FindCoordinator)?;
            let at_once = if version < SEVERAL_COORDINATORS { 1 } else { COORDINATORS_AT_ONCE };
            for some in unknown.chunks(at_once) {
                self.find_coordinators(some, version)?;
            }
        }
        let mut by_coordinator: BTreeMap<i32, Vec<&'a str>> = BTreeMap::new();
        for group in groups {
            let known = self.coordinators.get(*group).ok_or_else(|| no_coordinator(&self.bootstrap, group))?;
            by_coordinator.entry(*known).or_default().push(group);
        }
        Ok(by_coordinator)
    }

    fn find_coordinators(&mut self, groups: &[&str], version: i16) -> Result<(), ClientError> {
        let mut request = FindCoordinatorRequest::default();
        match groups {
            [group] if version < SEVERAL_COORDINATORS => request.key = (*group).into(),
            groups => request.coordinator_keys = groups.iter().map(|group| Str::from(*group)).collect(),
        }
        let reply = match self.call_seed(request.into())? {
            Response::FindCoordinator(reply) => reply,
            other => return Err(unasked(&self.bootstrap, &other)),
        };
        let mut found: Vec<(&str, ErrorCode, i32)> =
            reply.coordinators.iter().map(|one| (one.key.as_str(), one.error_code, one.node_id)).collect();
        if let [group] = groups
            && version < SEVERAL_COORDINATORS
        {
            found.push((group, reply.error_code, reply.node_id));
        }
        for (group, code, broker) in found {
            if code != ErrorCode::None {
                return Err(ClientError::refused(format!("the coordinator of group \"{group}\""), code));
            }
            if self.brokers.iter().all(|known| known.id != broker) {
                self.refresh()?;
            }
            self.coordinators.insert(group.to_owned(), broker);
        }
        Ok(())
    }

    /// Asks the broker that coordinates a group.
    pub fn call_coordinator(&mut self, group: &str, request: impl Into<Request>) -> Result<Response, ClientError> {
        let coordinator = self.coordinator(group)?;
        self.call(coordinator, request)
    }

    /// Asks the broker that decides about topics.
    pub fn call_controller(&mut self, request: impl Into<Request>) -> Result<Response, ClientError> {
        if self.controller < 0 {
            self.refresh()?;
        }
        match self.controller {
            controller if controller >= 0 => self.call(controller, request),
            _ => self.call_seed(request.into()),
        }
    }

    /// Asks whoever answers at the bootstrap address.
    pub fn call_seed(&mut self, request: Request) -> Result<Response, ClientError> {
        let reply = self.seed()?.call(request);
        if matches!(reply, Err(ClientError::Broken { .. } | ClientError::NotKafka { .. })) {
            self.seed = None;
        }
        reply
    }

    fn seed(&mut self) -> Result<&mut Connection, ClientError> {
        match &mut self.seed {
            Some(seed) => Ok(seed),
            none => Ok(none.insert(Connection::open(&self.bootstrap, &self.client_id)?)),
        }
    }

    /// Runs `attempt` until it succeeds, fails for good, or has failed in passing for too long.
    pub fn retrying<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Cluster) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + RETRY_MAX;
        let mut backoff = BACKOFF_MIN;
        loop {
            match attempt(self) {
                Err(e) if e.is_passing() && Instant::now() + backoff < deadline => {
                    self.topics.clear();
                    self.coordinators.clear();
                    std::thread::sleep(backoff);
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                outcome => return outcome,
            }
        }
    }

    /// `None` asks for every topic; no name for none.
    fn metadata(&mut self, topics: Option<&[&str]>, create: bool) -> Result<MetadataResponse, ClientError> {
        let named = |name: &&str| MetadataRequestTopic { name: Some(Str::from(*name)), ..Default::default() };
        let topics = topics.map(|names| names.iter().map(named).collect());
        let request = MetadataRequest { topics, allow_auto_topic_creation: create, ..Default::default() };
        let reply = match self.call_seed(request.into())? {
            Response::Metadata(reply) => reply,
            other => return Err(unasked(&self.bootstrap, &other)),
        };
        if reply.error_code != ErrorCode::None {
            return Err(ClientError::refused("the cluster's metadata", reply.error_code));
        }
        let broker = |b: &crate::wire::messages::metadata::MetadataResponseBroker| BrokerInfo {
            id: b.node_id,
            host: b.host.to_string(),
            port: b.port,
            rack: b.rack.as_ref().map(Str::to_string),
        };
        let brokers: Vec<BrokerInfo> = reply.brokers.iter().map(broker).collect();
        // A broker that moved is connected to anew.
        self.connections.retain(|id, _| brokers.iter().any(|b| b.id == *id && self.brokers.contains(b)));
        self.brokers = brokers;
        self.controller = reply.controller_id;
        self.id = reply.cluster_id.as_ref().map(Str::to_string);
        Ok(reply)
    }
}

/// A topic out of a metadata reply.
fn told(topic: &MetadataResponseTopic) -> Result<TopicInfo, ClientError> {
    let name = topic.name.as_ref().map(Str::to_string).unwrap_or_default();
    match topic.error_code {
        ErrorCode::None => {}
        ErrorCode::UnknownTopicOrPartition => return Err(ClientError::NoTopic { topic: name }),
        code => return Err(ClientError::refused(format!("topic \"{name}\""), code)),
    }
    let partition = |p: &crate::wire::messages::metadata::MetadataResponsePartition| PartitionInfo {
        index: p.partition_index,
        leader: p.leader_id,
        leader_epoch: p.leader_epoch,
        replicas: p.replica_nodes.clone(),
        in_sync: p.isr_nodes.clone(),
    };
    let mut partitions: Vec<PartitionInfo> = topic.partitions.iter().map(partition).collect();
    partitions.sort_by_key(|p| p.index);
    Ok(TopicInfo { name, id: topic.topic_id, internal: topic.is_internal, partitions })
}

/// A reply of another API than was asked.
pub(super) fn unasked(address: &str, reply: &Response) -> ClientError {
    let what = format!("a reply to {} came unasked", reply.api().name());
    ClientError::NotKafka { address: address.to_owned(), what }
}

/// A reply that names another group than was asked about.
fn no_coordinator(address: &str, group: &str) -> ClientError {
    let what = format!("it was asked for the coordinator of group \"{group}\" and told none");
    ClientError::NotKafka { address: address.to_owned(), what }
}

/// A broker answered at the bootstrap address, but not at the one that it told.
fn told_elsewhere(error: ClientError, bootstrap: &str) -> ClientError {
    match error {
        ClientError::Unreachable { address, source } if address != bootstrap => {
            ClientError::ToldUnreachable { address, bootstrap: bootstrap.to_owned(), source }
        }
        other => other,
    }
}
