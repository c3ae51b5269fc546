//! DescribeAcls, CreateAcls and DeleteAcls (keys 29 to 31). Connection's core.
//! Invariant: there are no access rules yet, and each of them is answered as by a Kafka broker without an authorizer.

use std::future::{Future, ready};

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::create_acls::{AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse};
use crate::wire::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsRequest, DeleteAclsResponse,
};
use crate::wire::messages::describe_acls::{DescribeAclsRequest, DescribeAclsResponse};
use crate::wire::{ErrorCode, Str};

const ERROR: ErrorCode = ErrorCode::SecurityDisabled;
/// Kafka's number for "unknown" among types, patterns, operations and permissions. Who sends it loses the connection.
const UNKNOWN: i8 = 0;

fn why() -> Option<Str> {
    Some("No Authorizer is configured.".into())
}

fn malformed<M>() -> Served<M> {
    Served::Close("an access rule of an unknown type, pattern, operation or permission".to_owned())
}

pub(super) fn serve_describe(
    _ctx: &RequestContext<'_>,
    request: DescribeAclsRequest,
) -> impl Future<Output = Served<DescribeAclsResponse>> + use<> {
    let asked = [request.resource_type_filter, request.pattern_type_filter, request.operation, request.permission_type];
    if asked.contains(&UNKNOWN) {
        return ready(malformed());
    }
    let why = Some("No Authorizer is configured on the broker".into());
    ready(DescribeAclsResponse { error_code: ERROR, error_message: why, ..Default::default() }.into())
}

pub(super) fn serve_create(
    _ctx: &RequestContext<'_>,
    request: CreateAclsRequest,
) -> impl Future<Output = Served<CreateAclsResponse>> + use<> {
    let unknown = |rule: &AclCreation| {
        [rule.resource_type, rule.resource_pattern_type, rule.operation, rule.permission_type].contains(&UNKNOWN)
    };
    if request.creations.iter().any(unknown) {
        return ready(malformed());
    }
    let results = request.creations.iter().map(|_| AclCreationResult { error_code: ERROR, error_message: why() });
    ready(CreateAclsResponse { results: results.collect(), ..Default::default() }.into())
}

pub(super) fn serve_delete(
    _ctx: &RequestContext<'_>,
    request: DeleteAclsRequest,
) -> impl Future<Output = Served<DeleteAclsResponse>> + use<> {
    let unknown = |filter: &DeleteAclsFilter| {
        let asked = [filter.resource_type_filter, filter.pattern_type_filter, filter.operation, filter.permission_type];
        asked.contains(&UNKNOWN)
    };
    if request.filters.iter().any(unknown) {
        return ready(malformed());
    }
    let refused = |_| DeleteAclsFilterResult { error_code: ERROR, error_message: why(), ..Default::default() };
    let filter_results = request.filters.iter().map(refused).collect();
    ready(DeleteAclsResponse { filter_results, ..Default::default() }.into())
}
