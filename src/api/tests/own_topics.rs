//! The broker's own topics: made as Kafka makes them, whoever asks first, and told as internal.

use super::*;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};

const OFFSETS: &str = "__consumer_offsets";

/// Configs of `__consumer_offsets` that are its own.
async fn own_configs(client: &mut Client) -> Vec<(String, String)> {
    let resource =
        DescribeConfigsResource { resource_type: 2, resource_name: OFFSETS.into(), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let configs = ask!(client, DescribeConfigs, request, 4).results.remove(0).configs;
    // Source 1: of the topic itself.
    let own = configs.into_iter().filter(|config| config.config_source == 1);
    own.map(|config| (config.name.to_string(), config.value.unwrap_or_default().to_string())).collect()
}

async fn check(client: &mut Client) {
    let told = metadata(client, OFFSETS).await;
    assert_eq!((told.error_code, told.partitions.len(), told.is_internal), (ErrorCode::None, 50, true));
    let mut configs = own_configs(client).await;
    configs.sort();
    let expected = [("cleanup.policy", "compact"), ("compression.type", "producer"), ("segment.bytes", "104857600")];
    assert_eq!(configs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn the_topic_of_the_groups_is_the_same_whether_metadata_or_a_coordinator_is_asked_for_first() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        let told = metadata(&mut client, OFFSETS).await;
        assert_eq!((told.error_code, told.is_internal), (ErrorCode::UnknownTopicOrPartition, true));
        check(&mut client).await;
    });
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        ask!(client, FindCoordinator, FindCoordinatorRequest { key: "g".into(), ..Default::default() }, 3);
        check(&mut client).await;
    });
}

#[test]
fn topics_of_parts_that_are_not_there_are_internal_and_not_made_on_the_way() {
    with_broker(|rt, addr| async move {
        let mut client = Client::connect(&rt, addr).await;
        for name in ["__transaction_state", "__share_group_state"] {
            for _ in 0..2 {
                let told = metadata(&mut client, name).await;
                assert_eq!((told.error_code, told.is_internal), (ErrorCode::UnknownTopicOrPartition, true), "{name}");
            }
            assert_eq!(create(&mut client, name, 1).await, ErrorCode::None);
            let told = produce(&mut client, name, vec![(0, batch(&["a"]))]).await;
            assert_eq!(told[0].error_code, ErrorCode::InvalidTopicException, "{name}");
        }
        let told = metadata(&mut client, "__cluster_metadata").await;
        assert_eq!((told.error_code, told.is_internal), (ErrorCode::UnknownTopicOrPartition, false));
    });
}
