//! Heartbeat (key 12): a member says that it lives, and hears whether the group rebalances. Runs on the connection's core;
//! the group's coordinator answers.

use std::future::Future;

use shards::group::{GroupError, GroupReply, GroupRequest};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{check_id, member, unasked};
use super::table::Served;
use crate::wire::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: HeartbeatRequest,
) -> impl Future<Output = Served<HeartbeatResponse>> + use<> {
    let instance = request.group_instance_id.as_ref();
    let member = member(&request.group_id, &request.member_id, instance, request.generation_id);
    let asked = check_id(&request.group_id).map(|()| ctx.core.shards.ask_group(GroupRequest::Heartbeat(member)));
    async move {
        let error_code = match asked {
            Err(code) => code,
            Ok(asked) => match asked.await {
                // Nothing is wrong with the member: it shall not rejoin because the broker has just started.
                Ok(GroupReply::Heartbeat(Ok(()))) | Err(GroupError::Loading) => ErrorCode::None,
                Ok(GroupReply::Heartbeat(Err(error))) | Err(error) => group_error(error),
                Ok(other) => group_error(unasked(&other)),
            },
        };
        HeartbeatResponse { error_code, ..Default::default() }.into()
    }
}
