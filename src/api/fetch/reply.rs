//! Puts a fetch's answers together. Connection's core; pure.
//! Invariant: records are empty, never null, and an error tells -1 for high watermark, last stable offset and log start.

use shards::request::{Fetched, Isolation, ReadError};

use super::super::RequestContext;
use super::super::errors::read_error;
use super::sessions::{NO_SESSION, Selected, SessionError, Told, TopicKey, Want};
use crate::wire::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use crate::wire::{ErrorCode, RecordParts, Str, TopicId};

/// This broker, for readers with an old idea of who leads (KIP-951).
pub(super) struct Leader {
    node_id: i32,
    host: Str,
    port: i32,
}

impl Leader {
    pub(super) fn of(ctx: &RequestContext<'_>) -> Leader {
        let (host, port) = ctx.peer.broker_address();
        Leader { node_id: ctx.core.settings.node_id, host, port }
    }
}

/// The answer for one partition.
pub(super) enum Part {
    Read(Fetched),
    /// The catalog has no such partition: no owner was asked.
    Unknown(ErrorCode),
    Failed {
        code: ErrorCode,
        current_leader: LeaderIdAndEpoch,
    },
}

impl Part {
    /// `leader` is there where the version can tell it. No answer at all: the owner is stopping.
    pub(super) fn of(answer: Option<Result<Fetched, ReadError>>, leader: Option<&Leader>) -> Part {
        match answer.unwrap_or(Err(ReadError::Stopping)) {
            Ok(fetched) => Part::Read(fetched),
            Err(e) => {
                let current_leader = match (&e, leader) {
                    (ReadError::FencedEpoch { ours, .. }, Some(leader)) => {
                        LeaderIdAndEpoch { leader_id: leader.node_id, leader_epoch: ours.0 }
                    }
                    _ => LeaderIdAndEpoch::default(),
                };
                Part::Failed { code: read_error(&e), current_leader }
            }
        }
    }

    pub(super) fn told(&self) -> Told {
        match self {
            Part::Read(fetched) => Told {
                high_watermark: fetched.high_watermark.0,
                log_start: fetched.log_start.0,
                has_records: fetched.bytes() > 0,
                failed: false,
                diverges: fetched.diverging.is_some(),
            },
            Part::Unknown(_) | Part::Failed { .. } => {
                Told { high_watermark: -1, log_start: -1, has_records: false, failed: true, diverges: false }
            }
        }
    }

    fn into_data(self, partition_index: i32, isolation: Isolation) -> PartitionData {
        match self {
            // Here alone Kafka's list of aborted transactions is empty for every reader; an owner's error has none.
            Part::Unknown(code) => {
                PartitionData { aborted_transactions: Some(Vec::new()), ..without_offsets(partition_index, code) }
            }
            Part::Failed { code, current_leader } => {
                PartitionData { current_leader, ..without_offsets(partition_index, code) }
            }
            Part::Read(fetched) => {
                let aborted = fetched
                    .aborted
                    .iter()
                    .map(|(producer, first)| AbortedTransaction { producer_id: producer.0, first_offset: first.0 });
                PartitionData {
                    partition_index,
                    high_watermark: fetched.high_watermark.0,
                    last_stable_offset: fetched.last_stable.0,
                    log_start_offset: fetched.log_start.0,
                    diverging_epoch: fetched
                        .diverging
                        .map(|end| EpochEndOffset { epoch: end.epoch.0, end_offset: end.end.0 })
                        .unwrap_or_default(),
                    aborted_transactions: (isolation == Isolation::ReadCommitted && fetched.diverging.is_none())
                        .then(|| aborted.collect()),
                    records: Some(RecordParts::from(fetched.records)),
                    ..Default::default()
                }
            }
        }
    }
}

fn without_offsets(partition_index: i32, error_code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index,
        error_code,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted_transactions: None,
        records: Some(RecordParts::default()),
        ..Default::default()
    }
}

/// The reply to a request without a session to work with.
pub(super) fn refused(e: SessionError) -> FetchResponse {
    let error_code = match e {
        SessionError::UnknownId => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::NamesAndIdsMixed => ErrorCode::FetchSessionTopicIdError,
    };
    FetchResponse { error_code, session_id: NO_SESSION, ..Default::default() }
}

