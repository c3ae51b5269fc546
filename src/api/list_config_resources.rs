//! ListConfigResources (key 74, KIP-1142): what can be described. Runs on the connection's core, from its own copy of the
//! catalog. Invariant: in Kafka's order of types, topics by name.

use std::future::Future;

use super::RequestContext;
use super::config_resources::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::table::Served;
use crate::wire::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};
use crate::wire::{ErrorCode, Str};

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: ListConfigResourcesRequest,
) -> impl Future<Output = Served<ListConfigResourcesResponse>> + use<> {
    let known = [GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC];
    let asked: &[i8] = match &request.resource_types[..] {
        // Before it could be asked for types, the API was about client metrics.
        [] if ctx.version == 0 => &[CLIENT_METRICS],
        [] => &known,
        some => some,
    };
    let reply = if asked.iter().all(|kind| known.contains(kind)) {
        ListConfigResourcesResponse { config_resources: listed(ctx, asked), ..Default::default() }
    } else {
        ListConfigResourcesResponse { error_code: ErrorCode::UnsupportedVersion, ..Default::default() }
    };
    std::future::ready(reply.into())
}

fn listed(ctx: &RequestContext<'_>, asked: &[i8]) -> Vec<ConfigResource> {
    let broker = Str::from(ctx.core.settings.node_id.to_string());
    let brokers = [BROKER_LOGGER, BROKER].into_iter().filter(|kind| asked.contains(kind));
    let brokers = brokers.map(|resource_type| ConfigResource { resource_name: broker.clone(), resource_type });
    let catalog = ctx.core.shards.catalog();
    let topics = catalog.topics().filter(|_| asked.contains(&TOPIC));
    let topics = topics.map(|topic| ConfigResource { resource_name: Str::from(&*topic.name), resource_type: TOPIC });
    let groups = catalog.groups_with_configs().filter(|_| asked.contains(&GROUP));
    let groups = groups.map(|group| ConfigResource { resource_name: Str::from(&**group), resource_type: GROUP });
    let metrics = catalog.metrics_with_configs().filter(|_| asked.contains(&CLIENT_METRICS));
    let metrics =
        metrics.map(|name| ConfigResource { resource_name: Str::from(&**name), resource_type: CLIENT_METRICS });
    groups.chain(metrics).chain(brokers).chain(topics).collect()
}
