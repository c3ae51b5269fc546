//! Replies as text that two brokers can share: what must differ between any two (ids, addresses, times, the words of an
//! error message) is replaced by what it stands for, and lists without an order of their own are sorted.

use std::collections::HashMap;

use bytes::Bytes;
use corelog::wire::messages::Response;
use corelog::wire::messages::produce::ProduceResponse;
use corelog::wire::{ErrorCode, TopicId};
use shards::batch::BatchHeader;

use crate::cases::states::{OTHER_ID, OWN_ID};
use crate::tree::Tree;

/// Times that a case gave: this long after its epoch at most. See [`Names::epoch_ms`].
const CASE_MS: i64 = 60_000;
const UUID_CHARS: usize = 36;
/// Of a config that nobody has set.
const DEFAULT_SOURCE: i8 = 5;
/// Kafka gives every cluster a value of its own for it, the default.
const ELECTION_KEY: &str = "min.insync.replicas";
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Lists that Kafka fills from hash maps. Neither it nor its clients give their order a meaning.
const UNORDERED: &[&str] = &[
    "topics",
    "results",
    "responses",
    "partition_responses",
    "brokers",
    "api_keys",
    "configs",
    "config_resources",
    "groups",
    "members",
];

/// Fields that say nothing when they have these values, which are what the protocol has for "absent".
const ABSENT: &[(&str, &str)] = &[
    ("throttle_time_ms", "0"),
    ("error_message", "None"),
    ("record_errors", "[]"),
    ("node_endpoints", "[]"),
    ("offline_replicas", "[]"),
    ("log_append_time_ms", "-1"),
    ("log_start_offset", "-1"),
    ("current_leader", "{leader_id: -1, leader_epoch: -1}"),
    ("diverging_epoch", "{epoch: -1, end_offset: -1}"),
    ("snapshot_id", "{end_offset: -1, epoch: -1}"),
    ("aborted_transactions", "None"),
    ("preferred_read_replica", "-1"),
    ("topic_authorized_operations", "-2147483648"),
    ("cluster_authorized_operations", "-2147483648"),
    ("topic_id", "none"),
    ("authorized_operations", "-2147483648"),
    ("group_instance_id", "None"),
    ("read_only", "false"),
    ("is_sensitive", "false"),
    ("synonyms", "[]"),
    ("documentation", "None"),
];

/// What a case knows about the names it met.
pub struct Names {
    /// Precedes every topic name of the case.
    pub prefix: String,
    /// What the records of the case count their times from. It lies an hour back, so that no broker's clock comes near.
    pub epoch_ms: i64,
    pub topics: HashMap<TopicId, String>,
    /// The order of partitions has a meaning in fetches only: that of their turns.
    sorts_partitions: bool,
    /// Ids of producers and sessions, in the order of their first appearance.
    met: HashMap<&'static str, Vec<String>>,
}

impl Names {
    pub fn new(prefix: String, epoch_ms: i64) -> Names {
        Names { prefix, epoch_ms, topics: HashMap::new(), sorts_partitions: true, met: HashMap::new() }
    }

    pub fn meet_member(&mut self, id: &str) {
        let quoted = format!("{id:?}");
        if is_given_id(&quoted) {
            self.met("member", &quoted);
        }
    }

