//! DeleteGroups (key 42): removes groups without members, and their offsets. Runs on the connection's core; each group's
//! coordinator answers. Invariant: one result for each group, in the order first named.

use std::future::Future;

use hashbrown::HashSet;
use shards::group::{GroupReply, GroupRequest};

use super::RequestContext;
use super::errors::group_error;
use super::groups::{kept, unasked};
use super::table::Served;
use crate::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse};
use crate::wire::{ErrorCode, Str};

/// Groups that are deleted in one step; those of the same core with one sync.
const AT_ONCE: usize = 32;

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DeleteGroupsRequest,
) -> impl Future<Output = Served<DeleteGroupsResponse>> + use<> {
    let core = ctx.core.clone();
    let mut seen = HashSet::new();
    let names = request.groups_names.iter().filter(|group| seen.insert(group.as_str()));
    let groups: Vec<Str> = names.map(|group| Str::from(group.as_str())).collect();
    // All of it behind the first stage: a step for each of very many groups would hold up others.
    async move {
        let mut results = Vec::with_capacity(groups.len());
        for some in groups.chunks(AT_ONCE) {
            let ask = |group: &Str| core.shards.ask_group(GroupRequest::Delete { group: kept(group) });
            let asked: Vec<_> = some.iter().map(ask).collect();
            for (group_id, answer) in some.iter().zip(asked) {
                let error_code = match answer.await {
                    Ok(GroupReply::Deleted(Ok(()))) => ErrorCode::None,
                    Ok(GroupReply::Deleted(Err(error))) | Err(error) => group_error(error),
                    Ok(other) => group_error(unasked(&other)),
                };
                results.push(DeletableGroupResult { group_id: group_id.clone(), error_code });
            }
            core.memory.turn().await;
        }
        DeleteGroupsResponse { results, ..Default::default() }.into()
    }
}
