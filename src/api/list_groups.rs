//! ListGroups (key 16): all groups, by state and type if asked. Runs on the connection's core; every core tells its own, some
//! at a time, so that a long list holds up nobody.

use std::future::Future;

use shards::group::ListedGroup as Listed;
use shards::router::GroupsFrom;

use super::RequestContext;
use super::errors::group_error;
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use crate::wire::{Elements, Str};

/// Most that a group takes encoded beside its name and its protocol's.
const GROUP_BYTES: usize = 36;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ListGroupsRequest,
) -> impl Future<Output = Served<ListGroupsResponse>> + use<> {
    let shards = ctx.core.shards.clone();
    let own = |filter: &[Str]| filter.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    let (states, types) = (own(&request.states_filter), own(&request.types_filter));
    let mut told = LongReply::of::<ListGroupsResponse>(ctx);
    async move {
        // Not before this reply's turn: answers lie in memory until they are told.
        let mut next = Some(GroupsFrom::default());
        while let Some(from) = next {
            let mut some = match shards.list_groups(from).await {
                Ok(some) => some,
                Err(error) => {
                    return ListGroupsResponse { error_code: group_error(error), ..Default::default() }.into();
                }
            };
            some.groups.retain(|group| is_wanted(group, &states, &types));
            if let Err(why) = tell_some(&some.groups, &mut told).await {
                return why.close();
            }
            told.pause().await;
            next = some.next;
        }
        told.within(ListGroupsResponse::default())
    }
}

/// Once there is memory for what is told of them.
async fn tell_some(listed: &[Listed], told: &mut LongReply<ListedGroup>) -> Result<(), NoReply> {
    let told_bytes = listed.iter().map(|group| GROUP_BYTES + group.group.len() + group.protocol_type.len()).sum();
    told.room(told_bytes, size_of_val(listed)).await?;
    for group in listed {
        told.add(&tell(group), Elements::default())?;
        told.turn().await;
    }
    told.settle().await
}

/// Whether a group passes both filters; an empty one passes all, and case does not count.
fn is_wanted(group: &Listed, states: &[String], types: &[String]) -> bool {
    let passes =
        |filter: &[String], name: &str| filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(name));
    passes(states, group.state.name()) && passes(types, group.state.type_name())
}

fn tell(group: &Listed) -> ListedGroup {
    ListedGroup {
        group_id: Str::from(&*group.group),
        protocol_type: Str::from(&*group.protocol_type),
        group_state: group.state.name().into(),
        group_type: group.state.type_name().into(),
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;
    use shards::group::{ClassicState, GroupState};

    use super::*;

    fn listed(name: &str) -> Listed {
        Listed {
            group: name.into(),
            protocol_type: "consumer".into(),
            state: GroupState::Classic(ClassicState::Completing),
        }
    }

    #[test]
    fn groups_take_about_as_much_as_was_asked_for_and_are_not_told_before_it_is_there() {
        let many = vec![listed("a group"); 20_000];
        for version in 0..=5 {
            let mut groups = LongReply::lent::<ListGroupsResponse>(version, 1 << 20);
            let told = block_on(tell_some(&many, &mut groups));
            assert!(matches!(told, Err(NoReply::NoMemory { .. })) && groups.bytes() == 0, "version {version}");
            let (mut groups, turns) = LongReply::counted::<ListGroupsResponse>(version, 8 << 20);
            block_on(tell_some(&many, &mut groups)).expect("there is memory");
            let most = many.len() * (GROUP_BYTES + "a group".len() + "consumer".len());
            assert!(groups.bytes() <= most && turns.get() > 10, "{} of {most} bytes", groups.bytes());
            assert!(version < 5 || most - groups.bytes() < most / 4, "{} of {most} bytes", groups.bytes());
        }
    }

    #[test]
    fn filters_know_no_case_and_an_unknown_one_passes_nothing() {
        let group = Listed { state: GroupState::Classic(ClassicState::Preparing), ..listed("g") };
        let is_wanted = |states: &[&str], types: &[&str]| {
            let own = |filter: &[&str]| filter.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            is_wanted(&group, &own(states), &own(types))
        };
        assert!(is_wanted(&[], &[]) && is_wanted(&["preparingRebalance"], &["Classic"]));
        assert!(!is_wanted(&["Stable"], &[]) && !is_wanted(&[], &["consumer"]) && !is_wanted(&["nonsense"], &[]));
    }
}
