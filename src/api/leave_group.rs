//! LeaveGroup (key 13): members leave a group. Runs on the connection's core; the group's coordinator answers.
//! Invariant: from version 3 on errors of members are told with each of them, in the order asked.

use std::future::Future;

use shards::group::{GroupError, GroupReply, GroupRequest, Leaver};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{check_id, kept, reason, unasked};
use super::table::Served;
use crate::wire::messages::leave_group::{LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse};
use crate::wire::{ErrorCode, Str};

/// From this version on several members leave at once.
const SEVERAL: i16 = 3;

/// One answer for each member, or one for all.
type Answers = Result<Vec<Result<(), GroupError>>, ErrorCode>;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: LeaveGroupRequest,
) -> impl Future<Output = Served<LeaveGroupResponse>> + use<> {
    let version = ctx.version;
    let members = if version >= SEVERAL {
        request.members
    } else {
        vec![MemberIdentity { member_id: request.member_id, ..Default::default() }]
    };
    let leavers = members.iter().map(|one| Leaver {
        member: kept(&one.member_id),
        instance: one.group_instance_id.as_ref().map(kept),
        reason: one.reason.as_ref().map(reason),
    });
    let leave = GroupRequest::Leave { group: kept(&request.group_id), members: leavers.collect() };
    let asked = check_id(&request.group_id).map(|()| ctx.core.shards.ask_group(leave));
    let named: Vec<(Str, Option<Str>)> = members
        .iter()
        .map(|one| (one.member_id.as_str().into(), one.group_instance_id.as_deref().map(Str::from)))
        .collect();
    async move {
        let answers = match asked {
            Err(code) => Err(code),
            Ok(asked) => match asked.await {
                Ok(GroupReply::Left(answers)) => answers.map_err(group_error),
                Ok(other) => Err(group_error(unasked(&other))),
                Err(error) => Err(group_error(error)),
            },
        };
        reply(version, named, answers).into()
    }
}

fn reply(version: i16, named: Vec<(Str, Option<Str>)>, answers: Answers) -> LeaveGroupResponse {
    let code = |answer: Result<(), GroupError>| answer.map_or_else(group_error, |()| ErrorCode::None);
    match answers {
        Err(error_code) => LeaveGroupResponse { error_code, ..Default::default() },
        Ok(answers) if version < SEVERAL => {
            let error_code = answers.first().copied().map_or(ErrorCode::None, code);
            LeaveGroupResponse { error_code, ..Default::default() }
        }
        Ok(answers) => {
            let members = named.into_iter().zip(answers).map(|((member_id, group_instance_id), answer)| {
                MemberResponse { member_id, group_instance_id, error_code: code(answer) }
            });
            LeaveGroupResponse { members: members.collect(), ..Default::default() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_members_are_theirs_from_version_3_on() {
        let answers = || Ok(vec![Err(GroupError::UnknownMember)]);
        let named = || vec![(Str::from("m"), None)];
        let old = reply(2, named(), answers());
        assert_eq!((old.error_code, old.members.len()), (ErrorCode::UnknownMemberId, 0));
        let new = reply(3, named(), answers());
        assert_eq!((new.error_code, new.members[0].error_code), (ErrorCode::None, ErrorCode::UnknownMemberId));
        let failed = reply(3, named(), Err(ErrorCode::InvalidGroupId));
        assert_eq!((failed.error_code, failed.members.len()), (ErrorCode::InvalidGroupId, 0));
    }
}
