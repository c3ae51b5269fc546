//! DescribeConfigs (key 32): configs of topics, groups and brokers, with where each value comes from. Runs on the connection's
//! core, from its own copy of the catalog. Invariant: one result for each resource, in the order asked.

mod broker;
mod group;
mod metrics;
mod topic;

use std::future::Future;
use std::rc::Rc;

use shards::catalog::config::LayeredValue;
use shards::catalog::{Catalog, ROOT_LOGGER, check_topic_name};

use super::config_resources::{
    BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, SOURCE_DEFAULT, SOURCE_LOGGER, TOPIC, layer_code,
};
use super::long_reply::{LongReply, NoReply};
use super::table::Served;
use super::{ApiCore, ApiSettings, RequestContext};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResponse,
    DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::{ErrorCode, Str};

/// Kafka's words where it says nothing of its own.
pub(super) const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the \
                         message was sent to an incompatible broker. See the broker logs for more details.";

/// Why a resource is not described. Kafka's message is never null here.
type Refused = (ErrorCode, String);

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: DescribeConfigsRequest,
) -> impl Future<Output = Served<DescribeConfigsResponse>> + use<> {
    let told = tell_all(ctx.core.clone(), request, LongReply::of::<DescribeConfigsResponse>(ctx));
    async move { told.await.unwrap_or_else(NoReply::close) }
}

async fn tell_all(
    core: Rc<ApiCore>,
    request: DescribeConfigsRequest,
    mut results: LongReply<DescribeConfigsResult>,
) -> Result<Served<DescribeConfigsResponse>, NoReply> {
    let known = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    // Kafka gives up on the whole request.
    let hopeless = request.resources.iter().any(|resource| !known.contains(&resource.resource_type));
    for resource in &request.resources {
        let asked = Asked {
            keys: resource.configuration_keys.as_deref().unwrap_or_default(),
            synonyms: request.include_synonyms,
            docs: request.include_documentation,
        };
        let described = if hopeless {
            Err((ErrorCode::InvalidRequest, MALFORMED.to_owned()))
        } else {
            describe(&core.shards.catalog(), &core.settings, resource, &asked)
        };
        results.push(result(resource, described)).await?;
    }
    Ok(results.within(DescribeConfigsResponse::default()))
}

fn result(
    resource: &DescribeConfigsResource,
    described: Result<Vec<DescribeConfigsResourceResult>, Refused>,
) -> DescribeConfigsResult {
    let (error_code, told, configs) = match described {
        Ok(configs) => (ErrorCode::None, String::new(), configs),
        Err((code, why)) => (code, why, Vec::new()),
    };
    DescribeConfigsResult {
        error_code,
        error_message: Some(Str::from(told)),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs,
    }
}

fn describe(
    catalog: &Catalog,
    settings: &ApiSettings,
    resource: &DescribeConfigsResource,
    asked: &Asked<'_>,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let name = resource.resource_name.as_str();
    let invalid = |why: String| Err((ErrorCode::InvalidRequest, why));
    match resource.resource_type {
        TOPIC => {
            check_topic_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
            let topic = catalog.topic(name).ok_or((ErrorCode::UnknownTopicOrPartition, String::new()))?;
            Ok(topic::described(catalog, topic, asked))
        }
        BROKER if name.is_empty() => Ok(broker::cluster(catalog, settings, asked)),
        BROKER => match broker_number(name)? {
            id if id == settings.node_id => Ok(broker::described(catalog, settings, asked)),
            id => invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {id}",
                settings.node_id
            )),
        },
        BROKER_LOGGER if name.is_empty() => invalid("Broker id must not be empty".to_owned()),
        BROKER_LOGGER => match broker_number(name)? {
            id if id == settings.node_id => Ok(loggers(settings, asked)),
            id => invalid(format!("Unexpected broker id, expected {} but received {id}", settings.node_id)),
        },
        CLIENT_METRICS if name.is_empty() => invalid("Client metrics subscription name must not be empty".to_owned()),
        CLIENT_METRICS => Ok(metrics::described(catalog, name, asked)),
        _ if name.is_empty() => invalid("Group name must not be empty".to_owned()),
        _ => Ok(group::described(catalog, name, asked)),
    }
}

fn broker_number(name: &str) -> Result<i32, Refused> {
    let told = |_| (ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"));
    name.parse().map_err(told)
}

/// What a request wants of each resource.
struct Asked<'a> {
    /// None: all.
    keys: &'a [Str],
    synonyms: bool,
    docs: bool,
}

impl Asked<'_> {
    fn wants(&self, name: &str) -> bool {
        self.keys.is_empty() || self.keys.iter().any(|key| key.as_str() == name)
    }

    fn doc(&self, text: impl Into<Str>) -> Option<Str> {
        self.docs.then(|| text.into())
    }

    /// The source of the first, and all of them if they were asked for.
    fn sources(&self, all: Vec<DescribeConfigsSynonym>) -> (i8, Vec<DescribeConfigsSynonym>) {
        let source = all.first().map_or(SOURCE_DEFAULT, |first| first.source);
        (source, if self.synonyms { all } else { Vec::new() })
    }
}

fn synonym(value: &LayeredValue<'_>) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: Str::from_static(value.name),
        value: Some(value.value.into()),
        source: layer_code(value.layer),
    }
}

/// There is one logger: the level of all lines.
fn loggers(settings: &ApiSettings, asked: &Asked<'_>) -> Vec<DescribeConfigsResourceResult> {
    let root = DescribeConfigsResourceResult {
        name: Str::from_static(ROOT_LOGGER),
        value: Some(settings.logger.level()),
        config_source: SOURCE_LOGGER,
        documentation: Some(Str::default()),
        ..Default::default()
    };
    if asked.wants(ROOT_LOGGER) { vec![root] } else { Vec::new() }
}
