//! `corelog cluster`: id, controller, brokers and features of any Kafka cluster, and what its brokers serve.

use serde_json::{Value, json};

use super::Failure;
use super::bootstrap::Bootstrap;
use super::report::{Shown, table};
use crate::client::{self, BrokerInfo, ClusterInfo, Feature, ServedApi};

/// Shows a cluster's id, controller, brokers and features.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Also the APIs that the broker serves, with their versions.
    #[arg(long)]
    apis: bool,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

pub fn run(args: &Arguments) -> Result<(), Failure> {
    let mut cluster = args.bootstrap.connect()?;
    let info = client::describe_cluster(&mut cluster)?;
    let (features, apis) = client::features_and_apis(&mut cluster)?;
    let mut data = json!({
        "cluster": info.id,
        "controller": info.controller,
        "brokers": info.brokers.iter().map(|broker| json!({
            "id": broker.id, "host": broker.host, "port": broker.port, "rack": broker.rack,
        })).collect::<Value>(),
        "features": features.iter().map(|feature| json!({
            "feature": feature.name, "level": feature.level, "min": feature.min, "max": feature.max,
        })).collect::<Value>(),
    });
    if args.apis
        && let Value::Object(map) = &mut data
    {
        let api = |api: &ServedApi| json!({ "key": api.key, "api": api.name, "min": api.min, "max": api.max });
        map.insert("apis".to_owned(), apis.iter().map(api).collect());
    }
    args.shown.show(&data, || told(&info, &features, args.apis.then_some(&apis)))
}

fn told(info: &ClusterInfo, features: &[Feature], apis: Option<&Vec<ServedApi>>) -> String {
    let broker = |broker: &BrokerInfo| {
        let controls = if broker.id == info.controller { "yes" } else { "" };
        vec![
            broker.id.to_string(),
            broker.host.clone(),
            broker.port.to_string(),
            broker.rack.clone().unwrap_or_else(|| "-".to_owned()),
            controls.to_owned(),
        ]
    };
    let feature = |feature: &Feature| {
        let level = feature.level.map_or_else(|| "off".to_owned(), |level| level.to_string());
        vec![feature.name.clone(), level, format!("{}-{}", feature.min, feature.max)]
    };
    let brokers: Vec<_> = info.brokers.iter().map(broker).collect();
    let features: Vec<_> = features.iter().map(feature).collect();
    let mut parts = vec![
        format!("cluster {}", info.id),
        table(&["broker", "host", "port", "rack", "controller"], &brokers),
        table(&["feature", "level", "known"], &features),
    ];
    if let Some(apis) = apis {
        let api = |api: &ServedApi| {
            let name = api.name.unwrap_or("(unknown to this client)");
            vec![api.key.to_string(), name.to_owned(), format!("{}-{}", api.min, api.max)]
        };
        parts.push(table(&["key", "api", "versions"], &apis.iter().map(api).collect::<Vec<_>>()));
    }
    parts.join("\n\n")
}
