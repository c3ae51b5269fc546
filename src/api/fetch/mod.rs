//! Fetch (key 1): reads batches. Runs on the connection's core; each partition's owner reads, and waits for more if asked.
//! `sessions` are the core's fetch sessions, `reply` puts the answers together.
//! Invariant: a reply's records are slices of the log, never copied here.

mod reply;
pub(super) mod sessions;
#[cfg(test)]
mod sessions_tests;

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use shards::catalog::Catalog;
use shards::request::{FetchAsk, FetchPart, Isolation};
use shards::router::{Answers, Stage};
use shards::types::{Mono, Offset, PartitionId};

use super::long_reply::Lent;
use super::table::Served;
use super::{RequestContext, list_offsets, topics};
use crate::wire::ErrorCode;
use crate::wire::messages::fetch::{FetchRequest, FetchResponse, ForgottenTopic};
use reply::Leader;
use sessions::{TopicKey, Want};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: FetchRequest,
) -> impl Future<Output = Served<FetchResponse>> + use<> {
    let (version, now) = (ctx.version, ctx.arrival.now);
    let by_ids = version >= 13;
    let placed = {
        let (wants, forgotten) = (wants(&request, by_ids), forgotten(&request.forgotten_topics_data, by_ids));
        let session = (request.session_id, request.session_epoch);
        ctx.core.sessions.borrow_mut().open(now, session, by_ids, wants, &forgotten)
    };
    let isolation = list_offsets::isolation(request.isolation_level);
    let asked = placed.map(|(context, wants)| {
        let catalog = ctx.core.shards.catalog();
        let found: Vec<_> = wants.iter().map(|want| resolve(&catalog, want)).collect();
        let parts: Vec<_> =
            wants.iter().zip(&found).filter_map(|(want, found)| Some(part(want, *found.as_ref().ok()?))).collect();
        drop(catalog);
        let answers = (!parts.is_empty()).then(|| {
            let (shards, trace) = (&ctx.core.shards, ctx.arrival.trace.clone());
            trace.step(Stage::Decode, shards.now());
            shards.fetch(ask(ctx, &request, isolation, parts), ctx.core.memory.clone(), trace)
        });
        (context, wants, found, answers)
    });
    let leader = (version >= 16).then(|| Leader::of(ctx));
    let core = ctx.core.clone();
    async move {
        let (context, wants, found, answers) = match asked {
            Ok(asked) => asked,
            Err(e) => return reply::refused(e).into(),
        };
        let (read, lease) = match answers {
            Some(answers) => {
                let Answers { read, lease } = answers.await;
                (read, lease)
            }
            None => (Vec::new(), None),
        };
        let mut answers = read.into_iter();
        let answers = found.into_iter().map(|found| match found {
            Err(code) => reply::Part::Unknown(code),
            Ok(_) => reply::Part::of(answers.next(), leader.as_ref()),
        });
        let parts: Vec<_> = answers.collect();
        let told: Vec<_> = parts.iter().map(reply::Part::told).collect();
        let selected = core.sessions.borrow_mut().select(now, core.random(), &context, &wants, &told);
        let lent = Lent { leases: lease.into_iter().collect(), ..Lent::default() };
        Served::Lent(reply::assemble(selected, &wants, parts, isolation, leader), lent)
    }
}

fn wants(request: &FetchRequest, by_ids: bool) -> Vec<Want> {
    let mut wants = Vec::with_capacity(request.topics.iter().map(|topic| topic.partitions.len()).sum());
    for topic in &request.topics {
        let key = if by_ids { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(Rc::from(topic.topic.as_str())) };
        wants.extend(topic.partitions.iter().map(|asked| Want {
            topic: key.clone(),
            index: asked.partition,
            offset: asked.fetch_offset,
            max_bytes: asked.partition_max_bytes,
            current_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
        }));
    }
    wants
}

fn forgotten(topics: &[ForgottenTopic], by_ids: bool) -> Vec<(TopicKey, i32)> {
    let mut forgotten = Vec::new();
    for topic in topics {
        let key = if by_ids { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(Rc::from(topic.topic.as_str())) };
        forgotten.extend(topic.partitions.iter().map(|index| (key.clone(), *index)));
    }
    forgotten
}

fn resolve(catalog: &Catalog, want: &Want) -> Result<PartitionId, ErrorCode> {
    let topic = match &want.topic {
        TopicKey::Name(name) => topics::find(catalog, false, name, Default::default()),
        TopicKey::Id(id) => topics::find(catalog, true, "", *id),
    };
    topics::partition(topic, want.index)
}

fn part(want: &Want, partition: PartitionId) -> FetchPart {
    FetchPart {
        partition,
        offset: Offset(want.offset),
        max_bytes: at_least_0(want.max_bytes),
        // As Kafka: a fetch does not say its epochs by any number below zero.
        current_epoch: topics::epoch_told(want.current_epoch.max(-1)),
        last_fetched_epoch: topics::epoch_told(want.last_fetched_epoch.max(-1)),
    }
}

fn ask(ctx: &RequestContext<'_>, request: &FetchRequest, isolation: Isolation, parts: Vec<FetchPart>) -> FetchAsk {
    let max_bytes = at_least_0(request.max_bytes).min(ctx.core.settings.fetch_bytes_max);
    FetchAsk {
        parts,
        isolation,
        max_bytes,
        // More than fits would wait for nothing.
        min_bytes: at_least_0(request.min_bytes).min(max_bytes),
        deadline: deadline(ctx.arrival.now, request.max_wait_ms),
    }
}

fn deadline(now: Mono, max_wait_ms: i32) -> Mono {
    match u64::try_from(max_wait_ms) {
        Ok(wait) if wait > 0 => now.after(Duration::from_millis(wait)),
        _ => Mono(0),
    }
}

fn at_least_0(bytes: i32) -> u32 {
    u32::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_asks_for_an_answer_at_once() {
        assert_eq!(deadline(Mono(5), 0), Mono(0));
        assert_eq!(deadline(Mono(5), -1), Mono(0));
        assert_eq!(deadline(Mono(5), 1), Mono(1_000_005));
    }

    #[test]
    fn negative_sizes_ask_for_nothing() {
        assert_eq!((at_least_0(-1), at_least_0(i32::MIN), at_least_0(7)), (0, 0, 7));
    }
}
