//! AlterConfigs (key 33): replaces all configs of topics and brokers. Runs on the connection's core; shard 0 decides.
//! Invariant: one answer for each resource, in the order asked.

use std::future::Future;

use shards::catalog::ConfigEdit;

use super::RequestContext;
use super::config_resources::alter;
use super::table::Served;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: AlterConfigsRequest,
) -> impl Future<Output = Served<AlterConfigsResponse>> + use<> {
    let edits = request.resources.into_iter().map(|resource| {
        let edit = replacement(&resource);
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
        AlterConfigsResponse { responses: responses.collect(), ..Default::default() }.into()
    }
}

fn replacement(resource: &AlterConfigsResource) -> ConfigEdit {
    let values = resource.configs.iter();
    ConfigEdit::Replace(
        values.map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string))).collect(),
    )
}
