//! Tests of the catalog: what commands get, what the records say, and that replay equals live.

mod alter;
mod alter_broker;
mod create;
mod format;
mod replay;
mod topics;

use super::*;
use crate::types::TopicId;

pub(super) fn catalog() -> Catalog {
    let mut catalog = Catalog::new(CatalogSettings::new("cluster", 1));
    start(&mut catalog);
    catalog
}

pub(super) fn id(n: u8) -> TopicId {
    TopicId([n; 16])
}

/// Decides and applies, as shard 0 does once the records are synced.
pub(super) fn run(
    catalog: &mut Catalog,
    command: &CatalogCommand,
    fresh_ids: &[TopicId],
) -> Result<CatalogReply, CatalogError> {
    let Decision { records, reply } = catalog.decide(command, fresh_ids)?;
    for record in &records {
        catalog.apply(record).unwrap();
    }
    Ok(reply)
}

pub(super) fn start(catalog: &mut Catalog) {
    let command = CatalogCommand::StartRun { incarnation: [9; 16], endpoints: Vec::new(), rack: None };
    run(catalog, &command, &[]).unwrap();
}

pub(super) fn create(catalog: &mut Catalog, topics: Vec<NewTopic>) -> Vec<Result<CreatedTopic, CatalogError>> {
    let taken = catalog.topic_count() as u8;
    let ids: Vec<TopicId> = (0..topics.len() as u8).map(|n| id(100 + taken + n)).collect();
    match run(catalog, &CatalogCommand::CreateTopics { topics, validate_only: false }, &ids) {
        Ok(CatalogReply::TopicsCreated(created)) => created,
        other => panic!("{other:?}"),
    }
}

pub(super) fn topic(name: &str) -> NewTopic {
    NewTopic::named(name)
}

pub(super) fn text<T: std::fmt::Debug>(result: &Result<T, CatalogError>) -> String {
    result.as_ref().unwrap_err().to_string()
}

fn edits(edits: &[(&str, ConfigOp, Option<&str>)]) -> ConfigEdit {
    ConfigEdit::Incremental(
        edits.iter().map(|(key, op, value)| (key.to_string(), *op, value.map(str::to_owned))).collect(),
    )
}

pub(super) fn change(kind: ResourceKind, name: &str, edit: ConfigEdit) -> ConfigChange {
    ConfigChange { resource: ConfigResource { kind, name: name.to_owned() }, edit }
}
