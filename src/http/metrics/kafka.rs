//! Kafka's metrics that dashboards use, under the names that Prometheus's JMX exporter gives them with its example
//! configuration for Kafka. Each is the sum of all shards: in Kafka it is one number of the broker.

use shards::router::{Class, Stage};

use super::Kind::{self, Counter, Gauge};
use super::text::Text;
use crate::http::collect::Round;
use crate::http::report::CoreReport;
use crate::http::stages::together;

/// One number of the broker: its part of each shard.
struct OfBroker {
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    kind: Kind,
    help: &'static str,
    value: fn(&CoreReport) -> u64,
}

const fn of_broker(name: &'static str, kind: Kind, help: &'static str, value: fn(&CoreReport) -> u64) -> OfBroker {
    OfBroker { name, labels: &[], kind, help, value }
}

const PURGATORY: &str = "kafka_server_delayedoperationpurgatory_purgatorysize";

#[rustfmt::skip]
const OF_BROKER: &[OfBroker] = &[
    of_broker("kafka_server_brokertopicmetrics_messagesin_total", Counter, "Records appended.", |c| c.shard.counters.appended_records),
    of_broker("kafka_server_brokertopicmetrics_bytesin_total", Counter, "Bytes of record batches appended.", |c| c.shard.counters.appended_bytes),
    of_broker("kafka_server_brokertopicmetrics_bytesout_total", Counter, "Bytes of record batches fetched.", |c| c.shard.counters.read_memory_bytes + c.shard.counters.read_disk_bytes),
    of_broker("kafka_server_brokertopicmetrics_totalproducerequests_total", Counter, "Produce requests.", |c| requests(c, "Produce")),
    of_broker("kafka_server_brokertopicmetrics_totalfetchrequests_total", Counter, "Fetch requests.", |c| requests(c, "Fetch")),
    of_broker("kafka_server_replicamanager_partitioncount", Gauge, "Partitions.", |c| c.shard.partitions),
    of_broker("kafka_server_replicamanager_leadercount", Gauge, "Partitions that this broker leads: all.", |c| c.shard.partitions),
    of_broker("kafka_server_replicamanager_offlinereplicacount", Gauge, "Partitions out of service.", |c| c.shard.partitions_offline),
    of_broker("kafka_server_replicamanager_underreplicatedpartitions", Gauge, "Always 0: there is one broker.", |_| 0),
    of_broker("kafka_server_replicamanager_underminisrpartitioncount", Gauge, "Always 0: there is one broker.", |_| 0),
    of_broker("kafka_controller_kafkacontroller_offlinepartitionscount", Gauge, "Partitions out of service.", |c| c.shard.partitions_offline),
    OfBroker { name: PURGATORY, labels: &[("delayedOperation", "Fetch")], kind: Gauge, help: "Requests that wait: fetches for records, produces for room.", value: |c| c.shard.fetches_parked },
    OfBroker { name: PURGATORY, labels: &[("delayedOperation", "Produce")], kind: Gauge, help: "", value: |c| c.shard.appends_waiting },
];

/// As the exporter writes the percentiles of Kafka's histograms.
const QUANTILES: [(&str, f64); 6] =
    [("0.50", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.98", 0.98), ("0.99", 0.99), ("0.999", 0.999)];

pub fn write(text: &mut Text, round: &Round, data_dir: &str) {
    let name = "kafka_controller_kafkacontroller_activecontrollercount";
    text.family(name, Gauge, "Always 1: this process is its own controller.").sample(&[], 1);
    // Sums that lack a core would fall, which a monitor takes for a restart: their next rise would be all since the start.
    if !round.is_whole() {
        return;
    }
    for metrics in OF_BROKER.chunk_by(|a, b| a.name == b.name) {
        let Some(first) = metrics.first() else { continue };
        let mut family = text.family(first.name, first.kind, first.help);
        for metric in metrics {
            let labels: Vec<(&str, &dyn std::fmt::Display)> =
                metric.labels.iter().map(|(name, label)| (*name, label as &dyn std::fmt::Display)).collect();
            family.sample(&labels, round.answered().map(|(_, core)| (metric.value)(core)).sum::<u64>());
        }
    }
    let name = "kafka_log_logcleanermanager_uncleanable_partitions_count";
    let uncleanable: u64 = round.answered().map(|(_, core)| core.shard.partitions_uncleanable).sum();
    text.family(name, Gauge, "Partitions that compaction leaves as they are.")
        .sample(&[("logDirectory", &data_dir)], uncleanable);
    let name = "kafka_network_requestmetrics_totaltimems";
    let mut family = text.family(name, Gauge, "Time of requests since the start, milliseconds, as quantiles.");
    for (request, class) in [("Produce", Class::Produce), ("FetchConsumer", Class::Fetch)] {
        let Some(times) = together(round, class, Stage::Total) else { continue };
        for (label, quantile) in QUANTILES {
            let ms = times.quantile_nanos(quantile) as f64 / 1e6;
            family.sample(&[("request", &request), ("quantile", &label)], ms);
        }
    }
    let name = "kafka_network_requestmetrics_requests_total";
    let mut family = text.family(name, Counter, "Requests by API.");
    for api in round.answered().next().map_or(&[][..], |(_, core)| &core.server.requests) {
        let count: u64 = round.answered().map(|(_, core)| requests(core, api.0)).sum();
        if count > 0 {
            family.sample(&[("request", &api.0)], count);
        }
    }
}

fn requests(core: &CoreReport, api: &str) -> u64 {
    core.server.requests.iter().find(|(name, _)| *name == api).map_or(0, |(_, count)| *count)
}
