//! ConsumerGroupDescribe (key 69): members, assignments and state of consumer groups (KIP-848). Runs on the connection's
//! core; each group's coordinator answers. Invariant: one result for each group, in the order asked.

use std::future::Future;
use std::rc::Rc;

use shards::group::{ConsumerDescribed, ConsumerMemberDescribed, GroupError, GroupReply, GroupRequest, NamedParts};

use super::errors::group_error;
use super::groups::{GROUP_OPERATIONS, kept, unasked};
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use super::{ApiCore, RequestContext};
use crate::wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup, Member, TopicPartitions,
};
use crate::wire::{ErrorCode, Str};

/// Which protocol a member speaks.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

/// Most that these take encoded beside texts and lists: a group, a member, a topic with its partitions; and the length of a
/// text.
const GROUP_BYTES: usize = 48;
const MEMBER_BYTES: usize = 64;
const TOPIC_BYTES: usize = 32;
const TEXT_BYTES: usize = 3;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ConsumerGroupDescribeRequest,
) -> impl Future<Output = Served<ConsumerGroupDescribeResponse>> + use<> {
    let groups = LongReply::of::<ConsumerGroupDescribeResponse>(ctx);
    let told = tell_all(ctx.core.clone(), request, groups);
    async move { told.await.unwrap_or_else(NoReply::close) }
}

/// One after the other: a group may be named any number of times.
async fn tell_all(
    core: Rc<ApiCore>,
    request: ConsumerGroupDescribeRequest,
    mut groups: LongReply<DescribedGroup>,
) -> Result<Served<ConsumerGroupDescribeResponse>, NoReply> {
    let operations = if request.include_authorized_operations { GROUP_OPERATIONS } else { i32::MIN };
    for id in &request.group_ids {
        if id.is_empty() {
            let error_code = ErrorCode::InvalidGroupId;
            groups.push(DescribedGroup { error_code, ..Default::default() }).await?;
            continue;
        }
        let described = match core.shards.ask_group(GroupRequest::DescribeConsumer { group: kept(id) }).await {
            Ok(GroupReply::ConsumerDescribed(described)) => described,
            Ok(other) => Err(unasked(&other)),
            Err(error) => Err(error),
        };
        match described {
            Ok(described) => tell(id, &described, operations, &mut groups).await?,
            Err(error) => groups.push(refused(id.clone(), error)).await?,
        }
    }
    Ok(groups.within(ConsumerGroupDescribeResponse::default()))
}

async fn tell(
    id: &Str,
    described: &ConsumerDescribed,
    operations: i32,
    groups: &mut LongReply<DescribedGroup>,
) -> Result<(), NoReply> {
    let of_members = || described.members.iter().map(member_bytes);
    let texts = id.len() + described.assignor.len();
    // All that is described and one member at a time are there beside what is encoded: about as much again for each.
    let beside_bytes =
        size_of_val(&described.members[..]) + of_members().sum::<usize>() + of_members().max().unwrap_or(0);
    groups.room(GROUP_BYTES + texts + of_members().sum::<usize>(), beside_bytes).await?;
    let mut members = groups.inner();
    for member in &described.members {
        members.push(&tell_member(member))?;
    }
    let group = DescribedGroup {
        group_id: id.clone(),
        group_state: described.state.name().into(),
        group_epoch: described.epoch,
        assignment_epoch: described.target_epoch,
        assignor_name: described.assignor.into(),
        authorized_operations: operations,
        ..Default::default()
    };
    groups.push_with(group, members.finish()).await
}

/// What a member takes in the reply, at most.
fn member_bytes(member: &ConsumerMemberDescribed) -> usize {
    let said = &member.said;
    let texts = [&said.instance, &said.rack, &said.regex].into_iter().flatten().map(|text| text.len());
    let ids = member.member.len() + said.client_id.len() + said.client_host.len() + texts.sum::<usize>();
    let topics = said.topics.iter().map(|topic| TEXT_BYTES + topic.len());
    let parts = member.assigned.iter().chain(&member.target);
    let parts = parts.map(|parts| TOPIC_BYTES + parts.name.len() + size_of_val(&parts.partitions[..]));
    MEMBER_BYTES + ids + topics.sum::<usize>() + parts.sum::<usize>()
}