    pub fn render(&mut self, reply: &Response) -> String {
        let mut reply = reply.clone();
        match &mut reply {
            Response::ListGroups(listed) => listed.groups.retain(|group| group.group_id.starts_with(&self.prefix)),
            Response::Produce(produced) => forget_of_errors(produced),
            // Cases of DescribeConfigs show what the defaults are.
            Response::CreateTopics(created) => created.topics.iter_mut().for_each(|topic| {
                if let Some(configs) = &mut topic.configs {
                    configs.retain(|config| config.config_source != DEFAULT_SOURCE && &*config.name != ELECTION_KEY);
                }
            }),
            _ => {}
        }
        let mut records = self.take_records(&mut reply).into_iter();
        let debug = format!("{reply:?}").replace(&self.prefix, "");
        let Tree::Tuple(_, mut body) = Tree::parse(&debug) else { panic!("not a message: {debug}") };
        let mut tree = body.remove(0);
        self.sorts_partitions = !matches!(reply, Response::Fetch(_));
        self.walk(&mut tree, &mut records);
        match reply {
            Response::DescribeQuorum(_) => hide(&mut tree, &["leader_epoch", "high_watermark", "log_end_offset"]),
            Response::ApiVersions(_) => hide(&mut tree, &["finalized_features_epoch"]),
            _ => {}
        }
        tree.print()
    }

    /// Puts what the records say in the order of the partitions, and leaves the reply without them.
    fn take_records(&self, reply: &mut Response) -> Vec<String> {
        let Response::Fetch(fetch) = reply else { return Vec::new() };
        let partitions = fetch.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
        partitions
            .map(|partition| match partition.records.take() {
                None => "null".to_owned(),
                Some(records) => self.records(&records.into_bytes()),
            })
            .collect()
    }

    /// One word for each batch: offsets, producer, times, and a sum of its records.
    fn records(&self, bytes: &Bytes) -> String {
        let mut batches = Vec::new();
        let mut rest = bytes.clone();
        while let Ok(batch) = BatchHeader::parse(&rest) {
            let Some(total) = batch.total_bytes() else { break };
            if total > rest.len() {
                break;
            }
            let payload: u32 = rest[61..total].iter().fold(0, |sum, byte| sum.wrapping_mul(31) + u32::from(*byte));
            let producer = match batch.producer_id {
                -1 => String::new(),
                _ => format!(" epoch {} sequence {}", batch.producer_epoch, batch.base_sequence),
            };
            batches.push(format!(
                "<{}..={} leader epoch {} attributes {:#x} count {} times {}..{}{producer} sum {payload:08x}>",
                batch.base_offset,
                batch.base_offset + i64::from(batch.last_offset_delta),
                batch.leader_epoch,
                batch.attributes,
                batch.record_count,
                self.time(batch.base_timestamp),
                self.time(batch.max_timestamp),
            ));
            rest = rest.slice(total..);
        }
        let left = if rest.is_empty() { String::new() } else { format!(" and {} bytes", rest.len()) };
        format!("[{}]{left}", batches.join(" "))
    }

    fn time(&self, ms: i64) -> String {
        match ms.checked_sub(self.epoch_ms) {
            Some(after @ 0..CASE_MS) => format!("T+{after}"),
            Some(after) if after.abs() < DAY_MS => "now".to_owned(),
            _ => ms.to_string(),
        }
    }

    fn walk(&mut self, tree: &mut Tree, records: &mut impl Iterator<Item = String>) {
        match tree {
            Tree::Atom(_) => {}
            Tree::List(items) | Tree::Tuple(_, items) => items.iter_mut().for_each(|item| self.walk(item, records)),
            Tree::Fields(fields) => {
                for (name, value) in fields.iter_mut() {
                    self.walk(value, records);
                    self.field(name, value, records);
                }
                fields.retain(|(name, value)| {
                    let text = value.print();
                    !ABSENT.iter().any(|(absent, as_text)| absent == name && *as_text == text)
                });
            }
        }
    }

