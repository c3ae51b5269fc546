//! ConsumerGroupHeartbeat (key 68): joins, keeps and leaves a group whose assignment is the broker's (KIP-848). Runs on the
//! connection's core; the group's coordinator answers. Invariant: a request that contradicts itself never gets there.

use std::future::Future;

use shards::group::{Assignor, ConsumerBeat, ConsumerTold, GroupReply, GroupRequest, Parts};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{kept, unasked};
use super::table::Served;
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use crate::wire::{ErrorCode, Str};

/// From this version on a member makes its own id.
const OWN_ID: i16 = 1;
/// Member epochs with a meaning of their own.
const JOINS: i32 = 0;
const LEAVES: i32 = -1;
const IS_AWAY: i32 = -2;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> impl Future<Output = Served<ConsumerGroupHeartbeatResponse>> + use<> {
    let asked = check(&request, ctx.version)
        .map(|()| ctx.core.shards.ask_group(GroupRequest::ConsumerBeat(beat(ctx, &request))));
    async move {
        let reply = match asked {
            Err((error_code, why)) => refused(error_code, Some(why)),
            Ok(asked) => match asked.await {
                Ok(GroupReply::ConsumerBeat(Ok(told))) => tell(&told),
                Ok(GroupReply::ConsumerBeat(Err(said))) => refused(group_error(said.error), Some(said.why)),
                Ok(other) => refused(group_error(unasked(&other)), None),
                Err(error) => refused(group_error(error), None),
            },
        };
        reply.into()
    }
}

/// Kafka's checks of what a request says, in its order.
fn check(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), (ErrorCode, String)> {
    let invalid = |why: &str| Err((ErrorCode::InvalidRequest, why.to_owned()));
    let is_empty = |text: &Option<Str>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let epoch = request.member_epoch;
    if (version >= OWN_ID || epoch > JOINS || epoch == LEAVES) && request.member_id.trim().is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if is_empty(&request.instance_id) {
        return invalid("InstanceId can't be empty.");
    }
    if is_empty(&request.rack_id) {
        return invalid("RackId can't be empty.");
    }
    match epoch {
        JOINS if request.rebalance_timeout_ms == -1 => {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        JOINS if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        JOINS if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
        }
        IS_AWAY if request.instance_id.is_none() => return invalid("InstanceId can't be null."),
        epoch if epoch < IS_AWAY => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    match &request.server_assignor {
        Some(name) if Assignor::named(name).is_none() => {
            let known = Assignor::ALL.map(Assignor::name).join(", ");
            let why = format!("ServerAssignor {name} is not supported. Supported assignors: {known}.");
            Err((ErrorCode::UnsupportedAssignor, why))
        }
        _ => Ok(()),
    }
}

fn beat(ctx: &RequestContext<'_>, request: &ConsumerGroupHeartbeatRequest) -> ConsumerBeat {
    let random = u128::from(ctx.core.random()) << 64 | u128::from(ctx.core.random());
    let owned = |owned: &Vec<TopicPartitions>| -> Parts {
        let topics = owned.iter().filter(|topic| !topic.partitions.is_empty());
        topics.map(|topic| (topic.topic_id, topic.partitions.iter().copied().collect())).collect()
    };
    ConsumerBeat {
        group: kept(&request.group_id),
        member: kept(&request.member_id),
        epoch: request.member_epoch,
        instance: request.instance_id.as_ref().map(kept),
        rack: request.rack_id.as_ref().map(kept),
        client_id: ctx.client_id.as_ref().map(kept).unwrap_or_default(),
        client_host: format!("/{}", ctx.peer.addr.ip().to_canonical()).into(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topics: request.subscribed_topic_names.as_ref().map(|names| names.iter().map(kept).collect()),
        regex: request.subscribed_topic_regex.as_ref().map(kept),
        assignor: request.server_assignor.as_ref().map(kept),
        owns: request.topic_partitions.as_ref().map(owned),
        fresh: random.to_be_bytes(),
    }
}

fn tell(told: &ConsumerTold) -> ConsumerGroupHeartbeatResponse {
    let assignment = |parts: &Parts| Assignment {
        topic_partitions: parts
            .iter()
            .map(|(topic_id, indexes)| TopicPartitions {
                topic_id: *topic_id,
                partitions: indexes.iter().copied().collect(),
            })
            .collect(),
    };
    ConsumerGroupHeartbeatResponse {
        member_id: Some(Str::from(&*told.member)),
        member_epoch: told.epoch,
        heartbeat_interval_ms: told.heartbeat_interval_ms,
        assignment: told.assignment.as_ref().map(assignment),
        ..Default::default()
    }
}

fn refused(error_code: ErrorCode, why: Option<String>) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse { error_code, error_message: why.map(Str::from), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joining() -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            rebalance_timeout_ms: 1000,
            subscribed_topic_names: Some(vec!["t".into()]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        }
    }

    #[test]
    fn a_member_that_joins_says_all_of_itself_and_owns_nothing() {
        assert_eq!(check(&joining(), 1), Ok(()));
        let bad = [
            ConsumerGroupHeartbeatRequest { topic_partitions: None, ..joining() },
            ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![TopicPartitions::default()]), ..joining() },
            ConsumerGroupHeartbeatRequest { rebalance_timeout_ms: -1, ..joining() },
            ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..joining() },
            ConsumerGroupHeartbeatRequest { instance_id: Some("".into()), ..joining() },
            ConsumerGroupHeartbeatRequest { member_epoch: -2, ..joining() },
            ConsumerGroupHeartbeatRequest { member_epoch: -3, ..joining() },
            ConsumerGroupHeartbeatRequest { member_id: "".into(), ..joining() },
        ];
        for request in bad {
            assert_eq!(check(&request, 1).map_err(|(code, _)| code), Err(ErrorCode::InvalidRequest), "{request:?}");
        }
    }

    #[test]
    fn the_first_version_lets_the_broker_make_the_id() {
        assert_eq!(check(&ConsumerGroupHeartbeatRequest { member_id: "".into(), ..joining() }, 0), Ok(()));
    }

    #[test]
    fn an_assignor_that_there_is_not_is_refused() {
        let request = ConsumerGroupHeartbeatRequest { server_assignor: Some("sticky".into()), ..joining() };
        let (code, why) = check(&request, 1).expect_err("refused");
        assert_eq!(code, ErrorCode::UnsupportedAssignor);
        assert_eq!(why, "ServerAssignor sticky is not supported. Supported assignors: uniform, range.");
    }
}
