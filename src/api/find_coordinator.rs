//! FindCoordinator (key 10): this broker coordinates every group. Runs on the connection's core. The first one asked for a
//! group makes `__consumer_offsets`. Invariant: a coordinator is told only once the topic of its groups is there.

use std::future::Future;
use std::rc::Rc;

use shards::catalog::{CatalogCommand, CatalogReply};
use shards::group::OFFSETS_TOPIC;

use super::long_reply::LongReply;
use super::own_topics::offsets_topic;
use super::table::Served;
use super::{ApiCore, RequestContext};
use crate::wire::messages::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::{ErrorCode, Str};

/// What a key names.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// From this version on several keys are asked for at once, and the reply has a list.
const SEVERAL: i16 = 4;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: FindCoordinatorRequest,
) -> impl Future<Output = Served<FindCoordinatorResponse>> + use<> {
    let (core, version) = (ctx.core.clone(), ctx.version);
    let here = (core.settings.node_id, ctx.peer.broker_address());
    let keys = if version >= SEVERAL { request.coordinator_keys } else { vec![request.key] };
    let coordinators = LongReply::of::<FindCoordinatorResponse>(ctx);
    async move {
        let found = match request.key_type {
            GROUP => make_offsets_topic(&core).await,
            // There is no other broker; what is not served yet is told by the coordinator's own APIs.
            TRANSACTION => Ok(()),
            _ => Err(ErrorCode::InvalidRequest),
        };
        // Kafka says nothing of keys of shares that are none.
        let is_told = request.key_type != SHARE;
        if version < SEVERAL {
            return alone(tell(keys.into_iter().next().unwrap_or_default(), found, is_told, &here)).into();
        }
        let told = keys.into_iter().map(|key| tell(key, found, is_told, &here));
        coordinators.tell(told, FindCoordinatorResponse::default()).await
    }
}

fn tell(
    key: Str,
    found: Result<(), ErrorCode>,
    is_told: bool,
    (node_id, (host, port)): &(i32, (Str, i32)),
) -> Coordinator {
    match found {
        Ok(()) => Coordinator { key, node_id: *node_id, host: host.clone(), port: *port, ..Default::default() },
        Err(error_code) => {
            let error_message = Some(if is_told { Str::from(error_code.name()) } else { Str::default() });
            Coordinator { key, node_id: -1, port: -1, error_code, error_message, ..Default::default() }
        }
    }
}

/// The reply of before version 4.
fn alone(told: Coordinator) -> FindCoordinatorResponse {
    let Coordinator { node_id, host, port, error_code, .. } = told;
    // Kafka names the code, even that of success.
    let error_message = Some(Str::from(error_code.name()));
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

/// Makes the topic of the groups, if it is not there.
async fn make_offsets_topic(core: &Rc<ApiCore>) -> Result<(), ErrorCode> {
    let is_there = |core: &ApiCore| core.shards.catalog().topic(OFFSETS_TOPIC).is_some();
    if is_there(core) {
        return Ok(());
    }
    let topic = offsets_topic(&core.settings.offsets_topic);
    let made = core.shards.change(CatalogCommand::CreateTopics { topics: vec![topic], validate_only: false }).await;
    // Another connection may have made it meanwhile: what counts is whether it is there.
    if is_there(core) {
        return Ok(());
    }
    match made {
        Ok(CatalogReply::TopicsCreated(outcomes)) => {
            let why = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).map(ToString::to_string);
            tracing::error!(why, "{OFFSETS_TOPIC} could not be made: no group can be served");
        }
        Ok(other) => tracing::error!(?other, "{OFFSETS_TOPIC} could not be made"),
        Err(error) => tracing::error!(%error, "{OFFSETS_TOPIC} could not be made: no group can be served"),
    }
    Err(ErrorCode::CoordinatorNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_named_where_there_is_one_coordinator_and_not_in_a_list() {
        let told = tell("g".into(), Ok(()), true, &(7, ("h".into(), 9)));
        assert_eq!((told.node_id, told.error_message.as_deref()), (7, Some("")));
        let old = alone(told);
        assert_eq!((old.node_id, old.error_message.as_deref(), old.coordinators.len()), (7, Some("NONE"), 0));
    }

    #[test]
    fn no_coordinator_has_no_address() {
        let told = tell("g".into(), Err(ErrorCode::InvalidRequest), true, &(7, ("h".into(), 9)));
        assert_eq!((told.node_id, told.host.as_str(), told.port), (-1, "", -1));
    }
}
