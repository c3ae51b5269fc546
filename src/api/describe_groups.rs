//! DescribeGroups (key 15): members and state of classic groups. Runs on the connection's core; each group's coordinator
//! answers. Invariant: one result for each group, in the order asked.

use std::future::Future;
use std::rc::Rc;

use shards::group::{Described, GroupError, GroupReply, GroupRequest};

use super::errors::group_error;
use super::groups::{GROUP_OPERATIONS, kept, unasked};
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use super::{ApiCore, RequestContext};
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::wire::{ErrorCode, Str};

/// From this version on a group that does not exist is an error.
const TELLS_MISSING: i16 = 6;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeGroupsRequest,
) -> impl Future<Output = Served<DescribeGroupsResponse>> + use<> {
    let groups = LongReply::of::<DescribeGroupsResponse>(ctx);
    let told = tell_all(ctx.core.clone(), ctx.version, request, groups);
    async move { told.await.unwrap_or_else(NoReply::close) }
}

/// One after the other: a group may be named any number of times.
async fn tell_all(
    core: Rc<ApiCore>,
    version: i16,
    request: DescribeGroupsRequest,
    mut groups: LongReply<DescribedGroup>,
) -> Result<Served<DescribeGroupsResponse>, NoReply> {
    for id in &request.groups {
        let described = match core.shards.ask_group(GroupRequest::Describe { group: kept(id) }).await {
            Ok(GroupReply::Described(described)) => described,
            Ok(other) => Err(unasked(&other)),
            Err(error) => Err(error),
        };
        let mut group = match described {
            Ok(told) => tell(id.clone(), &told),
            Err(error) => refused(version, id.clone(), error),
        };
        if request.include_authorized_operations && group.error_code == ErrorCode::None {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        groups.push(group).await?;
    }
    Ok(groups.within(DescribeGroupsResponse::default()))
}

fn tell(group_id: Str, described: &Described) -> DescribedGroup {
    let members = described.members.iter().map(|member| DescribedGroupMember {
        member_id: Str::from(&*member.member),
        group_instance_id: member.instance.as_deref().map(Str::from),
        client_id: Str::from(&*member.client_id),
        client_host: Str::from(&*member.client_host),
        member_metadata: member.said.clone(),
        member_assignment: member.assignment.clone(),
    });
    DescribedGroup {
        group_id,
        group_state: described.state.name().into(),
        protocol_type: Str::from(&*described.protocol_type),
        protocol_data: Str::from(&*described.protocol),
        members: members.collect(),
        ..Default::default()
    }
}

/// A group that does not exist is dead; clients of before version 6 are told so and nothing else.
fn refused(version: i16, group_id: Str, error: GroupError) -> DescribedGroup {
    let missing = match error {
        GroupError::UnknownGroup => Some(format!("Group {group_id} not found.")),
        GroupError::NotClassic => Some(format!("Group {group_id} is not a classic group.")),
        _ => None,
    };
    let is_missing = missing.is_some();
    let error_code = if is_missing && version < TELLS_MISSING { ErrorCode::None } else { group_error(error) };
    let error_message = missing.filter(|_| version >= TELLS_MISSING).map(Str::from);
    let group_state = if is_missing { "Dead".into() } else { Str::default() };
    DescribedGroup { error_code, error_message, group_id, group_state, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_group_is_dead_and_from_version_6_on_an_error_too() {
        let old = refused(5, "g".into(), GroupError::UnknownGroup);
        assert_eq!((old.error_code, old.group_state.as_str(), old.error_message), (ErrorCode::None, "Dead", None));
        let new = refused(6, "g".into(), GroupError::UnknownGroup);
        assert_eq!((new.error_code, new.group_state.as_str()), (ErrorCode::GroupIdNotFound, "Dead"));
        assert_eq!(new.error_message.as_deref(), Some("Group g not found."));
        let loading = refused(5, "g".into(), GroupError::Loading);
        assert_eq!((loading.error_code, loading.group_state.as_str()), (ErrorCode::CoordinatorLoadInProgress, ""));
    }
}
