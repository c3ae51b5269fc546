//! Our own metrics, `corelog_…`. Times are seconds and sizes bytes, as Prometheus wants.

use std::fmt::Display;

use super::Kind::{self, Counter, Gauge, Histogram};
use super::text::Text;
use crate::http::collect::Round;
use crate::http::report::CoreReport;

/// One number of each shard.
struct OfShard {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    value: fn(&CoreReport) -> u64,
}

const fn of_shard(name: &'static str, kind: Kind, help: &'static str, value: fn(&CoreReport) -> u64) -> OfShard {
    OfShard { name, kind, help, value }
}

#[rustfmt::skip]
const OF_SHARDS: &[OfShard] = &[
    of_shard("corelog_connections", Gauge, "Connections of Kafka clients.", |c| c.server.connections),
    of_shard("corelog_received_bytes_total", Counter, "Bytes of requests.", |c| c.server.received_bytes),
    of_shard("corelog_sent_bytes_total", Counter, "Bytes of replies.", |c| c.server.sent_bytes),
    of_shard("corelog_request_memory_bytes", Gauge, "Memory for requests and replies.", |c| c.server.memory_bytes),
    of_shard("corelog_request_memory_used_bytes", Gauge, "Memory that is lent to requests and replies; they may hold less.", |c| c.server.memory_used_bytes),
    of_shard("corelog_appended_batches_total", Counter, "Record batches appended.", |c| c.shard.counters.appended_batches),
    of_shard("corelog_appended_records_total", Counter, "Records appended.", |c| c.shard.counters.appended_records),
    of_shard("corelog_appended_bytes_total", Counter, "Bytes of record batches appended.", |c| c.shard.counters.appended_bytes),
    of_shard("corelog_read_memory_bytes_total", Counter, "Bytes of record batches read from memory.", |c| c.shard.counters.read_memory_bytes),
    of_shard("corelog_read_disk_bytes_total", Counter, "Bytes of record batches read from the disk.", |c| c.shard.counters.read_disk_bytes),
    of_shard("corelog_commits_total", Counter, "Group commits of the journal.", |c| c.shard.counters.commits),
    of_shard("corelog_journal_written_bytes_total", Counter, "Bytes written to the journal, with padding.", |c| c.shard.counters.commit_bytes),
    of_shard("corelog_journal_turns_total", Counter, "Times that journal files were made free again.", |c| c.shard.counters.turns),
    of_shard("corelog_segment_written_bytes_total", Counter, "Bytes written to segments.", |c| c.shard.counters.segment_bytes),
    of_shard("corelog_compaction_read_bytes_total", Counter, "Bytes that compaction read.", |c| c.shard.counters.compaction_read_bytes),
    of_shard("corelog_compaction_written_bytes_total", Counter, "Bytes that compaction wrote.", |c| c.shard.counters.compaction_written_bytes),
    of_shard("corelog_partitions", Gauge, "Partitions.", |c| c.shard.partitions),
    of_shard("corelog_partitions_offline", Gauge, "Partitions out of service because of damage.", |c| c.shard.partitions_offline),
    of_shard("corelog_partitions_uncleanable", Gauge, "Partitions that compaction leaves as they are: it met a batch that does not decode.", |c| c.shard.partitions_uncleanable),
    of_shard("corelog_producer_ids", Gauge, "Idempotent producers that are known, one for each partition that a producer wrote to.", |c| c.shard.producers),
    of_shard("corelog_producer_ids_max", Gauge, "The most of them (`producer.ids.max`); one more is refused.", |c| c.shard.producers_max),
    of_shard("corelog_groups", Gauge, "Groups.", |c| c.shard.groups),
    of_shard("corelog_group_memory_bytes", Gauge, "What groups hold in memory, about.", |c| c.shard.group_bytes),
    of_shard("corelog_group_coordinators_failed", Gauge, "Partitions of stored offsets that cannot be read: their groups are out of service.", |c| c.shard.coordinators_failed),
    of_shard("corelog_appends_waiting", Gauge, "Appends that wait for room in journal or window.", |c| c.shard.appends_waiting),
    of_shard("corelog_fetches_parked", Gauge, "Fetches that wait for records.", |c| c.shard.fetches_parked),
    of_shard("corelog_disk_reads_queued", Gauge, "Reads that wait for the disk.", |c| c.shard.disk_reads_queued),
    of_shard("corelog_journal_bytes", Gauge, "Size of the journal's files.", |c| c.shard.journal_bytes),
    of_shard("corelog_journal_files", Gauge, "Files of the journal.", |c| c.shard.journal_files),
    of_shard("corelog_journal_used_percent", Gauge, "Files of the journal that are in use, of 100.", |c| c.shard.journal_used_percent),
    of_shard("corelog_write_window_bytes", Gauge, "Memory of records that are in the journal and not yet in segments.", |c| c.shard.window_bytes),
    of_shard("corelog_read_cache_bytes", Gauge, "Memory of records kept for readers.", |c| c.shard.cache_bytes),
    of_shard("corelog_disk_full", Gauge, "1: appends are refused until there is space on the disk.", |c| u64::from(c.shard.disk_full)),
];

