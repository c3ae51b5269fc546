//! ConsumerGroupDescribe (key 69): members, assignments and state of consumer groups (KIP-848). Runs on the connection's
//! core; each group's coordinator answers. Invariant: one result for each group, in the order asked.

use std::future::Future;

use shards::group::{ConsumerDescribed, ConsumerMemberDescribed, GroupError, GroupReply, GroupRequest, NamedParts};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{GROUP_OPERATIONS, kept, unasked};
use super::table::Served;
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
    let ask = |group: &Str| {
        let asked = (!group.is_empty())
            .then(|| ctx.core.shards.ask_group(GroupRequest::DescribeConsumer { group: kept(group) }));
        (Str::from(group.as_str()), asked)
    };
    let asked: Vec<_> = request.group_ids.iter().map(ask).collect();
    let with_operations = request.include_authorized_operations;
    async move {
        let mut groups = Vec::with_capacity(asked.len());
        for (id, asked) in asked {
            let Some(answer) = asked else {
                groups.push(DescribedGroup {
                    error_code: ErrorCode::InvalidGroupId,
                    group_id: id,
                    ..Default::default()
                });
                continue;
            };
            let described = match answer.await {
                Ok(GroupReply::ConsumerDescribed(described)) => described,
                Ok(other) => Err(unasked(&other)),
                Err(error) => Err(error),
            };
            let mut group = match described {
                Ok(told) => tell(id, &told),
                Err(error) => refused(id, error),
            };
            if with_operations && group.error_code == ErrorCode::None {
                group.authorized_operations = GROUP_OPERATIONS;
            }
            groups.push(group);
        }
        ConsumerGroupDescribeResponse { groups, ..Default::default() }.into()
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
