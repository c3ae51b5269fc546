//! AlterReplicaLogDirs (key 34): moves replicas between log directories. Connection's core.
//! Invariant: there is one log directory, so a move is to where the replica is, or to nowhere.

use std::collections::BTreeMap;
use std::future::Future;

use super::RequestContext;
use super::table::Served;
use crate::wire::ErrorCode;
use crate::wire::messages::alter_replica_log_dirs::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: AlterReplicaLogDirsRequest,
) -> impl Future<Output = Served<AlterReplicaLogDirsResponse>> + use<> {
    let catalog = ctx.core.shards.catalog();
    // A partition that is sent to several directories goes to the last, as Kafka has it.
    let mut moves: BTreeMap<&str, BTreeMap<i32, bool>> = BTreeMap::new();
    for dir in &request.dirs {
        let is_ours = dir.path == ctx.core.settings.log_dir.path;
        for topic in dir.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
            moves.entry(&topic.name).or_default().extend(topic.partitions.iter().map(|index| (*index, is_ours)));
        }
    }
    let results = moves.into_iter().map(|(name, partitions)| {
        let found = catalog.topic(name);
        let moved = partitions.into_iter().map(|(partition_index, is_ours)| AlterReplicaLogDirPartitionResult {
            partition_index,
            error_code: match found.and_then(|topic| topic.partition(partition_index)) {
                _ if !is_ours => ErrorCode::LogDirNotFound,
                None => ErrorCode::UnknownTopicOrPartition,
                Some(_) => ErrorCode::None,
            },
        });
        AlterReplicaLogDirTopicResult { topic_name: name.into(), partitions: moved.collect() }
    });
    let results = results.collect();
    std::future::ready(AlterReplicaLogDirsResponse { results, ..Default::default() }.into())
}
