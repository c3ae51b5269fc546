//! ListGroups (key 16): all groups, by state and type if asked. Runs on the connection's core; every core tells its own.

use std::future::Future;

use shards::group::ListedGroup as Listed;

use super::RequestContext;
use super::errors::group_error;
use super::long_reply::LongReply;
use super::table::Served;
use crate::wire::Str;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ListGroupsRequest,
) -> impl Future<Output = Served<ListGroupsResponse>> + use<> {
    let listed = ctx.core.shards.list_groups();
    let own = |filter: &[Str]| filter.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    let (states, types) = (own(&request.states_filter), own(&request.types_filter));
    let groups = LongReply::of::<ListGroupsResponse>(ctx);
    async move {
        match listed.await {
            Ok(listed) => {
                let wanted = listed.iter().filter(|group| is_wanted(group, &states, &types));
                groups.tell(wanted.map(tell), ListGroupsResponse::default()).await
            }
            Err(error) => ListGroupsResponse { error_code: group_error(error), ..Default::default() }.into(),
        }
    }
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
    use shards::group::{ClassicState, GroupState};

    use super::*;

    #[test]
    fn filters_know_no_case_and_an_unknown_one_passes_nothing() {
        let group = Listed {
            group: "g".into(),
            protocol_type: "consumer".into(),
            state: GroupState::Classic(ClassicState::Preparing),
        };
        let is_wanted = |states: &[&str], types: &[&str]| {
            let own = |filter: &[&str]| filter.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            is_wanted(&group, &own(states), &own(types))
        };
        assert!(is_wanted(&[], &[]) && is_wanted(&["preparingRebalance"], &["Classic"]));
        assert!(!is_wanted(&["Stable"], &[]) && !is_wanted(&[], &["consumer"]) && !is_wanted(&["nonsense"], &[]));
    }
}
