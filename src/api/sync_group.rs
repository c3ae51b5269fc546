//! SyncGroup (key 14): the leader brings the assignment, every member takes its part. Runs on the connection's core; the
//! group's coordinator answers when the assignment is durable.

use std::future::Future;

use bytes::Bytes;
use shards::group::{GroupReply, GroupRequest, Sync};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{check_id, kept, member, unasked};
use super::table::Served;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use crate::wire::{ErrorCode, Str};

/// From this version on the protocol must be told.
const TELLS_PROTOCOL: i16 = 5;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: SyncGroupRequest,
) -> impl Future<Output = Served<SyncGroupResponse>> + use<> {
    let asked = check(ctx.version, &request).map(|()| ctx.core.shards.ask_group(GroupRequest::Sync(sync(&request))));
    async move {
        let answer = match asked {
            Err(code) => return failed(code).into(),
            Ok(asked) => asked.await,
        };
        let reply = match answer {
            Ok(GroupReply::Synced(Ok(synced))) => SyncGroupResponse {
                protocol_type: synced.protocol_type.as_deref().map(Str::from),
                protocol_name: synced.protocol.as_deref().map(Str::from),
                assignment: synced.assignment,
                ..Default::default()
            },
            Ok(GroupReply::Synced(Err(error))) | Err(error) => failed(group_error(error)),
            Ok(other) => failed(group_error(unasked(&other))),
        };
        reply.into()
    }
}

fn check(version: i16, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    if version >= TELLS_PROTOCOL && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    check_id(&request.group_id)
}

fn sync(request: &SyncGroupRequest) -> Sync {
    let instance = request.group_instance_id.as_ref();
    Sync {
        member: member(&request.group_id, &request.member_id, instance, request.generation_id),
        protocol_type: request.protocol_type.as_ref().map(kept),
        protocol: request.protocol_name.as_ref().map(kept),
        assignments: request
            .assignments
            .iter()
            .map(|one| (kept(&one.member_id), Bytes::copy_from_slice(&one.assignment)))
            .collect(),
    }
}

fn failed(error_code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse { error_code, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_version_5_on_the_protocol_must_be_told() {
        let silent = SyncGroupRequest { group_id: "g".into(), ..Default::default() };
        assert_eq!(check(4, &silent), Ok(()));
        assert_eq!(check(5, &silent), Err(ErrorCode::InconsistentGroupProtocol));
        let whole =
            SyncGroupRequest { protocol_type: Some("t".into()), protocol_name: Some("p".into()), ..silent.clone() };
        assert_eq!(check(5, &whole), Ok(()));
        assert_eq!(check(0, &SyncGroupRequest::default()), Err(ErrorCode::InvalidGroupId));
    }
}
