//! InitProducerId (key 22): a producer id that nobody else has, for idempotent producers.
//! Runs on the connection's core, from the block of ids that the core holds. Transactional ids are not served yet.

use std::future::Future;

use shards::catalog::CatalogError;

use super::RequestContext;
use super::table::Served;
use crate::wire::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: InitProducerIdRequest,
) -> impl Future<Output = Served<InitProducerIdResponse>> + use<> {
    let producer_id = match refusal(&request) {
        ErrorCode::None => Ok(ctx.core.shards.producer_id()),
        code => Err(code),
    };
    async move {
        let reply = match producer_id {
            Err(code) => failed(code),
            Ok(producer_id) => match producer_id.await {
                Ok(id) => InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() },
                Err(e) => failed(no_id(&e)),
            },
        };
        reply.into()
    }
}

fn refusal(request: &InitProducerIdRequest) -> ErrorCode {
    let is_half_named = (request.producer_id == -1) != (request.producer_epoch == -1);
    match request.transactional_id.as_deref() {
        _ if is_half_named => ErrorCode::InvalidRequest,
        // An id that the producer has already is no reason to keep it: without transactions it just gets a new one.
        None => ErrorCode::None,
        Some("") => ErrorCode::InvalidRequest,
        Some(_) => ErrorCode::UnsupportedVersion,
    }
}

/// A block of ids that could not be stored, or not yet, is worth another try, as on Kafka. Its code for that is also the
/// one for which no producer looks for a coordinator that it does not need.
fn no_id(e: &CatalogError) -> ErrorCode {
    match e {
        CatalogError::Stopping | CatalogError::NotStored { .. } => ErrorCode::CoordinatorLoadInProgress,
        CatalogError::ProducerIdsExhausted
        | CatalogError::Internal { .. }
        | CatalogError::TopicExists { .. }
        | CatalogError::InvalidTopicName { .. }
        | CatalogError::TopicCollides { .. }
        | CatalogError::InvalidRequest { .. }
        | CatalogError::InvalidPartitions { .. }
        | CatalogError::InvalidReplicationFactor { .. }
        | CatalogError::InvalidReplicaAssignment { .. }
        | CatalogError::InvalidConfig(_)
        | CatalogError::UnknownTopic { .. }
        | CatalogError::UnknownTopicId { .. }
        | CatalogError::PolicyViolation { .. }
        | CatalogError::TooManyPartitions { .. }
        | CatalogError::UnknownConfigOp { .. } => ErrorCode::UnknownServerError,
    }
}

fn failed(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse { error_code, producer_id: -1, producer_epoch: -1, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn producers_try_again_when_ids_cannot_be_stored_and_give_up_when_none_are_left() {
        let full = CatalogError::NotStored { why: "no space".into() };
        assert_eq!(no_id(&full), ErrorCode::CoordinatorLoadInProgress);
        assert_eq!(no_id(&CatalogError::Stopping), ErrorCode::CoordinatorLoadInProgress);
        assert_eq!(no_id(&CatalogError::ProducerIdsExhausted), ErrorCode::UnknownServerError);
    }

    #[test]
    fn only_a_null_transactional_id_gets_a_producer_id() {
        let ask = |transactional_id: Option<&str>, producer_id, producer_epoch| {
            let transactional_id = transactional_id.map(Into::into);
            refusal(&InitProducerIdRequest { transactional_id, producer_id, producer_epoch, ..Default::default() })
        };
        assert_eq!(ask(None, -1, -1), ErrorCode::None);
        assert_eq!(ask(None, 7, 0), ErrorCode::None);
        assert_eq!(ask(None, 7, -1), ErrorCode::InvalidRequest);
        assert_eq!(ask(Some(""), -1, -1), ErrorCode::InvalidRequest);
        assert_eq!(ask(Some("tx"), -1, -1), ErrorCode::UnsupportedVersion);
    }
}
