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

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DeleteGroupsRequest,
) -> impl Future<Output = Served<DeleteGroupsResponse>> + use<> {
    let ask = |group: &Str| {
        (Str::from(group.as_str()), ctx.core.shards.ask_group(GroupRequest::Delete { group: kept(group) }))
    };
    let mut seen = HashSet::new();
    let asked: Vec<_> = request.groups_names.iter().filter(|group| seen.insert(group.as_str())).map(ask).collect();
    async move {
        let mut results = Vec::with_capacity(asked.len());
        for (group_id, answer) in asked {
            let error_code = match answer.await {
                Ok(GroupReply::Deleted(Ok(()))) => ErrorCode::None,
                Ok(GroupReply::Deleted(Err(error))) | Err(error) => group_error(error),
                Ok(other) => group_error(unasked(&other)),
            };
            results.push(DeletableGroupResult { group_id, error_code });
        }
        DeleteGroupsResponse { results, ..Default::default() }.into()
    }
}
