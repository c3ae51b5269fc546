//! Topics, their configs and ids: a pure machine over the records of the metadata log (`decide`, then `apply`).

use std::collections::BTreeMap;

use thiserror::Error;

/// The applied state of the metadata log.
pub struct Catalog {}

/// A change that someone asks for.
#[derive(Debug, Clone)]
pub enum CatalogCommand {
    CreateTopic(NewTopic),
}

#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    pub configs: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Clone)]
pub enum CatalogReply {}

#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CatalogError {
    #[error("the broker is stopping")]
    Stopping,
}
