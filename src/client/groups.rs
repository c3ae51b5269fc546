//! Consumer groups as a client sees them: which there are, who is in them and what they read; and how they end. Blocking.
//!
//! Invariant: a group of either protocol, classic or KIP-848, comes out in the same shape.

use std::collections::BTreeMap;

use super::cluster::{Cluster, unasked};
use super::error::ClientError;
use super::subscription::Assignment;
use crate::wire::messages::consumer_group_describe::{self, ConsumerGroupDescribeRequest};
use crate::wire::messages::delete_groups::DeleteGroupsRequest;
use crate::wire::messages::describe_groups::{DescribeGroupsRequest, DescribedGroup, DescribedGroupMember};
use crate::wire::messages::list_groups::ListGroupsRequest;
use crate::wire::messages::{ApiKey, Response};
use crate::wire::{ErrorCode, Str};

/// The protocol type of groups that read topics.
pub(super) const CONSUMER: &str = "consumer";
/// What DescribeGroups says of a group that is not there.
const DEAD: &str = "Dead";

/// A group as brokers list it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub id: String,
    /// `classic`, `consumer` and others; empty where the broker is too old to say.
    pub kind: String,
    /// `consumer`, `connect`, …; empty where nobody ever joined.
    pub protocol_type: String,
    /// Empty where the broker is too old to say.
    pub state: String,
}

/// A group and its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub id: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    pub state: String,
    /// How partitions are shared out; empty without members.
    pub assignor: String,
    /// The number of the broker.
    pub coordinator: i32,
    /// Of a group of kind `consumer`: grows with each change of members or topics.
    pub epoch: Option<i32>,
    pub members: Vec<GroupMember>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    pub id: String,
    /// Of a static member (KIP-345).
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    /// What it reads now, by topic; empty too where its words are not those of a consumer.
    pub partitions: BTreeMap<String, Vec<i32>>,
}

