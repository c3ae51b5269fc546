//! DescribeLogDirs (key 35): sizes of partitions on disk. Connection's core; each partition's owner tells its size.
//! Invariant: there is one log directory.

use std::collections::BTreeMap;
use std::future::Future;

use hashbrown::HashSet;
use shards::catalog::Topic;

use super::RequestContext;
use super::table::Served;
use crate::wire::Str;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeLogDirsRequest,
) -> impl Future<Output = Served<DescribeLogDirsResponse>> + use<> {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    let mut ids = Vec::new();
    {
        let catalog = ctx.core.shards.catalog();
        let mut add = |topic: &Topic, wanted: &dyn Fn(i32) -> bool| {
            let found: Vec<_> = topic.partition_ids().filter(|id| wanted(id.index)).collect();
            let partitions =
                found.iter().map(|id| DescribeLogDirsPartition { partition_index: id.index, ..Default::default() });
            topics.push(DescribeLogDirsTopic { name: Str::from(&*topic.name), partitions: partitions.collect() });
            ids.extend(found);
        };
        match &request.topics {
            None => catalog.topics().for_each(|topic| add(topic, &|_| true)),
            // What is not here is not told.
            Some(asked) => {
                let mut wanted: BTreeMap<&str, HashSet<i32>> = BTreeMap::new();
                for asked in asked {
                    wanted.entry(&asked.topic).or_default().extend(&asked.partitions);
                }
                for (name, indexes) in wanted {
                    if let Some(topic) = catalog.topic(name) {
                        add(topic, &|index| indexes.contains(&index));
                    }
                }
            }
        }
    }
    topics.retain(|topic| !topic.partitions.is_empty());
    let sizes = (!ids.is_empty()).then(|| ctx.core.shards.sizes(ids));
    let log_dir = ctx.core.settings.log_dir.clone();
    async move {
        if let Some(sizes) = sizes {
            let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for (partition, size) in partitions.zip(sizes.await) {
                // One that was deleted a moment ago has no bytes.
                partition.partition_size = size.map_or(0, |size| bytes(size.bytes));
            }
        }
        let (total, usable) =
            (log_dir.space)(&log_dir.path).map_or((-1, -1), |(total, left)| (bytes(total), bytes(left)));
        let result = DescribeLogDirsResult {
            log_dir: log_dir.path,
            topics,
            total_bytes: total,
            usable_bytes: usable,
            ..Default::default()
        };
        let results = vec![result];
        DescribeLogDirsResponse { results, ..Default::default() }.into()
    }
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
