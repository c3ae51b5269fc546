//! DescribeAcls, CreateAcls and DeleteAcls (keys 29 to 31). Connection's core.
//! Invariant: there are no access rules yet, and each of them is answered as by a Kafka broker without an authorizer.

use std::future::{Future, ready};

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::create_acls::{AclCreationResult, CreateAclsRequest, CreateAclsResponse};
use crate::wire::messages::delete_acls::{DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse};
use crate::wire::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
use crate::wire::{ErrorCode, Str};

const ERROR: ErrorCode = ErrorCode::SecurityDisabled;

fn why() -> Option<Str> {
    Some("No Authorizer is configured.".into())
}

pub(super) fn serve_describe(
    _ctx: &RequestContext<'_>,
    _request: DescribeAclsRequest,
) -> impl Future<Output = Served<DescribeAclsResponse>> + use<> {
    ready(DescribeAclsResponse { error_code: ERROR, error_message: why(), ..Default::default() }.into())
}

pub(super) fn serve_create(
    _ctx: &RequestContext<'_>,
    request: CreateAclsRequest,
) -> impl Future<Output = Served<CreateAclsResponse>> + use<> {
    let results = request.creations.iter().map(|_| AclCreationResult { error_code: ERROR, error_message: why() });
    ready(CreateAclsResponse { results: results.collect(), ..Default::default() }.into())
}

pub(super) fn serve_delete(
    _ctx: &RequestContext<'_>,
    request: DeleteAclsRequest,
) -> impl Future<Output = Served<DeleteAclsResponse>> + use<> {
    let refused = |_| DeleteAclsFilterResult { error_code: ERROR, error_message: why(), ..Default::default() };
    let filter_results = request.filters.iter().map(refused).collect();
    ready(DeleteAclsResponse { filter_results, ..Default::default() }.into())
}
