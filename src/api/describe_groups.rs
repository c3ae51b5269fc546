//! DescribeGroups (key 15): members and state of classic groups. Runs on the connection's core; each group's coordinator
//! answers. Invariant: one result for each group, in the order asked.

use std::future::Future;
use std::rc::Rc;

use shards::group::{Described, DescribedMember, GroupError, GroupReply, GroupRequest};

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

/// Most that a group takes encoded beside its id, protocol and members, and a member beside its texts and bytes.
const GROUP_BYTES: usize = 48;
const MEMBER_BYTES: usize = 24;

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
        match described {
            Ok(told) => tell(id, &told, request.include_authorized_operations, &mut groups).await?,
            Err(error) => {
                let mut group = refused(version, id.clone(), error);
                if request.include_authorized_operations && group.error_code == ErrorCode::None {
                    group.authorized_operations = GROUP_OPERATIONS;
                }
                groups.push(group).await?;
            }
        }
    }
    Ok(groups.within(DescribeGroupsResponse::default()))
}

async fn tell(
    id: &Str,
    described: &Described,
    with_operations: bool,
    groups: &mut LongReply<DescribedGroup>,
) -> Result<(), NoReply> {
    groups.room(told_bytes(id, described), size_of_val(&described.members[..])).await?;
    let mut members = groups.inner();
    for member in &described.members {
        members.push(&tell_member(member))?;
    }
    let mut group = DescribedGroup {
        group_id: id.clone(),
        group_state: described.state.name().into(),
        protocol_type: Str::from(&*described.protocol_type),
        protocol_data: Str::from(&*described.protocol),
        ..Default::default()
    };
    if with_operations {
        group.authorized_operations = GROUP_OPERATIONS;
    }
    groups.push_with(group, members.finish()).await
}

fn tell_member(member: &DescribedMember) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: Str::from(&*member.member),
        group_instance_id: member.instance.as_deref().map(Str::from),
        client_id: Str::from(&*member.client_id),
        client_host: Str::from(&*member.client_host),
        member_metadata: member.said.clone(),
        member_assignment: member.assignment.clone(),
    }
}

/// What a group takes in the reply, at most.
fn told_bytes(id: &Str, described: &Described) -> usize {
    let of_member = |member: &DescribedMember| {
        let ids = member.member.len() + member.instance.as_ref().map_or(0, |instance| instance.len());
        let client = member.client_id.len() + member.client_host.len();
        MEMBER_BYTES + ids + client + member.said.len() + member.assignment.len()
    };
    let texts = id.len() + described.protocol_type.len() + described.protocol.len();
    GROUP_BYTES + texts + described.members.iter().map(of_member).sum::<usize>()
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
    use futures_lite::future::block_on;
    use shards::group::ClassicState;

    use super::*;

    /// A group whose members take a little less than 100 KiB each.
    fn described(members: usize) -> Described {
        let member = DescribedMember {
            member: "m".repeat(40).into(),
            instance: Some("i".repeat(300).into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            said: vec![1; 300].into(),
            assignment: vec![2; 99 << 10].into(),
        };
        Described {
            state: ClassicState::Completing,
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            members: vec![member; members],
        }
    }

    #[test]
    fn a_group_takes_about_as_much_as_was_asked_for() {
        for (version, members) in (0..=6).flat_map(|version| [(version, 0), (version, 20)]) {
            let (id, described) = ("g".into(), described(members));
            let mut groups = LongReply::lent::<DescribeGroupsResponse>(version, 4 << 20);
            block_on(tell(&id, &described, version >= 3, &mut groups)).expect("there is memory");
            let (bytes, most) = (groups.bytes(), told_bytes(&id, &described));
            assert!(bytes <= most && most < bytes + bytes / 20 + 64, "version {version}: {bytes} bytes, not {most}");
        }
    }

    #[test]
    fn a_large_group_is_not_encoded_before_there_is_memory_for_it() {
        let mut groups = LongReply::lent::<DescribeGroupsResponse>(5, 1 << 20);
        let told = block_on(tell(&"g".into(), &described(100), true, &mut groups));
        assert!(matches!(told, Err(NoReply::NoMemory { .. })) && groups.bytes() == 0, "{}", groups.bytes());
    }

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
