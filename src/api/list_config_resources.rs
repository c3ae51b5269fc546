//! ListConfigResources (key 74): names of what has configs. Connection's core; reads the applied catalog.

use std::future::Future;

use super::RequestContext;
use super::config_resources::ResourceType;
use super::table::Served;
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ListConfigResourcesRequest,
) -> impl Future<Output = Served<ListConfigResourcesResponse>> + use<> {
    std::future::ready(listed(ctx, &request).into())
}

fn listed(ctx: &RequestContext<'_>, request: &ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let codes = &request.resource_types;
    let asked: Option<Vec<ResourceType>> = codes.iter().map(|code| ResourceType::from_code(*code)).collect();
    let kinds = match asked {
        // Version 0 cannot say a type: it means the one of which there are none here.
        _ if ctx.version == 0 => vec![ResourceType::ClientMetrics],
        Some(asked) if !asked.is_empty() => asked,
        Some(_) => ResourceType::ALL.to_vec(),
        None => {
            return ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion, ..Default::default() };
        }
    };
    let mut config_resources = Vec::new();
    let mut tell = |kind: ResourceType, name: Str| {
        config_resources.push(ConfigResource { resource_name: name, resource_type: kind.code() });
    };
    for kind in kinds {
        match kind {
            ResourceType::Topic => {
                let catalog = ctx.core.shards.catalog();
                catalog.topics().for_each(|topic| tell(kind, Str::from(&*topic.name)));
            }
            ResourceType::Broker | ResourceType::BrokerLogger => {
                tell(kind, ctx.core.settings.node_id.to_string().into());
            }
            // None has configs of its own.
            ResourceType::ClientMetrics | ResourceType::Group => {}
        }
    }
    ListConfigResourcesResponse { config_resources, ..Default::default() }
}