/// Every group of every broker, by name; all brokers are asked at once.
pub fn list_groups(cluster: &mut Cluster) -> Result<Vec<GroupListing>, ClientError> {
    cluster.retrying(|cluster| {
        cluster.refresh()?;
        let ask = |broker: i32| (broker, ListGroupsRequest::default().into());
        let requests = cluster.brokers().iter().map(|broker| ask(broker.id)).collect();
        let mut groups = Vec::new();
        for reply in cluster.call_each(requests) {
            let reply = match reply? {
                Response::ListGroups(reply) => reply,
                other => return Err(unasked("a broker", &other)),
            };
            if reply.error_code != ErrorCode::None {
                return Err(ClientError::refused("the list of groups", reply.error_code));
            }
            groups.extend(reply.groups.iter().map(|group| GroupListing {
                id: group.group_id.to_string(),
                kind: group.group_type.to_string(),
                protocol_type: group.protocol_type.to_string(),
                state: group.group_state.to_string(),
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    })
}

/// A group, whichever protocol it speaks.
pub fn describe_group(cluster: &mut Cluster, group: &str) -> Result<GroupInfo, ClientError> {
    describe_groups(cluster, &[group])?.remove(group).ok_or_else(|| missing(group))
}

/// Those of these groups that are there, by name, with up to two requests to each coordinator.
pub fn describe_groups(cluster: &mut Cluster, groups: &[&str]) -> Result<BTreeMap<String, GroupInfo>, ClientError> {
    cluster.retrying(|cluster| {
        let mut found = BTreeMap::new();
        for (coordinator, groups) in cluster.coordinators(groups)? {
            let others = match cluster.version(coordinator, ApiKey::ConsumerGroupDescribe) {
                Ok(_) => describe_consumer(cluster, coordinator, &groups, &mut found)?,
                // An old broker has classic groups only.
                Err(ClientError::NotServed { .. }) => groups.into_iter().map(Str::from).collect(),
                Err(e) => return Err(e),
            };
            if !others.is_empty() {
                describe_classic(cluster, coordinator, others, &mut found)?;
            }
        }
        Ok(found)
    })
}

/// Adds the groups of this kind to `infos`. Those that are not of this kind, or not there, come back.
fn describe_consumer(
    cluster: &mut Cluster,
    coordinator: i32,
    groups: &[&str],
    infos: &mut BTreeMap<String, GroupInfo>,
) -> Result<Vec<Str>, ClientError> {
    let group_ids = groups.iter().map(|group| Str::from(*group)).collect();
    let request = ConsumerGroupDescribeRequest { group_ids, ..Default::default() };
    let reply = match cluster.call(coordinator, request)? {
        Response::ConsumerGroupDescribe(reply) => reply,
        other => return Err(unasked("the coordinator", &other)),
    };
    let mut others = Vec::new();
    for found in reply.groups {
        match found.error_code {
            ErrorCode::None => {
                infos.insert(found.group_id.to_string(), consumer_info(coordinator, found));
            }
            ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => others.push(found.group_id),
            code => return Err(refused(&found.group_id, code, found.error_message)),
        }
    }
    Ok(others)
}

fn consumer_info(coordinator: i32, found: consumer_group_describe::DescribedGroup) -> GroupInfo {
    let member = |member: consumer_group_describe::Member| GroupMember {
        id: member.member_id.to_string(),
        instance: member.instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        partitions: by_topic(
            member.assignment.topic_partitions.into_iter().map(|topic| (topic.topic_name, topic.partitions)),
        ),
    };
    GroupInfo {
        id: found.group_id.to_string(),
        kind: CONSUMER,
        state: found.group_state.to_string(),
        assignor: found.assignor_name.to_string(),
        coordinator,
        epoch: Some(found.group_epoch),
        members: found.members.into_iter().map(member).collect(),
    }
}

/// Adds the groups of this kind to `infos`.
fn describe_classic(
    cluster: &mut Cluster,
    coordinator: i32,
    groups: Vec<Str>,
    infos: &mut BTreeMap<String, GroupInfo>,
) -> Result<(), ClientError> {
    let reply = match cluster.call(coordinator, DescribeGroupsRequest { groups, ..Default::default() })? {
        Response::DescribeGroups(reply) => reply,
        other => return Err(unasked("the coordinator", &other)),
    };
    for found in reply.groups {
        match found.error_code {
            ErrorCode::None if found.group_state.as_str() != DEAD => {
                infos.insert(found.group_id.to_string(), classic_info(coordinator, found));
            }
            ErrorCode::None | ErrorCode::GroupIdNotFound => {}
            code => return Err(refused(&found.group_id, code, found.error_message)),
        }
    }
    Ok(())
}

fn classic_info(coordinator: i32, found: DescribedGroup) -> GroupInfo {
    let reads = found.protocol_type.as_str() == CONSUMER;
    let member = |member: DescribedGroupMember| GroupMember {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|id| id.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        // A member without an assignment yet has no bytes; what another kind of group says is its own.
        partitions: Some(&member.member_assignment)
            .filter(|bytes| reads && !bytes.is_empty())
            .and_then(|bytes| Assignment::read(bytes).ok())
            .map(|assigned| by_topic(assigned.partitions.into_iter().map(|topic| (topic.topic, topic.partitions))))
            .unwrap_or_default(),
    };
    GroupInfo {
        id: found.group_id.to_string(),
        kind: "classic",
        state: found.group_state.to_string(),
        assignor: found.protocol_data.to_string(),
        coordinator,
        epoch: None,
        members: found.members.into_iter().map(member).collect(),
    }
}

/// Removes an empty group and its offsets.
pub fn delete_group(cluster: &mut Cluster, group: &str) -> Result<(), ClientError> {
    let mut done = BTreeMap::new();
    let asked = delete_groups(cluster, &[group], &mut done);
    // What the group's coordinator says of it says more than that it was to be asked again.
    done.remove(group).unwrap_or_else(|| asked.and(Err(missing(group))))
}

/// Removes empty groups and their offsets, with one request to each coordinator, and notes in `done` what came of each. What one
/// has against it says nothing of the others. Fails where of some, which `done` does not have, nothing is known, or where
/// some are to be asked for again.
pub fn delete_groups(
    cluster: &mut Cluster,
    groups: &[&str],
    done: &mut BTreeMap<String, Result<(), ClientError>>,
) -> Result<(), ClientError> {
    cluster.retrying(|cluster| {
        let is_over = |group: &str| match done.get(group) {
            Some(Err(e)) => !e.is_passing(),
            Some(Ok(())) => true,
            None => false,
        };
        let asked: Vec<&str> = groups.iter().copied().filter(|group| !is_over(group)).collect();
        let mut again = Ok(());
        for (coordinator, groups) in cluster.coordinators(&asked)? {
            let groups_names = groups.iter().map(|group| Str::from(*group)).collect();
            let reply = match cluster.call(coordinator, DeleteGroupsRequest { groups_names })? {
                Response::DeleteGroups(reply) => reply,
                other => return Err(unasked("the coordinator", &other)),
            };
            for result in reply.results {
                let outcome = deleted(&result.group_id, result.error_code);
                if outcome.as_ref().is_err_and(ClientError::is_passing) {
                    again = deleted(&result.group_id, result.error_code);
                }
                done.insert(result.group_id.to_string(), outcome);
            }
        }
        again
    })
}

fn deleted(group: &str, code: ErrorCode) -> Result<(), ClientError> {
    match code {
        ErrorCode::None => Ok(()),
        ErrorCode::GroupIdNotFound => Err(missing(group)),
        code => Err(ClientError::refused(format!("group \"{group}\" was not deleted"), code)),
    }
}

fn by_topic(assigned: impl Iterator<Item = (Str, Vec<i32>)>) -> BTreeMap<String, Vec<i32>> {
    let mut topics: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partitions) in assigned {
        topics.entry(topic.to_string()).or_default().extend(partitions);
    }
    topics.values_mut().for_each(|partitions| partitions.sort_unstable());
    topics
}

fn missing(group: &str) -> ClientError {
    ClientError::NoGroup { group: group.to_owned() }
}

fn refused(group: &str, code: ErrorCode, message: Option<Str>) -> ClientError {
    let message = message.map(|text| text.to_string());
    ClientError::Refused { what: format!("group \"{group}\""), code, message }
}
