//! The admin calls that the crate has beside topics: configs of topics and brokers, records deleted.

use pollster::block_on;
use rdkafka::admin::{AlterConfig, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{records, same};
use crate::client::{Cluster, STEP, patient};
use crate::report::{Failure, Outcome, Report, ensure};

pub fn run(cluster: &Cluster, report: &mut Report) {
    report.case("delete-records", "records before an offset are deleted", || {
        let topic = cluster.create("delete-records", 1, &[])?;
        let sent = records(0, 100);
        cluster.produce_all(&topic, &[], &sent)?;
        let delete = |offset| -> Result<Offset, Failure> {
            let mut asked = TopicPartitionList::new();
            asked.add_partition_offset(&topic, 0, Offset::Offset(offset))?;
            let answer = block_on(cluster.admin()?.delete_records(&asked, &patient()))?;
            let element = answer.find_partition(&topic, 0).ok_or("the partition is missing in the answer")?;
            element.error()?;
            Ok(element.offset())
        };
        let low = delete(40)?;
        ensure(low == Offset::Offset(40), || format!("the start is {low:?}"))?;
        same(&sent[40..], &cluster.read(&topic, 0, Offset::Beginning, 60)?, 40)?;
        let beyond = delete(101);
        ensure(beyond.is_err(), || format!("deleted beyond the end: {beyond:?}"))
    });
    report.case("describe-configs alter-configs", "a topic's configs are described and replaced", || {
        let topic = cluster.create("configs", 1, &[("retention.ms", "3600000")])?;
        let resource = ResourceSpecifier::Topic(&topic);
        // The crate keeps the error of a single resource to itself.
        let alter = |value| -> Outcome {
            let asked = AlterConfig::new(resource).set("segment.bytes", value);
            let answer = block_on(cluster.admin()?.alter_configs([&asked], &patient()))?;
            ensure(answer.len() == 1, || format!("{answer:?}"))
        };
        shows(cluster, resource, "retention.ms", "3600000")?;
        shows(cluster, resource, "segment.bytes", "1073741824")?;
        alter("-1")?;
        shows(cluster, resource, "segment.bytes", "1073741824")?;
        shows(cluster, resource, "retention.ms", "3600000")?;
        alter("2097152")?;
        shows(cluster, resource, "segment.bytes", "2097152")?;
        shows(cluster, resource, "retention.ms", "604800000")
    });
    report.case("describe-configs", "a broker's configs are described", || {
        let all = cluster.consumer()?.fetch_metadata(None, STEP)?;
        let broker = all.brokers().first().ok_or("no broker")?.id();
        shows(cluster, ResourceSpecifier::Broker(broker), "message.max.bytes", "1048588")
    });
}

/// The described value of one key.
fn shows(cluster: &Cluster, resource: ResourceSpecifier<'_>, key: &str, wanted: &str) -> Outcome {
    let answer = block_on(cluster.admin()?.describe_configs([&resource], &patient()))?;
    let described = answer.into_iter().next().ok_or("the answer names no resource")??;
    let value = described.get(key).and_then(|entry| entry.value.as_deref());
    ensure(value == Some(wanted), || format!("{key} is {value:?}, not {wanted}"))
}