/// The reply: the selected partitions in order, neighbours of one topic together.
pub(super) fn assemble(
    selected: Selected,
    wants: &[Want],
    parts: Vec<Part>,
    isolation: Isolation,
    leader: Option<Leader>,
) -> FetchResponse {
    let mut responses: Vec<FetchableTopicResponse> = Vec::new();
    let mut before: Option<&TopicKey> = None;
    let mut names_leader = false;
    let told = wants.iter().zip(parts).zip(selected.told).filter(|(_, is_told)| *is_told);
    for ((want, part), _) in told {
        if before != Some(&want.topic) {
            before = Some(&want.topic);
            responses.push(topic_of(&want.topic));
        }
        let data = part.into_data(want.index, isolation);
        names_leader |= data.current_leader != LeaderIdAndEpoch::default();
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    let node_endpoints = leader.filter(|_| names_leader).map(|leader| NodeEndpoint {
        node_id: leader.node_id,
        host: leader.host,
        port: leader.port,
        rack: None,
    });
    FetchResponse {
        session_id: selected.session_id,
        responses,
        node_endpoints: node_endpoints.into_iter().collect(),
        ..Default::default()
    }
}

fn topic_of(key: &TopicKey) -> FetchableTopicResponse {
    let (topic, topic_id) = match key {
        TopicKey::Name(name) => (Str::from(&**name), TopicId::ZERO),
        TopicKey::Id(id) => (Str::default(), *id),
    };
    FetchableTopicResponse { topic, topic_id, partitions: Vec::new() }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shards::request::EpochEnd;
    use shards::types::{LeaderEpoch, Offset};

    use super::*;

    fn want(topic: &str, index: i32) -> Want {
        let topic = TopicKey::Name(topic.into());
        Want { topic, index, offset: 0, max_bytes: 1, current_epoch: -1, last_fetched_epoch: -1 }
    }

    fn leader() -> Leader {
        Leader { node_id: 1, host: "h".into(), port: 9 }
    }

    #[test]
    fn an_error_tells_no_offsets_and_empty_records() {
        let unknown = Part::Unknown(ErrorCode::UnknownTopicOrPartition);
        let out_of_range = Part::of(Some(Err(ReadError::FutureFetchedEpoch)), None);
        for (part, aborted) in [(unknown, Some(Vec::new())), (out_of_range, None)] {
            let data = part.into_data(4, Isolation::ReadCommitted);
            assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (-1, -1, -1));
            assert_eq!(data.records, Some(RecordParts::default()));
            assert_eq!(data.aborted_transactions, aborted);
        }
    }

    #[test]
    fn nothing_to_read_is_empty_and_not_null() {
        let data = Part::Read(Fetched::default()).into_data(0, Isolation::ReadUncommitted);
        assert_eq!(data.records, Some(RecordParts::default()));
        assert_eq!((data.error_code, data.aborted_transactions), (ErrorCode::None, None));
    }

    #[test]
    fn only_what_is_selected_is_told_and_neighbours_share_their_topic() {
        let wants = [want("a", 0), want("a", 1), want("b", 0), want("a", 2)];
        let parts = wants.iter().map(|_| Part::Read(Fetched::default())).collect();
        let selected = Selected { session_id: 5, told: vec![true, false, true, true] };
        let reply = assemble(selected, &wants, parts, Isolation::ReadUncommitted, Some(leader()));
        let told: Vec<_> = reply
            .responses
            .iter()
            .map(|topic| (topic.topic.as_str(), topic.partitions.iter().map(|p| p.partition_index).collect::<Vec<_>>()))
            .collect();
        assert_eq!(told, [("a", vec![0]), ("b", vec![0]), ("a", vec![2])]);
        assert_eq!((reply.session_id, reply.node_endpoints.len()), (5, 0));
    }

    #[test]
    fn a_fenced_reader_is_told_the_leader_where_its_version_can_carry_it() {
        let fenced = || Some(Err(ReadError::FencedEpoch { asked: LeaderEpoch(1), ours: LeaderEpoch(3) }));
        let selected = || Selected { session_id: 0, told: vec![true] };
        let wants = [want("a", 0)];
        let reply = |leader: Option<Leader>| {
            let parts = vec![Part::of(fenced(), leader.as_ref())];
            assemble(selected(), &wants, parts, Isolation::ReadUncommitted, leader)
        };
        let told = reply(Some(leader()));
        assert_eq!(told.responses[0].partitions[0].current_leader, LeaderIdAndEpoch { leader_id: 1, leader_epoch: 3 });
        assert_eq!(told.node_endpoints.len(), 1);
        assert!(reply(None).node_endpoints.is_empty());
    }

    #[test]
    fn divergence_and_records_come_through_as_they_are() {
        let fetched = Fetched {
            records: [Bytes::from_static(b"abc"), Bytes::from_static(b"de")].into_iter().collect(),
            high_watermark: Offset(9),
            diverging: Some(EpochEnd { epoch: LeaderEpoch(2), end: Offset(7) }),
            ..Fetched::default()
        };
        let part = Part::Read(fetched);
        assert!(part.told().has_records && part.told().diverges);
        let data = part.into_data(0, Isolation::ReadCommitted);
        assert_eq!((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (2, 7));
        assert_eq!(data.records.map(RecordParts::into_bytes), Some(Bytes::from_static(b"abcde")));
    }
}
