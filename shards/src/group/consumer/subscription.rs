//! What the members of a group read: topics by name, and by expressions as RE2 understands them. Owning core only; pure.
//!
//! Invariant: an expression is resolved when a member brings it and whenever topics came or went; who reads by it reads the
//! topics that it stood for then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::super::turn::Turn;
use super::pattern::translated;
use super::record::{ConsumerRecord, MemberSaid, ResolvedRegex};
use super::{ConsumerGroup, GroupEpoch};
use crate::catalog::Catalog;
use crate::types::TopicId;

/// A compiled expression may take this much memory; a longer one is refused as invalid.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The text of one may have so many bytes: it is the key of a record.
const TEXT_BYTES_MAX: usize = i16::MAX as usize;
const TOO_LARGE: &str = "it is too large";

/// An expression that matches whole names. Fails with what is wrong with it.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > TEXT_BYTES_MAX {
        return Err(TOO_LARGE.to_owned());
    }
    let whole = format!(r"\A(?:{})\z", translated(pattern)?);
    RegexBuilder::new(&whole).size_limit(REGEX_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => TOO_LARGE.to_owned(),
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

impl ConsumerGroup {
    /// Whether a member, once it says this, reads by an expression that nobody reads by yet.
    pub(super) fn is_new_pattern(&self, said: &MemberSaid) -> bool {
        said.pattern().is_some_and(|pattern| !self.patterns.has(pattern))
    }

    /// Drops the expressions that nobody reads by any more.
    pub(super) fn forget_patterns(&mut self, turn: &mut Turn<'_>) {
        let unread: Vec<Arc<str>> = self.regexes.keys().filter(|regex| !self.patterns.has(regex)).cloned().collect();
        for regex in unread {
            self.put(turn, ConsumerRecord::Regex { regex, value: None });
        }
    }

    /// Looks which topics the expressions stand for now, all of them or those that are new; whether any stands for others than before.
    pub(super) fn resolve_patterns(&mut self, turn: &mut Turn<'_>, topics_moved: bool) -> bool {
        let mut changed = false;
        let is_due = |regex: &&Arc<str>| topics_moved || !self.regexes.contains_key(*regex);
        let patterns: Vec<Arc<str>> = self.patterns.names().filter(is_due).cloned().collect();
        for regex in patterns {
            let topics = match compile(&regex) {
                Ok(compiled) => {
                    let names = turn.catalog.topics().filter(|topic| compiled.is_match(&topic.name));
                    names.map(|topic| topic.name.clone()).collect()
                }
                Err(why) => {
                    // Checked when it came; an expression of another broker's may be one that only that broker knows.
                    tracing::warn!(group = %self.id, %regex, why, "an expression cannot be read: it stands for nothing");
                    BTreeSet::new()
                }
            };
            if self.regexes.get(&regex).is_some_and(|known| known.topics == topics) {
                continue;
            }
            changed = true;
            let version = i64::try_from(turn.catalog.topic_changes()).unwrap_or(i64::MAX);
            let value = ResolvedRegex { topics, version, at_ms: turn.now.wall_ms };
            self.put(turn, ConsumerRecord::Regex { regex, value: Some(value) });
        }
        changed
    }

    /// The topics that a member reads, those that exist.
    pub(super) fn topics_of(&self, said: &MemberSaid, catalog: &Catalog) -> BTreeSet<TopicId> {
        let by_pattern = said.pattern().and_then(|pattern| self.regexes.get(pattern));
        let names = said.topics.iter().chain(by_pattern.into_iter().flat_map(|resolved| &resolved.topics));
        names.filter_map(|name| catalog.topic(name)).map(|topic| topic.id).collect()
    }

    /// The topics that members read and the partitions of each.
    pub(super) fn read_topics(&self, catalog: &Catalog) -> BTreeMap<TopicId, i32> {
        let resolved = self.regexes.iter().filter(|(pattern, _)| self.patterns.has(pattern));
        let names = self.named.names().chain(resolved.flat_map(|(_, resolved)| &resolved.topics));
        names.filter_map(|name| catalog.topic(name)).map(|topic| (topic.id, topic.partitions)).collect()
    }

    /// Of the topics that members read and their partitions.
    pub(super) fn metadata_hash(&self, catalog: &Catalog) -> i64 {
        hash(&self.read_topics(catalog))
    }

    /// Begins a new epoch if it must, or if the topics that are read are not those of the last one.
    pub(super) fn begin_epoch_if(&mut self, turn: &mut Turn<'_>, must: bool) {
        self.topics_seen = Some(turn.catalog.topic_changes());
        let metadata_hash = self.metadata_hash(turn.catalog);
        if must || metadata_hash != self.epoch.metadata_hash {
            let epoch = self.epoch.epoch.saturating_add(1);
            tracing::info!(group = %self.id, epoch, "rebalancing");
            self.put(turn, ConsumerRecord::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
        }
    }
}

/// FNV-1a, the same for ever: it is in the log. Nothing hashes to 0, and only that.
fn hash(topics: &BTreeMap<TopicId, i32>) -> i64 {
    if topics.is_empty() {
        return 0;
    }
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for (topic, partitions) in topics {
        for byte in topic.0.into_iter().chain(partitions.to_be_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // Kafka's own hash is another: a broker that took over would begin one epoch more.
    i64::try_from(hash >> 1).unwrap_or(i64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_names_only() {
        let matches = |pattern: &str, name: &str| compile(pattern).expect("valid").is_match(name);
        assert!(matches("a.*", "abc") && matches("a|b", "b") && matches("^a.c$", "abc"));
        assert!(!matches("a", "ab") && !matches("b", "ab") && !matches("a|b", "ab") && !matches("a|b", "ba"));
    }

    #[test]
    fn what_is_no_expression_is_refused_whatever_stands_around_it() {
        for pattern in ["(", ")", "a)(b", "[a", "a{2,1}", r"(a)\1", "(?=a)"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
