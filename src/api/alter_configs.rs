//! AlterConfigs (key 33) and IncrementalAlterConfigs (key 44): change configs of topics. Connection's core; shard 0 decides,
//! every core applies. Invariant: one response for each resource named, in the order of the first mention.

use std::future::Future;

use hashbrown::HashMap;
use shards::catalog::{CatalogCommand, CatalogError, CatalogReply, ConfigChange, ConfigEdit, ConfigOp};

use super::config_resources::{self, ResourceType};
use super::errors::catalog_error_told;
use super::table::Served;
use super::{ApiCore, RequestContext};
use crate::wire::messages::alter_configs::{self as full, AlterConfigsRequest, AlterConfigsResponse};
use crate::wire::messages::incremental_alter_configs::{
    self as incremental, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use crate::wire::{ErrorCode, Str};

/// A resource of a request, and what is to become of it.
struct Change {
    resource_type: i8,
    name: String,
    edit: Result<ConfigEdit, (ErrorCode, Str)>,
}

type Outcome = (ErrorCode, Option<Str>);

pub(super) fn serve(
    ctx: &RequestContext<'_>,
    request: AlterConfigsRequest,
) -> impl Future<Output = Served<AlterConfigsResponse>> + use<> {
    let changes = request.resources.iter().map(|resource| Change {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        edit: Ok(ConfigEdit::Replace(
            resource.configs.iter().map(|c| (c.name.to_string(), c.value.as_ref().map(ToString::to_string))).collect(),
        )),
    });
    let changed = change(ctx.core, changes.collect(), request.validate_only);
    async move {
        let responses = changed.await.into_iter().map(|(resource_type, name, (error_code, error_message))| {
            full::AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name: name.into() }
        });
        AlterConfigsResponse { responses: responses.collect(), ..Default::default() }.into()
    }
}

pub(super) fn serve_incremental(
    ctx: &RequestContext<'_>,
    request: IncrementalAlterConfigsRequest,
) -> impl Future<Output = Served<IncrementalAlterConfigsResponse>> + use<> {
    let changes = request.resources.iter().map(|resource| Change {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        edit: resource.configs.iter().map(edit).collect::<Result<_, _>>().map(ConfigEdit::Incremental),
    });
    let changed = change(ctx.core, changes.collect(), request.validate_only);
    async move {
        let responses = changed.await.into_iter().map(|(resource_type, name, (error_code, error_message))| {
            incremental::AlterConfigsResourceResponse {
                error_code,
                error_message,
                resource_type,
                resource_name: name.into(),
            }
        });
        IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }.into()
    }
}

fn edit(config: &incremental::AlterableConfig) -> Result<(String, ConfigOp, Option<String>), (ErrorCode, Str)> {
    let op = match config.config_operation {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        other => return Err((ErrorCode::InvalidRequest, format!("Unknown operation type {other}").into())),
    };
    Ok((config.name.to_string(), op, config.value.as_ref().map(ToString::to_string)))
}

/// Changes what can be changed, in one command; answers for every resource.
fn change(
    core: &ApiCore,
    changes: Vec<Change>,
    validate_only: bool,
) -> impl Future<Output = Vec<(i8, String, Outcome)>> + use<> {
    let mut times = HashMap::new();
    for change in &changes {
        *times.entry((change.resource_type, change.name.clone())).or_insert(0) += 1;
    }
    let mut outcomes = Vec::with_capacity(changes.len());
    let mut commands = Vec::new();
    for Change { resource_type, name, edit } in changes {
        // Named twice: told once.
        let Some(named) = times.remove(&(resource_type, name.clone())) else { continue };
        let outcome = if named > 1 {
            Some((ErrorCode::InvalidRequest, Some("Each resource must appear at most once.".into())))
        } else {
            match (changeable(core, resource_type, &name, edit.as_ref().ok()), edit) {
                (Err((code, why)), _) | (Ok(()), Err((code, why))) => Some((code, Some(why))),
                (Ok(()), Ok(edit)) => {
                    commands.push(ConfigChange { topic: name.clone(), edit });
                    None
                }
            }
        };
        outcomes.push((resource_type, name, outcome));
    }
    let asked = commands.len();
    let command = CatalogCommand::AlterTopicConfigs { changes: commands, validate_only };
    let changed = (asked > 0).then(|| core.shards.change(command));
    async move {
        let altered: Vec<Result<(), CatalogError>> = match changed {
            None => Vec::new(),
            Some(changed) => match changed.await {
                Ok(CatalogReply::ConfigsAltered(altered)) => altered,
                Ok(other) => vec![Err(CatalogError::Internal { why: format!("answered with {other:?}") }); asked],
                Err(e) => vec![Err(e); asked],
            },
        };
        let mut altered = altered.into_iter();
        let told = outcomes.into_iter().map(|(resource_type, name, outcome)| {
            let outcome = outcome.unwrap_or_else(|| match altered.next() {
                Some(Err(e)) => catalog_error_told(&e),
                // A success comes with an empty text, not with none.
                _ => (ErrorCode::None, Some("".into())),
            });
            (resource_type, name, outcome)
        });
        told.collect()
    }
}

/// Only topics can be changed. What else Kafka changes is refused, with Kafka's error for a setting that is not dynamic.
fn changeable(
    core: &ApiCore,
    resource_type: i8,
    name: &str,
    edit: Option<&ConfigEdit>,
) -> Result<(), (ErrorCode, Str)> {
    let refuse = |why: String| Err((ErrorCode::InvalidRequest, why.into()));
    match ResourceType::from_code(resource_type) {
        Some(ResourceType::Topic) => Ok(()),
        Some(ResourceType::Broker) => {
            if !name.is_empty() {
                config_resources::broker_id(name, core.settings.node_id)
                    .map_err(|why| (ErrorCode::InvalidRequest, why.into()))?;
            }
            let keys: Vec<&str> = match edit {
                Some(ConfigEdit::Replace(values)) => values.iter().map(|(key, _)| key.as_str()).collect(),
                Some(ConfigEdit::Incremental(edits)) => edits.iter().map(|(key, ..)| key.as_str()).collect(),
                None => Vec::new(),
            };
            refuse(format!("Cannot update these configs dynamically: Set({})", keys.join(", ")))
        }
        Some(other) => refuse(format!("Configs of {} cannot be altered on this broker", other.name())),
        None => refuse(format!("Unknown resource type {resource_type}")),
    }
}
