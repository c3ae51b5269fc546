//! Produce (key 0): appends batches. Runs on the connection's core, which checks each batch; its partition's owner gives
//! it its place. `check` holds the checks, `reply` puts the outcomes together.
//! Invariant: a partition that fails touches no other, and no part of the request's frame outlives the first stage but
//! the batches themselves.

mod check;
mod reply;

use std::future::Future;

use shards::batch::BatchHeader;
use shards::catalog::{Catalog, Topic};
use shards::request::AppendPart;
use shards::router::Stage;

use super::RequestContext;
use super::table::Served;
use super::topics;
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use crate::wire::{ErrorCode, Str, TopicId};
use check::{Refused, Rules};

/// A topic of the request, to be named in the reply.
struct Echo {
    name: Str,
    id: TopicId,
    partitions: Vec<Slot>,
}

/// A partition of the request: refused here, or with the shards, whose answers come in this order.
struct Slot {
    index: i32,
    refused: Option<Refused>,
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ProduceRequest,
) -> impl Future<Output = Served<ProduceResponse>> + use<> {
    let acks = request.acks;
    let by_id = ctx.version >= 13;
    let rules = Rules {
        version: ctx.version,
        wall_ms: ctx.arrival.wall_ms,
        decompressed_bytes_max: ctx.core.settings.decompressed_bytes_max,
        is_forbidden: request.transactional_id.is_none() && has_transactional(&request),
    };
    let mut parts = Vec::new();
    let topics: Vec<Echo> = {
        let catalog = ctx.core.shards.catalog();
        let named = request.topic_data.into_iter().filter(|topic| !topic.partition_data.is_empty());
        named.map(|topic| submit(&catalog, topic, by_id, acks, &rules, &mut parts)).collect()
    };
    let (shards, trace) = (&ctx.core.shards, ctx.arrival.trace.clone());
    let answers = (!parts.is_empty()).then(|| {
        let now = shards.now();
        trace.step(Stage::Decode, now);
        shards.append(now, parts)
    });
    async move {
        let answers = match answers {
            Some(answers) => answers.await,
            None => Vec::new(),
        };
        // The slowest of the owners is the one that all waited for.
        if let Some(last) = answers.iter().flatten().max_by_key(|appended| appended.marks.released) {
            trace.appended(&last.marks);
        }
        let reply = reply::assemble(topics, answers);
        if acks != 0 {
            return reply.into();
        }
        // Nobody reads a reply; closing the connection is the one way to tell of an error.
        match reply::first_error(&reply) {
            None => Served::Silent,
            Some(error) => Served::Close(format!("a batch sent with acks=0 failed: {error}")),
        }
    }
}

fn has_transactional(request: &ProduceRequest) -> bool {
    let mut partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.any(|asked| {
        let header = BatchHeader::parse(asked.records.as_deref().unwrap_or_default());
        header.is_ok_and(|header| header.magic == 2 && header.is_transactional())
    })
}

/// Checks the batches of one topic and puts the good ones into `parts`.
fn submit(
    catalog: &Catalog,
    topic: TopicProduceData,
    by_id: bool,
    acks: i16,
    rules: &Rules,
    parts: &mut Vec<AppendPart>,
) -> Echo {
    let found = topics::find(catalog, by_id, &topic.name, topic.topic_id);
    // In Kafka's order: what is wrong with one partition is told before what is wrong with the request.
    let part = |asked: PartitionProduceData| -> Result<AppendPart, Refused> {
        if rules.is_forbidden {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
        }
        let partition = topics::partition(found, asked.index)?;
        let topic = found?;
        let batch = check::parse(asked.records, &topic.config, rules);
        if batch.as_ref().err().is_none_or(|refused| refused.is_of_log) {
            writable(topic, acks)?;
        }
        let batch = check::conform(batch?, &topic.config, rules)?;
        Ok(AppendPart { partition, batch, acks_all: acks == -1 })
    };
    let slot = |asked: PartitionProduceData| {
        let index = asked.index;
        match part(asked) {
            Ok(part) => {
                parts.push(part);
                Slot { index, refused: None }
            }
            Err(refused) => Slot { index, refused: Some(refused) },
        }
    };
    let partitions = topic.partition_data.into_iter().map(slot).collect();
    // Copied: a slice would keep the whole frame until the reply.
    Echo { name: topic.name.as_str().into(), id: topic.topic_id, partitions }
}

/// Whether clients may write to the topic, with these acks.
fn writable(topic: &Topic, acks: i16) -> Result<(), ErrorCode> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks);
    }
    if topic.is_internal() { Err(ErrorCode::InvalidTopicException) } else { Ok(()) }
}
