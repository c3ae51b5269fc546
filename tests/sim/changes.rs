//! A client that changes topics while everything else happens: it adds partitions and sets a config to ever larger numbers.

use std::time::Duration;

use corelog::wire::ErrorCode;
use corelog::wire::messages::Response;
use corelog::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use corelog::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use corelog::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use shards::runtime::sim::SimRuntime;

use crate::client::{Clients, Shrinks, Topic, one_in, pause, pick};
use crate::history::{Event, Setting};
use crate::link::{Broken, Link};

const REPLY_MAX: Duration = Duration::from_secs(20);
/// The resource type of topics.
const TOPIC: i8 = 2;
/// Where a value comes from that the topic itself has.
const FROM_TOPIC: i8 = 1;
const SET: i8 = 0;
pub const CONFIG: &str = "retention.ms";
/// It changes along, and is not looked at.
const DELETE_DELAY: &str = "file.delete.delay.ms";
const DELETE_DELAYS_MS: [i64; 4] = [0, 10, 100, 300];
/// Years: nothing gets so old.
const CONFIG_MIN: i64 = 1_000_000_000_000;
const PARTITIONS_MAX: i32 = 6;

/// Changes the topics that keep all of their records, for as long as there is a broker and a test.
pub async fn change_topics(rt: SimRuntime, clients: Clients) {
    let mut newest = CONFIG_MIN;
    while clients.wait_open(&rt).await {
        let round = clients.gate.round.get();
        if let Err(Broken::Nonsense(what)) = change_on_one_connection(&rt, &clients, round, &mut newest).await {
            clients.history.unexpected(what);
        }
        pause(&rt, Duration::from_millis(1 + pick(&rt, 10))).await;
    }
}

async fn change_on_one_connection(
    rt: &SimRuntime,
    clients: &Clients,
    round: u64,
    newest: &mut i64,
) -> Result<(), Broken> {
    let mut link = Link::open(rt, clients.addr).await?;
    // By their names, so not those that are deleted and made again under one.
    let may_change = |topic: &&Topic| topic.shrinks == Shrinks::Never && topic.name != "passing";
    while clients.is_current(round) {
        pause(rt, Duration::from_micros(pick(rt, 40_000))).await;
        let topics: Vec<Topic> = clients.topics.borrow().iter().filter(may_change).cloned().collect();
        if topics.is_empty() || clients.is_hushed.get() {
            continue;
        }
        let topic = &topics[usize::try_from(pick(rt, topics.len() as u64)).expect("an index")];
        if one_in(rt, 8) && topic.partitions < PARTITIONS_MAX {
            add_partition(clients, &mut link, topic).await?;
        } else {
            *newest += 1;
            set_config(clients, &mut link, topic, *newest).await?;
        }
    }
    Ok(())
}

async fn add_partition(clients: &Clients, link: &mut Link, topic: &Topic) -> Result<(), Broken> {
    let count = topic.partitions + 1;
    let value = i64::from(count);
    clients.history.push(Event::ChangeAsked { topic: topic.id, setting: Setting::Partitions, value });
    let wanted = CreatePartitionsTopic { name: topic.name.as_str().into(), count, assignments: None };
    let request = CreatePartitionsRequest { topics: vec![wanted], timeout_ms: 10_000, validate_only: false };
    let Response::CreatePartitions(reply) = link.ask(request, 3, REPLY_MAX).await? else {
        return Err(Broken::Nonsense("another reply than asked for".to_owned()));
    };
    if is_done(clients, topic, reply.results.first().map(|result| result.error_code))? {
        clients.history.push(Event::Changed { topic: topic.id, setting: Setting::Partitions, value });
        clients.has_partitions(topic.id, count);
    }
    Ok(())
}

async fn set_config(clients: &Clients, link: &mut Link, topic: &Topic, value: i64) -> Result<(), Broken> {
    clients.history.push(Event::ChangeAsked { topic: topic.id, setting: Setting::Config, value });
    let config = |name: &'static str, value: i64| AlterableConfig {
        name: name.into(),
        config_operation: SET,
        value: Some(value.to_string().as_str().into()),
    };
    let configs =
        vec![config(CONFIG, value), config(DELETE_DELAY, DELETE_DELAYS_MS[value.unsigned_abs() as usize % 4])];
    let resource = AlterConfigsResource { resource_type: TOPIC, resource_name: topic.name.as_str().into(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    let Response::IncrementalAlterConfigs(reply) = link.ask(request, 1, REPLY_MAX).await? else {
        return Err(Broken::Nonsense("another reply than asked for".to_owned()));
    };
    if is_done(clients, topic, reply.responses.first().map(|response| response.error_code))? {
        clients.history.push(Event::Changed { topic: topic.id, setting: Setting::Config, value });
    }
    Ok(())
}

/// Whether the broker says that it is; `false` where it may refuse.
fn is_done(clients: &Clients, topic: &Topic, answer: Option<ErrorCode>) -> Result<bool, Broken> {
    match answer {
        Some(ErrorCode::None) => Ok(true),
        // Deleted meanwhile, and perhaps made again under its name.
        Some(_) if clients.topic(topic.id).is_none() => Ok(false),
        Some(_) if clients.load.get().may_be_full || clients.load.get().may_refuse => Ok(false),
        other => Err(Broken::Nonsense(format!("a change of {}: {other:?}", topic.name))),
    }
}

/// Notes what a start found of a topic's config.
pub async fn survey_config(clients: &Clients, link: &mut Link, topic: &Topic) -> Result<(), Broken> {
    let resource = DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.name.as_str().into(),
        configuration_keys: Some(vec![CONFIG.into()]),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let Response::DescribeConfigs(reply) = link.ask(request, 4, REPLY_MAX).await? else {
        return Err(Broken::Nonsense("another reply than asked for".to_owned()));
    };
    let of_topic =
        reply.results.iter().flat_map(|result| &result.configs).find(|config| config.config_source == FROM_TOPIC);
    let value = of_topic.and_then(|config| config.value.as_ref()?.parse().ok()).unwrap_or(0);
    clients.history.push(Event::HasNow { topic: topic.id, setting: Setting::Config, value });
    Ok(())
}
