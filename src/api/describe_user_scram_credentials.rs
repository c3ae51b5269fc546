//! DescribeUserScramCredentials (key 50). Connection's core. Invariant: no user has credentials yet.

use std::collections::BTreeMap;
use std::future::Future;

use super::RequestContext;
use super::table::Served;
use crate::wire::messages::describe_user_scram_credentials::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    _ctx: &RequestContext<'_>,
    request: DescribeUserScramCredentialsRequest,
) -> impl Future<Output = Served<DescribeUserScramCredentialsResponse>> + use<> {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for user in request.users.iter().flatten() {
        *times.entry(&user.name).or_insert(0) += 1;
    }
    let results = times.into_iter().map(|(name, times)| {
        let (error_code, why) = match times {
            1 => (
                ErrorCode::ResourceNotFound,
                format!("Attempt to describe a user credential that does not exist: {name}"),
            ),
            _ => (
                ErrorCode::DuplicateResource,
                format!("Cannot describe SCRAM credentials for the same user twice in a single request: {name}"),
            ),
        };
        DescribeUserScramCredentialsResult {
            user: Str::from(name),
            error_code,
            error_message: Some(why.into()),
            ..Default::default()
        }
    });
    let results = results.collect();
    std::future::ready(DescribeUserScramCredentialsResponse { results, ..Default::default() }.into())
}
