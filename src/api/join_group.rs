//! JoinGroup (key 11): enters a group, or a new generation of it. Runs on the connection's core; the group's coordinator
//! answers when the generation begins.

use std::future::Future;

use bytes::Bytes;
use shards::group::{GroupReply, GroupRequest, Join, JoinRefused, Joined};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{check_id, kept, reason, unasked};
use super::table::Served;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};
use crate::wire::{ErrorCode, Str};

/// From this version on a new dynamic member must come back with the id that it is given (KIP-394).
const NEEDS_ID: i16 = 4;
/// The first version whose protocol may be null.
const NULL_PROTOCOL: i16 = 7;
/// The first version that can say that there is nothing to assign (KIP-814).
const SKIPS_ASSIGNMENT: i16 = 9;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: JoinGroupRequest,
) -> impl Future<Output = Served<JoinGroupResponse>> + use<> {
    let version = ctx.version;
    let member: Str = request.member_id.as_str().into();
    let asked =
        check_id(&request.group_id).map(|()| ctx.core.shards.ask_group(GroupRequest::Join(join(ctx, &request))));
    async move {
        let refusal = |error| JoinRefused { error, member: member.as_str().into() };
        let reply = match asked {
            Err(code) => failed(code, member.clone()),
            Ok(asked) => match asked.await {
                Ok(GroupReply::Joined(Ok(joined))) => told(joined),
                Ok(GroupReply::Joined(Err(refused))) => told_refused(&refused),
                Ok(other) => told_refused(&refusal(unasked(&other))),
                Err(error) => told_refused(&refusal(error)),
            },
        };
        in_version(version, reply).into()
    }
}

fn join(ctx: &RequestContext<'_>, request: &JoinGroupRequest) -> Join {
    // A session and a rebalance had one time-out in version 0.
    let rebalance_timeout_ms = if ctx.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
    let [high, low] = [ctx.core.random(), ctx.core.random()];
    Join {
        group: kept(&request.group_id),
        member: kept(&request.member_id),
        instance: request.group_instance_id.as_ref().map(kept),
        client_id: ctx.client_id.as_ref().map(kept).unwrap_or_default(),
        client_host: format!("/{}", ctx.peer.addr.ip().to_canonical()).into(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: kept(&request.protocol_type),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| (kept(&protocol.name), Bytes::copy_from_slice(&protocol.metadata)))
            .collect(),
        fresh: (u128::from(high) << 64 | u128::from(low)).to_be_bytes(),
        needs_id: ctx.version >= NEEDS_ID,
        may_skip_assignment: ctx.version >= SKIPS_ASSIGNMENT,
        reason: request.reason.as_ref().map(reason),
    }
}

fn told(joined: Joined) -> JoinGroupResponse {
    let members = joined.members.iter().map(|member| JoinGroupResponseMember {
        member_id: Str::from(&*member.member),
        group_instance_id: member.instance.as_deref().map(Str::from),
        metadata: member.said.clone(),
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.as_deref().map(Str::from),
        protocol_name: joined.protocol.as_deref().map(Str::from),
        leader: joined.leader.as_deref().map(Str::from).unwrap_or_default(),
        skip_assignment: joined.skip_assignment,
        member_id: Str::from(&*joined.member),
        members: members.collect(),
        ..Default::default()
    }
}

fn told_refused(refused: &JoinRefused) -> JoinGroupResponse {
    failed(group_error(refused.error), Str::from(&*refused.member))
}

fn failed(error_code: ErrorCode, member_id: Str) -> JoinGroupResponse {
    JoinGroupResponse { error_code, member_id, protocol_name: None, ..Default::default() }
}

/// What the reply's version cannot carry is left out.
fn in_version(version: i16, mut reply: JoinGroupResponse) -> JoinGroupResponse {
    if version < NULL_PROTOCOL && reply.protocol_name.is_none() {
        reply.protocol_name = Some(Str::default());
    }
    reply
}

#[cfg(test)]
mod tests {
    use shards::group::GroupError;

    use super::*;

    #[test]
    fn a_refused_join_has_no_protocol_which_older_versions_say_with_an_empty_one() {
        let refused = || told_refused(&JoinRefused { error: GroupError::FencedInstance, member: "m".into() });
        assert_eq!(in_version(7, refused()).protocol_name, None);
        assert_eq!(in_version(6, refused()).protocol_name.as_deref(), Some(""));
        assert_eq!(refused().generation_id, -1);
    }
}
