//! Records of the metadata log, as a dump shows them.

use serde_json::{Map, Value, json};
use shards::catalog::CatalogRecord;

use super::batches::owned;

/// The kind of a record and what it says.
pub fn decoded(value: Option<&[u8]>) -> Result<(&'static str, Map<String, Value>), String> {
    let value = value.ok_or_else(|| "a record without a value".to_owned())?;
    let record = CatalogRecord::decode(&owned(value)).map_err(|e| e.to_string())?;
    let (kind, parts) = told(&record);
    match parts {
        Value::Object(parts) => Ok((kind, parts)),
        other => unreachable!("the parts of a record are an object: {other}"),
    }
}

/// The same for a record that is decoded already.
pub fn told(record: &CatalogRecord) -> (&'static str, Value) {
    match record {
        CatalogRecord::Topic { name, id } => ("topic", json!({ "name": name, "id": id.to_string() })),
        CatalogRecord::Partition { topic, index, replicas, leader_epoch } => (
            "partition",
            json!({
                "topic": topic.to_string(), "index": index, "replicas": replicas, "leader_epoch": leader_epoch,
            }),
        ),
        CatalogRecord::RemoveTopic { id } => ("remove_topic", json!({ "id": id.to_string() })),
        CatalogRecord::TopicConfig { topic, key, value } => {
            ("topic_config", json!({ "topic": topic, "key": key, "value": value }))
        }
        CatalogRecord::BrokerConfig { broker, key, value } => {
            ("broker_config", json!({ "broker": broker, "key": key, "value": value }))
        }
        CatalogRecord::GroupConfig { group, key, value } => {
            ("group_config", json!({ "group": group, "key": key, "value": value }))
        }
        CatalogRecord::MetricsConfig { name, key, value } => {
            ("metrics_config", json!({ "name": name, "key": key, "value": value }))
        }
        CatalogRecord::ProducerIds { broker, run, next } => {
            ("producer_ids", json!({ "broker": broker, "run": run, "next": next }))
        }
        CatalogRecord::RegisterBroker(registration) => (
            "register_broker",
            json!({
                "broker": registration.broker, "run": registration.run,
                "incarnation": format!("{:032x}", u128::from_be_bytes(registration.incarnation)),
                "endpoints": registration.endpoints.iter().map(|endpoint| json!({
                    "name": endpoint.name, "host": endpoint.host, "port": endpoint.port,
                    "security_protocol": endpoint.security_protocol,
                })).collect::<Value>(),
                "rack": registration.rack,
            }),
        ),
        CatalogRecord::FeatureLevel { name, level } => ("feature_level", json!({ "name": name, "level": level })),
    }
}
