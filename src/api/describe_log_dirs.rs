//! DescribeLogDirs (key 35): sizes of partitions on disk. Connection's core; each partition's owner tells its size.
//! Invariant: there is one log directory.

use std::collections::BTreeMap;
use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::{Catalog, Topic};
use shards::request::{PartitionSize, ReadError};
use shards::router::Shards;
use shards::types::PartitionId;

use super::RequestContext;
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use crate::wire::{Elements, Str};

/// Most that these take encoded beside their names: a partition, a topic, the directory.
const PARTITION_BYTES: usize = 22;
const TOPIC_BYTES: usize = 12;
const DIR_BYTES: usize = 48;

/// Partitions that are asked for, by topic; `None` for all.
type Asked = Option<BTreeMap<String, HashSet<i32>>>;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeLogDirsRequest,
) -> impl Future<Output = Served<DescribeLogDirsResponse>> + use<> {
    let asked: Asked = request.topics.map(|topics| {
        let mut wanted: BTreeMap<String, HashSet<i32>> = BTreeMap::new();
        for asked in topics {
            wanted.entry(asked.topic.as_str().to_owned()).or_default().extend(&asked.partitions);
        }
        wanted
    });
    let mut results = LongReply::of::<DescribeLogDirsResponse>(ctx);
    let (shards, log_dir) = (ctx.core.shards.clone(), ctx.core.settings.log_dir.clone());
    async move {
        // Not before this reply's turn: all topics lie in memory until they are told.
        let topics = match tell_topics(&shards, &asked, log_dir.path.len(), &mut results).await {
            Ok(topics) => topics,
            Err(why) => return why.close(),
        };
        let (total, usable) =
            (log_dir.space)(&log_dir.path).map_or((-1, -1), |(total, left)| (bytes(total), bytes(left)));
        let result = DescribeLogDirsResult {
            log_dir: log_dir.path,
            total_bytes: total,
            usable_bytes: usable,
            ..Default::default()
        };
        match results.push_with(result, topics).await {
            Ok(()) => results.within(DescribeLogDirsResponse::default()),
            Err(why) => why.close(),
        }
    }
}

/// The topics of the one directory, of which there is memory for `results`.
async fn tell_topics(
    shards: &Shards,
    asked: &Asked,
    path_bytes: usize,
    results: &mut LongReply<DescribeLogDirsResult>,
) -> Result<Elements, NoReply> {
    let mut told_bytes = DIR_BYTES + path_bytes;
    let mut held_bytes = 0;
    each(&shards.catalog(), asked, |topic, ids| {
        let partitions = ids.count();
        told_bytes += TOPIC_BYTES + topic.name.len() + partitions * PARTITION_BYTES;
        held_bytes += partitions * (2 * size_of::<PartitionId>() + size_of::<Result<PartitionSize, ReadError>>());
    });
    results.room(told_bytes, held_bytes).await?;
    let mut found: Vec<(Str, Vec<PartitionId>)> = Vec::new();
    each(&shards.catalog(), asked, |topic, ids| {
        let ids: Vec<_> = ids.collect();
        if !ids.is_empty() {
            found.push((Str::from(&*topic.name), ids));
        }
    });
    let ids: Vec<_> = found.iter().flat_map(|(_, ids)| ids).copied().collect();
    let sizes = if ids.is_empty() { Vec::new() } else { shards.sizes(ids).await };
    let mut sizes = sizes.into_iter();
    let mut topics = results.inner();
    for (name, ids) in found {
        let mut partitions = topics.within();
        for (id, size) in ids.iter().zip(&mut sizes) {
            // One that was deleted a moment ago has no bytes.
            let partition_size = size.map_or(0, |size| bytes(size.bytes));
            partitions.push(&DescribeLogDirsPartition {
                partition_index: id.index,
                partition_size,
                ..Default::default()
            })?;
        }
        topics.push_with(&DescribeLogDirsTopic { name, ..Default::default() }, partitions.finish())?;
    }
    Ok(topics.finish())
}

/// Each topic that is asked for and here, with those of its partitions.
fn each(catalog: &Catalog, asked: &Asked, mut act: impl FnMut(&Topic, &mut dyn Iterator<Item = PartitionId>)) {
    match asked {
        None => catalog.topics().for_each(|topic| act(topic, &mut topic.partition_ids())),
        Some(wanted) => {
            for (name, indexes) in wanted {
                if let Some(topic) = catalog.topic(name) {
                    act(topic, &mut topic.partition_ids().filter(|id| indexes.contains(&id.index)));
                }
            }
        }
    }
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use shards::catalog::{CatalogRecord, CatalogSettings};
    use shards::types::TopicId;

    use super::super::tests::shards_of;
    use super::*;

    #[test]
    fn nothing_is_told_of_many_partitions_before_there_is_memory_for_it() {
        let mut catalog = Catalog::new(CatalogSettings::new("c", 1));
        let id = TopicId([1; 16]);
        catalog.apply(&CatalogRecord::Topic { name: "t".to_owned(), id }).expect("a new topic");
        for index in 0..100_000 {
            let record = CatalogRecord::Partition { topic: id, index, replicas: vec![1], leader_epoch: 0 };
            catalog.apply(&record).expect("the next partition");
        }
        let shards = shards_of(catalog);
        let mut results = LongReply::lent::<DescribeLogDirsResponse>(5, 1 << 20);
        let told = block_on(tell_topics(&shards, &None, 10, &mut results));
        assert!(matches!(told, Err(NoReply::NoMemory { .. })));
        // No partition's owner is asked for these: none of them is here.
        let none: Asked = Some([("u".to_owned(), HashSet::new()), ("t".to_owned(), [-1].into())].into());
        let told = block_on(tell_topics(&shards, &none, 10, &mut results)).expect("a little memory");
        block_on(results.push_with(DescribeLogDirsResult::default(), told)).expect("a little memory");
        assert!(results.bytes() <= DIR_BYTES, "{}", results.bytes());
    }
}
