//! IncrementalAlterConfigs (key 44, KIP-339): changes some configs of topics and brokers. Runs on the connection's core;
//! shard 0 decides. Invariant: one answer for each resource, in the order asked.

use std::future::Future;

use shards::catalog::{ConfigEdit, ConfigOp};

use super::RequestContext;
use super::config_resources::alter;
use super::table::Served;
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: IncrementalAlterConfigsRequest,
) -> impl Future<Output = Served<IncrementalAlterConfigsResponse>> + use<> {
    let edits = request.resources.into_iter().map(|resource| {
        let edit = increment(&resource);
        (resource.resource_type, resource.resource_name.as_str().into(), edit)
    });
    let altered = alter(ctx, edits.collect(), request.validate_only);
    async move {
        let responses = altered.await.into_iter().map(|altered| AlterConfigsResourceResponse {
            error_code: altered.error_code,
            error_message: altered.error_message,
            resource_type: altered.resource_type,
            resource_name: altered.resource_name,
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }.into()
    }
}

fn increment(resource: &AlterConfigsResource) -> ConfigEdit {
    let edits = resource.configs.iter().map(|config| {
        let op = match config.config_operation {
            0 => ConfigOp::Set,
            1 => ConfigOp::Delete,
            2 => ConfigOp::Append,
            3 => ConfigOp::Subtract,
            other => ConfigOp::Unknown(other),
        };
        (config.name.to_string(), op, config.value.as_ref().map(ToString::to_string))
    });
    ConfigEdit::Incremental(edits.collect())
}