    fn field(&mut self, name: &str, value: &mut Tree, records: &mut impl Iterator<Item = String>) {
        if name == "replica_directory_id" {
            *value = Tree::Atom("ID".to_owned());
        }
        if let Tree::List(items) = value {
            // Made by the first case that has a group, whichever that was.
            items.retain(|item| !is_topic(item, "\"__consumer_offsets\""));
            if UNORDERED.contains(&name) || (name == "partitions" && self.sorts_partitions) {
                items.sort_by_key(Tree::print);
            }
            return;
        }
        let Tree::Atom(atom) = value else { return };
        let number = atom.parse::<i64>().ok();
        match (name, number) {
            ("host", _) => *atom = "HOST".to_owned(),
            ("port", _) => *atom = "PORT".to_owned(),
            ("cluster_id", _) if atom != "None" => *atom = "CLUSTER".to_owned(),
            ("member_id" | "leader", _) if is_given_id(atom) => *atom = self.met("member", atom),
            ("topic_id", _) => *atom = self.topic(atom),
            ("session_id", Some(1..)) => *atom = self.met("session", atom),
            ("producer_id", Some(0..)) => *atom = self.met("producer", atom),
            ("timestamp" | "log_append_time_ms" | "last_fetch_timestamp" | "last_caught_up_timestamp", Some(ms)) => {
                *atom = self.time(ms)
            }
            // The words are each broker's own; that there are some, none or no text at all is the protocol's.
            ("error_message" | "batch_index_error_message", _) if !matches!(atom.as_str(), "None" | "\"\"") => {
                *atom = "\"…\"".to_owned();
            }
            ("documentation", _) if atom != "None" => *atom = "\"…\"".to_owned(),
            ("log_dir", _) => *atom = "DIR".to_owned(),
            ("total_bytes" | "usable_bytes" | "partition_size", Some(0..)) => *atom = "BYTES".to_owned(),
            ("records", _) => *atom = records.next().unwrap_or_default(),
            _ => {}
        }
    }

    fn topic(&self, id: &str) -> String {
        let zero = TopicId::ZERO.to_string();
        let known = self.topics.iter().find(|(known, _)| known.to_string() == id);
        match known {
            _ if id == zero => "none".to_owned(),
            Some((_, name)) => format!("id of {name}"),
            None => "new".to_owned(),
        }
    }

    fn met(&mut self, kind: &'static str, id: &str) -> String {
        let met = self.met.entry(kind).or_default();
        let at = met.iter().position(|known| known == id).unwrap_or_else(|| {
            met.push(id.to_owned());
            met.len() - 1
        });
        format!("{kind} {}", at + 1)
    }
}

/// What `differences.md` names in its head: Kafka has no words for most errors of a produce, and tells the log's start
/// with some.
fn forget_of_errors(produced: &mut ProduceResponse) {
    let partitions = produced.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
    for partition in partitions.filter(|partition| partition.error_code != ErrorCode::None) {
        (partition.error_message, partition.log_start_offset) = (None, -1);
    }
}

/// Whether a quoted member id is one that a broker made up.
fn is_given_id(quoted: &str) -> bool {
    let id = quoted.trim_matches('"');
    id.starts_with("diff-")
        || id.starts_with("instance-")
        || id.len() == UUID_CHARS
        || (id.len() == OWN_ID.len() && id != OWN_ID && id != OTHER_ID)
}

/// Whether this is the description of a topic of that name.
fn is_topic(tree: &Tree, quoted: &str) -> bool {
    let Tree::Fields(fields) = tree else { return false };
    let is_named = |name: &str, value: &Tree| matches!(name, "name" | "topic") && *value == Tree::Atom(quoted.into());
    fields.iter().any(|(name, value)| is_named(name, value))
        && fields.iter().any(|(name, _)| name.starts_with("partition"))
}

/// Replaces what each broker has of its own, as how long it has been at work.
fn hide(tree: &mut Tree, names: &[&str]) {
    match tree {
        Tree::Atom(_) => {}
        Tree::List(items) | Tree::Tuple(_, items) => items.iter_mut().for_each(|item| hide(item, names)),
        Tree::Fields(fields) => {
            for (name, value) in fields {
                match value {
                    Tree::Atom(atom) if names.contains(&name.as_str()) => *atom = "N".to_owned(),
                    other => hide(other, names),
                }
            }
        }
    }
}
