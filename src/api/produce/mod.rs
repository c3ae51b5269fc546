//! Produce (key 0): appends batches. Runs on the connection's core, which checks each batch; its partition's owner gives
//! it its place. `check` holds the checks, `reply` puts the outcomes together.
//! Invariant: a partition that fails touches no other, and no part of the request's frame outlives the first stage but
//! the batches themselves.

mod check;
mod reply;

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;
use shards::batch::BatchHeader;
use shards::catalog::Topic;
use shards::request::{AppendError, AppendPart, Appended};
use shards::router::{Answer, Stage};

use super::table::Served;
use super::{ApiCore, RequestContext, topics};
use crate::wire::messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse};
use crate::wire::{ErrorCode, Str, TopicId};
use check::{Refused, Rules};

/// Others have their turn after batches of so many bytes: what takes longer than that at once is done beside the core.
const TURN_BYTES: usize = 64 << 10;
/// What a part costs beside its records, as bytes of those.
const PART_BYTES: usize = 64;
/// Most refused records of a request that are named: what tells of more would take far more than the request.
const NAMED_MAX: usize = 1000;

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

/// What the first stage comes to.
struct Placed {
    topics: Vec<Echo>,
    answers: Option<Answer<Vec<Result<Appended, AppendError>>>>,
}

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ProduceRequest,
) -> impl Future<Output = Served<ProduceResponse>> + use<> {
    let acks = request.acks;
    let placed: Rc<Cell<Option<Placed>>> = Rc::default();
    ctx.go_on(place(ctx, request, placed.clone()));
    let trace = ctx.arrival.trace.clone();
    async move {
        let Some(Placed { topics, answers }) = placed.take() else {
            return Served::Close("its batches were never looked at".to_owned());
        };
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

/// Checks all batches and hands the good ones to their owners together.
fn place(
    ctx: &RequestContext<'_>,
    request: ProduceRequest,
    placed: Rc<Cell<Option<Placed>>>,
) -> impl Future<Output = ()> + use<> {
    let rules = Rules {
        version: ctx.version,
        acks: request.acks,
        by_id: ctx.version >= 13,
        wall_ms: ctx.arrival.wall_ms,
        decompressed_bytes_max: ctx.core.settings.decompressed_bytes_max,
        is_forbidden: request.transactional_id.is_none() && has_transactional(&request),
    };
    let (core, trace) = (ctx.core.clone(), ctx.arrival.trace.clone());
    async move {
        let (mut topics, mut parts) = (Vec::with_capacity(request.topic_data.len()), Vec::new());
        let (mut unturned_bytes, mut named) = (0, 0);
        for topic in request.topic_data.into_iter().filter(|topic| !topic.partition_data.is_empty()) {
            let mut partitions = Vec::with_capacity(topic.partition_data.len());
            for asked in topic.partition_data {
                unturned_bytes += PART_BYTES + asked.records.as_ref().map_or(0, Bytes::len);
                if unturned_bytes > TURN_BYTES {
                    core.memory.turn().await;
                    unturned_bytes = 0;
                }
                let index = asked.index;
                let refused = match check(&core, &topic.name, topic.topic_id, asked, &rules).await {
                    Ok(part) => {
                        parts.push(part);
                        None
                    }
                    Err(mut refused) => {
                        refused.records.truncate(NAMED_MAX.saturating_sub(named));
                        named += refused.records.len();
                        Some(refused)
                    }
                };
                partitions.push(Slot { index, refused });
            }
            // Copied: a slice would keep the whole frame until the reply.
            topics.push(Echo { name: topic.name.as_str().into(), id: topic.topic_id, partitions });
        }
        let answers = (!parts.is_empty()).then(|| {
            let now = core.shards.now();
            trace.step(Stage::Decode, now);
            core.shards.append(now, parts)
        });
        placed.set(Some(Placed { topics, answers }));
    }
}

fn has_transactional(request: &ProduceRequest) -> bool {
    let mut partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    partitions.any(|asked| {
        let header = BatchHeader::parse(asked.records.as_deref().unwrap_or_default());
        header.is_ok_and(|header| header.magic == 2 && header.is_transactional())
    })
}

/// The append that a partition's records ask for.
async fn check(
    core: &ApiCore,
    name: &Str,
    id: TopicId,
    asked: PartitionProduceData,
    rules: &Rules,
) -> Result<AppendPart, Refused> {
    // In Kafka's order: what is wrong with one partition is told before what is wrong with the request.
    if rules.is_forbidden {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
    }
    let (partition, batch, of_topic) = {
        let catalog = core.shards.catalog();
        let found = topics::find(&catalog, rules.by_id, name, id);
        let partition = topics::partition(found, asked.index)?;
        let topic = found?;
        let batch = check::parse(asked.records, &topic.config, rules);
        if batch.as_ref().err().is_none_or(|refused| refused.is_of_log) {
            writable(topic, rules.acks)?;
        }
        (partition, batch?, check::topic_rules(&topic.config, rules))
    };
    let beside = |work| core.memory.beside(work);
    let batch = check::conform(beside, batch, &of_topic, rules.wall_ms).await?;
    Ok(AppendPart { partition, batch, acks_all: rules.acks == -1 })
}

/// Whether clients may write to the topic, with these acks.
fn writable(topic: &Topic, acks: i16) -> Result<(), ErrorCode> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks);
    }
    if topic.is_internal() { Err(ErrorCode::InvalidTopicException) } else { Ok(()) }
}
