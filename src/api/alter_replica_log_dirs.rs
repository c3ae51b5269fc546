//! AlterReplicaLogDirs (key 34): moves replicas between log directories. Connection's core.
//! Invariant: there is one log directory, so a move is to where the replica is, or to nowhere.

use std::future::Future;

use hashbrown::HashMap;

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: AlterReplicaLogDirsRequest,
) -> impl Future<Output = Served<AlterReplicaLogDirsResponse>> + use<> {
    let catalog = ctx.core.shards.catalog();
    let mut results: Vec<AlterReplicaLogDirTopicResult> = Vec::new();
    let mut places: HashMap<Str, usize> = HashMap::new();
    for dir in &request.dirs {
        let is_ours = dir.path == ctx.core.settings.log_dir;
        for topic in &dir.topics {
            let place = *places.entry(topic.name.as_str().into()).or_insert_with(|| {
                results.push(AlterReplicaLogDirTopicResult {
                    topic_name: topic.name.as_str().into(),
                    ..Default::default()
                });
                results.len() - 1
            });
            let found = catalog.topic(&topic.name);
            let moved = topic.partitions.iter().map(|index| AlterReplicaLogDirPartitionResult {
                partition_index: *index,
                error_code: match found.and_then(|topic| topic.partition(*index)) {
                    _ if !is_ours => ErrorCode::LogDirNotFound,
                    None => ErrorCode::UnknownTopicOrPartition,
                    Some(_) => ErrorCode::None,
                },
            });
            if let Some(result) = results.get_mut(place) {
                result.partitions.extend(moved);
            }
        }
    }
    std::future::ready(AlterReplicaLogDirsResponse { results, ..Default::default() }.into())
}
