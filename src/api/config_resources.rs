//! What the four APIs of configs share: Kafka's numbers for resources, sources and types, and how a change is asked for.
//! Runs on the connection's core.
//!
//! Invariant: a change is answered once it is synced and every core acts on it. That of a log level is not kept: it is the
//! process's, until its end.

use std::future::Future;

use shards::catalog::config::{ConfigKey, Kind, Layer};
use shards::catalog::{
    CatalogCommand, CatalogError, CatalogReply, ConfigChange, ConfigEdit, ConfigResource, LoggerChange, ResourceKind,
    logger_change,
};

use super::RequestContext;
use super::errors::catalog_error_told;
use crate::config::described::SettingType;
use crate::wire::{ErrorCode, Str};

/// Kafka's numbers for what has configs.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Where a value is from (Kafka's `ConfigSource`).
pub(super) const SOURCE_TOPIC: i8 = 1;
pub(super) const SOURCE_DEFAULT: i8 = 5;
pub(super) const SOURCE_LOGGER: i8 = 6;
pub(super) const SOURCE_METRICS: i8 = 7;
pub(super) const SOURCE_GROUP: i8 = 8;

pub(super) fn layer_code(layer: Layer) -> i8 {
    match layer {
        Layer::Broker => 2,
        Layer::Cluster => 3,
        Layer::Start => 4,
        Layer::Default => SOURCE_DEFAULT,
    }
}

/// Kafka's number for the type of a config of a topic, a group or client metrics.
pub(super) fn topic_type_code(key: &ConfigKey) -> i8 {
    match key.kind {
        Kind::Bool => type_code(SettingType::Boolean),
        Kind::OneOf(_) | Kind::OffsetReset => type_code(SettingType::Text),
        Kind::Int { .. } | Kind::GzipLevel => type_code(SettingType::Int),
        Kind::Long { .. } => type_code(SettingType::Long),
        Kind::Ratio => 6,
        Kind::ListOf(_) | Kind::AnyList | Kind::ThrottledReplicas => type_code(SettingType::List),
    }
}

pub(super) fn type_code(kind: SettingType) -> i8 {
    match kind {
        SettingType::Boolean => 1,
        SettingType::Text => 2,
        SettingType::Int => 3,
        SettingType::Short => 4,
        SettingType::Long => 5,
        SettingType::List => 7,
    }
}

/// A resource that a request names, as the catalog knows it.
pub(super) fn resource(kind: i8, name: &str) -> ConfigResource {
    let kind = match kind {
        TOPIC => ResourceKind::Topic,
        BROKER => ResourceKind::Broker,
        BROKER_LOGGER => ResourceKind::BrokerLogger,
        CLIENT_METRICS => ResourceKind::Metrics,
        GROUP => ResourceKind::Group,
        other => ResourceKind::Other(other),
    };
    ConfigResource { kind, name: name.to_owned() }
}

/// What became of the change of one resource.
pub(super) struct Altered {
    pub(super) error_code: ErrorCode,
    pub(super) error_message: Option<Str>,
    pub(super) resource_type: i8,
    pub(super) resource_name: Str,
}

/// Asks for changes; answers in their order.
pub(super) fn alter(
    ctx: &RequestContext<'_>,
    edits: Vec<(i8, Str, ConfigEdit)>,
    validate_only: bool,
) -> impl Future<Output = Vec<Altered>> + use<> {
    let mut resources = Vec::with_capacity(edits.len());
    let mut changes = Vec::with_capacity(edits.len());
    for (kind, name, edit) in edits {
        let logger = if kind == BROKER_LOGGER && !validate_only { of_logger(&edit) } else { None };
        changes.push(ConfigChange { resource: resource(kind, &name), edit });
        resources.push((kind, name, logger));
    }
    let settings = ctx.core.settings.clone();
    let change = ctx.core.shards.change(CatalogCommand::AlterConfigs { changes, validate_only });
    async move {
        let outcomes = match change.await {
            Ok(CatalogReply::ConfigsAltered(outcomes)) => outcomes,
            Ok(other) => vec![Err(CatalogError::Internal { why: format!("answered with {other:?}") }); resources.len()],
            Err(e) => vec![Err(e); resources.len()],
        };
        let altered = resources.into_iter().zip(outcomes).map(|((resource_type, resource_name, logger), outcome)| {
            let outcome = outcome.and_then(|()| match logger {
                Some(change) => settings.logger.change(change).map_err(|why| CatalogError::Internal { why }),
                None => Ok(()),
            });
            let (error_code, error_message) = match outcome {
                Ok(()) => (ErrorCode::None, None),
                Err(e) => catalog_error_told(&e),
            };
            Altered { error_code, error_message, resource_type, resource_name }
        });
        altered.collect()
    }
}

/// What is to become of the log's level where the catalog takes the edit; it says what is wrong with others.
fn of_logger(edit: &ConfigEdit) -> Option<LoggerChange> {
    match edit {
        ConfigEdit::Incremental(edits) => logger_change(edits).ok().flatten(),
        ConfigEdit::Replace(_) => None,
    }
}
