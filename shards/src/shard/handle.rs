//! The door of a shard: every request of any core comes through here, one step each. Owning core only.

use super::core::ShardCore;
use super::stages::{Class, Stage};
use crate::request::ShardRequest;
use crate::router::mailbox::Letter;
use crate::types::Mono;

impl ShardCore {
    /// Carries out one request, or starts it; never waits.
    pub fn handle(&mut self, now: Mono, wall_ms: i64, request: ShardRequest) {
        match request {
            ShardRequest::Append { parts, reply } => self.append(now, wall_ms, parts, reply),
            ShardRequest::Read { parts, isolation, max_bytes, reply } => self.read(&parts, isolation, max_bytes, reply),
            ShardRequest::Watch { id, seen, isolation, missing_bytes, deadline, reply } => {
                self.watch(id, &seen, isolation, missing_bytes, deadline, reply);
            }
            ShardRequest::Unwatch { id } => self.watches.cancel(id),
            ShardRequest::List { parts, reply } => self.list_offsets(&parts, reply),
            ShardRequest::EpochEnds { parts, reply } => self.epoch_ends(&parts, reply),
            ShardRequest::MoveLogStart { parts, reply } => self.move_log_starts(&parts, reply),
            ShardRequest::Sizes { partitions, reply } => self.sizes(&partitions, reply),
            ShardRequest::Group { partition, request, reply } => {
                self.ask_group(now, wall_ms, partition, *request, reply);
            }
            ShardRequest::ListGroups { after, reply } => reply.send(self.list_groups(after.as_ref())),
            ShardRequest::ApplyCatalog { records, reply } => {
                // Synced and refused: shard 0 and this one disagree. Going on would serve from a wrong catalog.
                if let Err(error) = self.apply_catalog(&records) {
                    self.fence.trip(format!("a record of the metadata log cannot be applied: {error}"));
                }
                reply.send(());
            }
        }
    }

    /// A request from another core.
    pub fn take_letter(&mut self, now: Mono, wall_ms: i64, letter: Letter) {
        let (request, sent) = letter.open();
        self.stages.record(Class::Core, Stage::Route, now.since(sent));
        self.handle(now, wall_ms, request);
    }
}