/// Upper ends of the buckets, nanoseconds: three to a decade, from 1 µs to 10 s.
const BUCKETS_NANOS: [u64; 22] = [
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

pub fn write(text: &mut Text, round: &Round, ready: bool, data_dir: &str) {
    let version = env!("CARGO_PKG_VERSION");
    text.family("corelog_build_info", Gauge, "Always 1; the label has the version.")
        .sample(&[("version", &version)], 1);
    text.family("corelog_ready", Gauge, "1: clients may come, as /readyz says.").sample(&[], u8::from(ready));
    let mut answers = text.family("corelog_shard_answers", Gauge, "1: the shard answered when it was asked.");
    for (shard, core) in round.cores.iter().enumerate() {
        answers.sample(&[("shard", &shard)], u8::from(core.is_some()));
    }
    if let Some((total, free)) = space(data_dir) {
        text.family("corelog_disk_bytes", Gauge, "Size of the file system of the data directory.").sample(&[], total);
        text.family("corelog_disk_free_bytes", Gauge, "What is free of it for the broker.").sample(&[], free);
    }
    for metric in OF_SHARDS {
        let mut family = text.family(metric.name, metric.kind, metric.help);
        for (shard, core) in round.answered() {
            family.sample(&[("shard", &shard)], (metric.value)(core));
        }
    }
    let mut requests = text.family("corelog_requests_total", Counter, "Requests of Kafka clients, by API.");
    for (shard, core) in round.answered() {
        for (api, count) in core.server.requests.iter().filter(|(_, count)| *count > 0) {
            requests.sample(&[("shard", &shard), ("api", api)], count);
        }
    }
    stages(text, round);
}

fn stages(text: &mut Text, round: &Round) {
    let help = "Time that requests spent in each stage, by kind of request; `total` is all of it. `core` is no request but the \
                core itself: messages from other cores, operations of its journal. /v1/stages has the quantiles.";
    let mut family = text.family("corelog_stage_seconds", Histogram, help);
    for (shard, core) in round.answered() {
        for (class, stage, times) in &core.times {
            let (class, stage) = (class.name(), stage.name());
            let labels: [(&str, &dyn Display); 3] = [("shard", &shard), ("request", &class), ("stage", &stage)];
            let [of_shard, of_class, of_stage] = labels;
            for (bound, count) in BUCKETS_NANOS.iter().zip(times.within(&BUCKETS_NANOS)) {
                family.suffixed("_bucket", &[of_shard, of_class, of_stage, ("le", &seconds(*bound))], count);
            }
            family.suffixed("_bucket", &[of_shard, of_class, of_stage, ("le", &"+Inf")], times.count());
            family.suffixed("_sum", &labels, seconds(times.sum_nanos()));
            family.suffixed("_count", &labels, times.count());
        }
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// Bytes of the file system under a path, and those that are left for us.
fn space(path: &str) -> Option<(u64, u64)> {
    let told = rustix::fs::statvfs(path).ok()?;
    Some((told.f_blocks.saturating_mul(told.f_frsize), told.f_bavail.saturating_mul(told.f_frsize)))
}

#[cfg(test)]
mod tests {
    use shards::router::{Class, Stage};

    use super::*;
    use crate::http::report::tests::noted;

    #[test]
    fn buckets_ascend_and_count_what_is_within_them() {
        assert!(BUCKETS_NANOS.windows(2).all(|pair| pair[0] < pair[1]));
        let core = noted(Class::Produce, Stage::Sync, &[3, 30, 30]);
        let mut text = Text::default();
        stages(&mut text, &Round { cores: vec![Some(core)] });
        let page = text.finish();
        for line in [
            "corelog_stage_seconds_bucket{shard=\"0\",request=\"produce\",stage=\"sync\",le=\"0.000002\"} 0",
            "corelog_stage_seconds_bucket{shard=\"0\",request=\"produce\",stage=\"sync\",le=\"0.000005\"} 1",
            "corelog_stage_seconds_bucket{shard=\"0\",request=\"produce\",stage=\"sync\",le=\"0.00005\"} 3",
            "corelog_stage_seconds_bucket{shard=\"0\",request=\"produce\",stage=\"sync\",le=\"+Inf\"} 3",
            "corelog_stage_seconds_sum{shard=\"0\",request=\"produce\",stage=\"sync\"} 0.000063",
        ] {
            assert!(page.lines().any(|told| told == line), "{line} is missing: {page}");
        }
    }
}