fn tell_member(member: &ConsumerMemberDescribed) -> Member {
    let said = &member.said;
    let assignment = |parts: &[NamedParts]| Assignment {
        topic_partitions: parts
            .iter()
            .map(|topic| TopicPartitions {
                topic_id: topic.id,
                topic_name: Str::from(&*topic.name),
                partitions: topic.partitions.clone(),
            })
            .collect(),
    };
    Member {
        member_id: Str::from(&*member.member),
        instance_id: said.instance.as_deref().map(Str::from),
        rack_id: said.rack.as_deref().map(Str::from),
        member_epoch: member.epoch,
        client_id: Str::from(&*said.client_id),
        client_host: Str::from(&*said.client_host),
        subscribed_topic_names: said.topics.iter().map(|topic| Str::from(&**topic)).collect(),
        // None is an empty one to Kafka, too.
        subscribed_topic_regex: Some(said.regex.as_deref().map(Str::from).unwrap_or_default()),
        assignment: assignment(&member.assigned),
        target_assignment: assignment(&member.target),
        member_type: if said.classic.is_some() { CLASSIC } else { CONSUMER },
    }
}

fn refused(group_id: Str, error: GroupError) -> DescribedGroup {
    let why = match error {
        GroupError::UnknownGroup => Some(format!("Group {group_id} not found.")),
        GroupError::NotConsumer => Some(format!("Group {group_id} is not a consumer group.")),
        _ => None,
    };
    DescribedGroup { error_code: group_error(error), error_message: why.map(Str::from), group_id, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future::block_on;
    use shards::group::{ConsumerState, MemberSaid};
    use shards::types::TopicId;

    use super::*;

    /// A group whose members take a little more than 40 KB each.
    fn described(members: usize) -> ConsumerDescribed {
        let parts = |topics: usize, partitions: i32| -> Vec<NamedParts> {
            let of = |topic| NamedParts {
                name: format!("topic-{topic}").into(),
                id: TopicId([7; 16]),
                partitions: (0..partitions).collect(),
            };
            (0..topics).map(of).collect()
        };
        let long: Arc<str> = "x".repeat(300).into();
        let said = MemberSaid {
            instance: Some(long.clone()),
            rack: Some(long.clone()),
            client_id: long.clone(),
            client_host: long.clone(),
            topics: [long.clone(), "t".into()].into(),
            regex: Some(long.clone()),
            rebalance_timeout_ms: 1,
            assignor: None,
            classic: None,
        };
        let member =
            ConsumerMemberDescribed { member: long, epoch: 3, said, assigned: parts(50, 100), target: parts(1, 5000) };
        ConsumerDescribed {
            state: ConsumerState::Reconciling,
            epoch: 3,
            target_epoch: 3,
            assignor: "uniform",
            members: vec![member; members],
        }
    }

    #[test]
    fn a_group_takes_about_as_much_as_was_asked_for() {
        for (version, members) in [(0, 0), (1, 0), (0, 20), (1, 20)] {
            let (id, described) = ("g".into(), described(members));
            let mut groups = LongReply::lent::<ConsumerGroupDescribeResponse>(version, 4 << 20);
            block_on(tell(&id, &described, GROUP_OPERATIONS, &mut groups)).expect("there is memory");
            let most = GROUP_BYTES + 8 + members * described.members.first().map_or(0, member_bytes);
            let bytes = groups.bytes();
            assert!(bytes <= most && most < bytes + bytes / 20 + 64, "version {version}: {bytes} bytes, not {most}");
        }
    }

    #[test]
    fn a_large_group_is_not_encoded_before_there_is_memory_for_it() {
        let mut groups = LongReply::lent::<ConsumerGroupDescribeResponse>(1, 1 << 20);
        let told = block_on(tell(&"g".into(), &described(100), GROUP_OPERATIONS, &mut groups));
        assert!(matches!(told, Err(NoReply::NoMemory { .. })) && groups.bytes() == 0, "{}", groups.bytes());
    }

    #[test]
    fn a_group_of_another_kind_is_not_found_and_told_why() {
        let told = refused("g".into(), GroupError::NotConsumer);
        assert_eq!(told.error_code, ErrorCode::GroupIdNotFound);
        assert_eq!(told.error_message.as_deref(), Some("Group g is not a consumer group."));
        assert_eq!(refused("g".into(), GroupError::Loading).error_message, None);
    }
}
