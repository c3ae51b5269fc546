//! Where logs start and end, as clients ask for it, and a client that deletes what is oldest.

use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};
use corelog::wire::messages::list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};
use corelog::wire::messages::{Request, Response};
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, Shrinks, Topic, one_in, pause, pick};
use crate::history::{Event, Part};
use crate::link::{Broken, Link};

pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;
/// DeleteRecords: up to the high watermark.
const ALL: i64 = -1;
const REPLY_MAX: Duration = Duration::from_secs(20);

/// Asks for the start or the end of a log; `None` if the topic is gone.
pub async fn offset_at(
    clients: &Clients,
    link: &mut Link,
    topic: &Topic,
    index: i32,
    at: i64,
) -> Result<Option<i64>, Broken> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level: 0,
        topics: vec![ListOffsetsTopic {
            name: topic.name.as_str().into(),
            partitions: vec![ListOffsetsPartition { partition_index: index, current_leader_epoch: -1, timestamp: at }],
        }],
        timeout_ms: 10_000,
    };
    let asked = clients.history.at();
    let Response::ListOffsets(reply) = link.ask(Request::from(request), 9, REPLY_MAX).await? else { return Ok(None) };
    let answer = reply.topics.first().and_then(|topic| topic.partitions.first());
    match answer {
        Some(answer) if answer.error_code == ErrorCode::None => {
            // By name: if the topic was made again meanwhile, the answer is about another one.
            if at == EARLIEST && clients.topic(topic.id).is_some() {
                let part = Part { topic: topic.id, index };
                clients.history.push(Event::Starts { part, asked, log_start: answer.offset });
            }
            Ok(Some(answer.offset))
        }
        Some(_) if clients.topic(topic.id).is_none() => Ok(None),
        Some(answer) if clients.is_excused(Part { topic: topic.id, index }, answer.error_code) => Ok(None),
        other => {
            let error = other.map(|answer| answer.error_code.name());
            clients.history.unexpected(format!("ListOffsets of {}-{index}: {error:?}", topic.name));
            Ok(None)
        }
    }
}

/// Deletes records of the topics that shrink by request, for as long as there is a broker and a test.
pub async fn delete_records(rt: SimRuntime, clients: Clients) {
    while clients.wait_open(&rt).await {
        let round = clients.gate.round.get();
        if let Err(Broken::Nonsense(what)) = delete_on_one_connection(&rt, &clients, round).await {
            clients.history.unexpected(what);
        }
        pause(&rt, Duration::from_millis(1 + pick(&rt, 10))).await;
    }
}

async fn delete_on_one_connection(rt: &SimRuntime, clients: &Clients, round: u64) -> Result<(), Broken> {
    let mut link = Link::open(rt, clients.addr).await?;
    while clients.is_current(round) {
        pause(rt, Duration::from_micros(pick(rt, 30_000))).await;
        let topics: Vec<Topic> =
            clients.topics.borrow().iter().filter(|topic| topic.shrinks == Shrinks::ByRequest).cloned().collect();
        if topics.is_empty() {
            continue;
        }
        let topic = &topics[usize::try_from(pick(rt, topics.len() as u64)).expect("an index")];
        let index = i32::try_from(pick(rt, u64::try_from(topic.partitions).expect("some"))).expect("small");
        let Some(start) = offset_at(clients, &mut link, topic, index, EARLIEST).await? else { continue };
        let Some(end) = offset_at(clients, &mut link, topic, index, LATEST).await? else { continue };
        let wanted = start + i64::try_from(pick(rt, u64::try_from(end - start + 1).unwrap_or(1))).expect("small");
        let offset = if one_in(rt, 8) { ALL } else { wanted };
        delete_upto(clients, &mut link, topic, index, offset).await?;
    }
    Ok(())
}

/// Deletes all that the topic's partitions have, one after the other.
pub async fn delete_all(rt: SimRuntime, clients: Clients, topic: Topic) {
    let delete = async {
        let mut link = Link::open(&rt, clients.addr).await?;
        for index in 0..topic.partitions {
            delete_upto(&clients, &mut link, &topic, index, ALL).await?;
        }
        Ok::<(), Broken>(())
    };
    if let Err(Broken::Nonsense(what)) = delete.await {
        clients.history.unexpected(what);
    }
}

async fn delete_upto(clients: &Clients, link: &mut Link, topic: &Topic, index: i32, offset: i64) -> Result<(), Broken> {
    let part = Part { topic: topic.id, index };
    let upto = (offset != ALL).then_some(offset);
    clients.history.push(Event::DeletionAsked { part, upto });
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.name.as_str().into(),
            partitions: vec![DeleteRecordsPartition { partition_index: index, offset }],
        }],
        timeout_ms: 10_000,
    };
    let asked = clients.history.at();
    let Response::DeleteRecords(reply) = link.ask(request, 2, REPLY_MAX).await? else {
        return Err(Broken::Nonsense("another reply than asked for".to_owned()));
    };
    let answer = reply.topics.first().and_then(|topic| topic.partitions.first());
    match answer.map(|answer| (answer.error_code, answer.low_watermark)) {
        Some((ErrorCode::None, log_start)) => {
            if log_start < offset {
                clients.history.unexpected(format!("DeleteRecords of {part:?} to {offset} ends at {log_start}"));
            }
            if upto.is_none() {
                clients.history.push(Event::AllDeleted { part, log_start });
            }
            clients.history.push(Event::Starts { part, asked, log_start });
        }
        // The log lost what it had acked, as it may.
        Some((ErrorCode::OffsetOutOfRange, _)) if topic.relaxed => {}
        Some((error, _)) if clients.is_excused(part, error) => {}
        other => clients.history.unexpected(format!("DeleteRecords of {part:?} to {offset}: {other:?}")),
    }
    Ok(())
}
