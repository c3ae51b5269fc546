//! Puts the outcomes of a produce request together. Connection's core; pure.
//! Invariant: an error tells -1 for every offset and time.

use shards::request::{AppendError, Appended};

use super::super::errors::append_error;
use super::check::Refused;
use super::{Echo, Slot};
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use crate::wire::{ErrorCode, Str};

/// `answers` belong to the slots that were not refused, in order.
pub(super) fn assemble(topics: Vec<Echo>, answers: Vec<Result<Appended, AppendError>>) -> ProduceResponse {
    let mut answers = answers.into_iter();
    let mut partition = |slot: Slot| match slot.refused {
        Some(refused) => failed(slot.index, refused),
        // No answer: the owner is stopping.
        None => match answers.next().unwrap_or(Err(AppendError::Stopping)) {
            Ok(appended) => PartitionProduceResponse {
                index: slot.index,
                base_offset: appended.base_offset.0,
                log_append_time_ms: appended.log_append_time_ms,
                log_start_offset: appended.log_start.0,
                ..Default::default()
            },
            Err(e) => {
                let message = Some(Str::from(e.to_string()));
                failed(slot.index, Refused { message, ..Refused::from(append_error(&e)) })
            }
        },
    };
    let responses = topics.into_iter().map(|topic| TopicProduceResponse {
        name: topic.name,
        topic_id: topic.id,
        partition_responses: topic.partitions.into_iter().map(&mut partition).collect(),
    });
    ProduceResponse { responses: responses.collect(), ..Default::default() }
}

fn failed(index: i32, refused: Refused) -> PartitionProduceResponse {
    let records = refused.records.into_iter();
    PartitionProduceResponse {
        index,
        error_code: refused.code,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: -1,
        record_errors: records
            .map(|(batch_index, text)| BatchIndexAndErrorMessage { batch_index, batch_index_error_message: text })
            .collect(),
        error_message: refused.message,
        ..Default::default()
    }
}

pub(super) fn first_error(reply: &ProduceResponse) -> Option<ErrorCode> {
    let partitions = reply.responses.iter().flat_map(|topic| &topic.partition_responses);
    partitions.map(|partition| partition.error_code).find(|code| *code != ErrorCode::None)
}

#[cfg(test)]
mod tests {
    use shards::request::Marks;
    use shards::types::Offset;

    use super::*;

    fn echo(refused: [bool; 3]) -> Echo {
        let slots = (0..)
            .zip(refused)
            .map(|(index, refused)| Slot { index, refused: refused.then(|| Refused::from(ErrorCode::CorruptMessage)) });
        Echo { name: "t".into(), id: Default::default(), partitions: slots.collect() }
    }

    #[test]
    fn answers_go_to_the_partitions_that_were_not_refused() {
        let appended =
            Appended { base_offset: Offset(7), log_append_time_ms: -1, log_start: Offset(2), marks: Marks::default() };
        let answers = vec![Ok(appended), Err(AppendError::DiskFull)];
        let reply = assemble(vec![echo([false, true, false])], answers);
        let told: Vec<_> = reply.responses[0]
            .partition_responses
            .iter()
            .map(|p| (p.index, p.error_code, p.base_offset, p.log_start_offset))
            .collect();
        let expected = [
            (0, ErrorCode::None, 7, 2),
            (1, ErrorCode::CorruptMessage, -1, -1),
            (2, ErrorCode::KafkaStorageError, -1, -1),
        ];
        assert_eq!(told, expected);
        assert_eq!(first_error(&reply), Some(ErrorCode::CorruptMessage));
    }

    #[test]
    fn without_an_error_there_is_nothing_to_close_for() {
        assert_eq!(first_error(&assemble(vec![Echo { partitions: Vec::new(), ..echo([true; 3]) }], Vec::new())), None);
    }
}
