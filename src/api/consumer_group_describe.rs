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
    for id in &request.group_ids {
        let mut group = describe(&core, id).await;
        if request.include_authorized_operations && group.error_code == ErrorCode::None {
            group.authorized_operations = GROUP_OPERATIONS;
        }
        groups.push(group).await?;
    }
    Ok(groups.within(ConsumerGroupDescribeResponse::default()))
}

async fn describe(core: &ApiCore, id: &Str) -> DescribedGroup {
    if id.is_empty() {
        return DescribedGroup { error_code: ErrorCode::InvalidGroupId, ..Default::default() };
    }
    let described = match core.shards.ask_group(GroupRequest::DescribeConsumer { group: kept(id) }).await {
        Ok(GroupReply::ConsumerDescribed(described)) => described,
        Ok(other) => Err(unasked(&other)),
        Err(error) => Err(error),
    };
    match described {
        Ok(told) => tell(id.clone(), &told),
        Err(error) => refused(id.clone(), error),
    }
}

fn tell(group_id: Str, described: &ConsumerDescribed) -> DescribedGroup {
    DescribedGroup {
        group_id,
        group_state: described.state.name().into(),
        group_epoch: described.epoch,
        assignment_epoch: described.target_epoch,
        assignor_name: described.assignor.into(),
        members: described.members.iter().map(tell_member).collect(),
        ..Default::default()
    }
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
    use super::*;

    #[test]
    fn a_group_of_another_kind_is_not_found_and_told_why() {
        let told = refused("g".into(), GroupError::NotConsumer);
        assert_eq!(told.error_code, ErrorCode::GroupIdNotFound);
        assert_eq!(told.error_message.as_deref(), Some("Group g is not a consumer group."));
        assert_eq!(refused("g".into(), GroupError::Loading).error_message, None);
    }
}
