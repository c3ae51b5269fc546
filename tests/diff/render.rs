//! Replies as text that two brokers can share: what must differ between any two (ids, addresses, times, the words of an
//! error message) is replaced by what it stands for, and lists without an order of their own are sorted.

use std::collections::HashMap;

use bytes::Bytes;
use corelog::wire::TopicId;
use corelog::wire::messages::Response;
use shards::batch::BatchHeader;

use crate::tree::Tree;

/// Times that a case gave: this long after its epoch at most. See [`Names::epoch_ms`].
const CASE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// Lists that Kafka fills from hash maps. Neither it nor its clients give their order a meaning.
const UNORDERED: &[&str] =
    &["topics", "results", "responses", "partition_responses", "brokers", "api_keys", "configs", "config_resources"];

/// What a case knows about the names it met.
pub struct Names {
    /// Precedes every topic name of the case.
    pub prefix: String,
    /// What the records of the case count their times from. It lies an hour back, so that no broker's clock comes near.
    pub epoch_ms: i64,
    pub topics: HashMap<TopicId, String>,
    /// Ids of producers and sessions, in the order of their first appearance.
    met: HashMap<&'static str, Vec<String>>,
}

impl Names {
    pub fn new(prefix: String, epoch_ms: i64) -> Names {
        Names { prefix, epoch_ms, topics: HashMap::new(), met: HashMap::new() }
    }

    pub fn render(&mut self, reply: &Response) -> String {
        let mut reply = reply.clone();
        let mut records = self.take_records(&mut reply).into_iter();
        let debug = format!("{reply:?}").replace(&self.prefix, "");
        let Tree::Tuple(_, mut body) = Tree::parse(&debug) else { panic!("not a message: {debug}") };
        let mut tree = body.remove(0);
        self.walk(&mut tree, &mut records);
        if let Response::DescribeQuorum(_) = reply {
            hide(&mut tree, &["leader_epoch", "high_watermark", "log_end_offset"]);
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
                // Never throttled: neither broker has a quota.
                fields.retain(|(name, value)| !(name == "throttle_time_ms" && *value == Tree::Atom("0".to_owned())));
                for (name, value) in fields {
                    self.walk(value, records);
                    self.field(name, value, records);
                }
            }
        }
    }

    fn field(&mut self, name: &str, value: &mut Tree, records: &mut impl Iterator<Item = String>) {
        if name == "replica_directory_id" {
            *value = Tree::Atom("ID".to_owned());
        }
        if let Tree::List(items) = value {
            if UNORDERED.contains(&name) {
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

/// Replaces numbers that tell how long the broker has been at work.
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
