//! Kafka's broker settings that have no meaning here, each with the reason. One table, the first row that fits counts.
//!
//! Invariant: a setting that is one of ours is never looked up here.

const ONE_BROKER: &str = "there is one broker: none talks to another, and nothing is replicated";
const NO_QUORUM: &str = "there is no controller: the broker keeps its own catalog in the data directory";
const THREADS: &str = "one thread for each core does network and disk alike: set `cores` or `shards`";
const NO_SECURITY: &str =
    "there is no encryption and no authentication yet: keep the broker on a network that you trust";
const GROUPS: &str = "consumer groups have no setting for this here";
const TRANSACTIONS: &str = "transactions have no setting for this here";
const NO_SHARE: &str = "share groups and streams groups are not there";
const NO_TIERS: &str = "there is no tiered storage";
const NO_CLASSES: &str = "there are no plug-ins: Kafka's are Java classes";
const NO_QUOTAS: &str = "there are no quotas";
const BY_ITSELF: &str = "the broker does this by itself";

/// Beginnings of names, the more particular ones first, and why a setting of this name is left out.
const REASONS: &[(&str, &str)] = &[
    ("process.roles", "one process is broker and controller"),
    ("zookeeper.", "there is no ZooKeeper: the catalog is in the data directory"),
    ("controller.quota.", NO_QUOTAS),
    ("controller.", NO_QUORUM),
    ("controlled.shutdown.", ONE_BROKER),
    ("metadata.log.dir", "everything is below `data_dir`"),
    ("metadata.", NO_QUORUM),
    ("internal.metadata.", NO_QUORUM),
    ("inter.broker.protocol.version", "there is one format, the newest"),
    ("log.message.format.version", "there is one format, the newest"),
    ("log.message.timestamp.difference.max.ms", "set log.message.timestamp.before.max.ms and …after.max.ms"),
    ("inter.broker.", ONE_BROKER),
    ("security.inter.broker.", ONE_BROKER),
    ("replica.", ONE_BROKER),
    ("replication.quota.", ONE_BROKER),
    ("num.replica.", ONE_BROKER),
    ("alter.log.dirs.", ONE_BROKER),
    ("auto.leader.", ONE_BROKER),
    ("leader.imbalance.", ONE_BROKER),
    ("unclean.leader.election.interval.ms", ONE_BROKER),
    ("follower.", ONE_BROKER),
    ("broker.heartbeat.", ONE_BROKER),
    ("broker.session.", ONE_BROKER),
    ("broker.id.generation.enable", "set `node.id`"),
    ("reserved.broker.max.id", "set `node.id`"),
    ("initial.broker.registration.", ONE_BROKER),
    ("num.network.threads", THREADS),
    ("num.io.threads", THREADS),
    ("background.threads", THREADS),
    ("num.recovery.threads.per.data.dir", "each shard recovers its own partitions, and no segment is scanned"),
    ("queued.max.", "requests that wait are bounded by `memory`"),
    ("socket.send.buffer.bytes", "the kernel sizes socket buffers by itself"),
    ("socket.receive.buffer.bytes", "the kernel sizes socket buffers by itself"),
    ("socket.connection.setup.", ONE_BROKER),
    ("listener.security.protocol.map", "every listener is PLAINTEXT: there is no encryption yet"),
    ("listener.name.", "a listener has no settings of its own"),
    ("early.start.listeners", NO_QUORUM),
    ("ssl.", NO_SECURITY),
    ("sasl.", NO_SECURITY),
    ("security.", NO_SECURITY),
    ("principal.builder.", NO_SECURITY),
    ("authorizer.", NO_SECURITY),
    ("super.users", NO_SECURITY),
    ("allow.everyone.if.no.acl.found", NO_SECURITY),
    ("delegation.token.", NO_SECURITY),
    ("connection.failed.authentication.", NO_SECURITY),
    ("connections.max.reauth.ms", NO_SECURITY),
    ("offset", GROUPS),
    ("group.share.", NO_SHARE),
    ("group.streams.", NO_SHARE),
    ("share.", NO_SHARE),
    ("group.", GROUPS),
    ("transaction", TRANSACTIONS),
    ("add.partitions.to.txn.", TRANSACTIONS),
    ("producer.id.expiration.check.", BY_ITSELF),
    ("remote.", NO_TIERS),
    ("log.cleaner.", "each core compacts its own logs, with one buffer"),
    ("log.flush.offset.checkpoint.", "every commit is a checkpoint of its own: the journal knows what is synced"),
    ("log.flush.start.offset.checkpoint.", "every commit is a checkpoint of its own: the journal knows what is synced"),
    ("log.dir.failure.timeout.ms", "a failed write or sync stops the broker at once"),
    ("log.initial.task.delay.ms", BY_ITSELF),
    ("cordoned.log.dirs", "there is one data directory"),
    ("fetch.purgatory.", BY_ITSELF),
    ("producer.purgatory.", BY_ITSELF),
    ("delete.records.purgatory.", BY_ITSELF),
    ("create.topic.policy.", NO_CLASSES),
    ("alter.config.policy.", NO_CLASSES),
    ("config.providers", "write the value itself, or set it in the environment"),
    ("metric", NO_CLASSES),
    ("kafka.metrics.", NO_CLASSES),
    ("auto.include.jmx.reporter", NO_CLASSES),
    ("telemetry.", "clients' metrics are not taken"),
    ("client.quota.", NO_QUOTAS),
    ("quota.", NO_QUOTAS),
    ("max.connection.creation.rate", "there is no such limit; max.connections and its kin are there"),
    ("request.timeout.ms", ONE_BROKER),
    ("server.max.startup.", NO_QUORUM),
    ("unstable.", "there are no unstable versions and features"),
    ("broker.rack.", ONE_BROKER),
    ("confluent.", "it belongs to Confluent's distribution of Kafka"),
];

/// Why a setting of Kafka's is left out; `None`: no setting of this name is known.
pub fn reason(name: &str) -> Option<&'static str> {
    REASONS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn every_row_can_be_reached_and_none_stands_for_a_key_of_ours() {
        for (at, (prefix, _)) in REASONS.iter().enumerate() {
            let hidden = REASONS[..at].iter().find(|(earlier, _)| prefix.starts_with(earlier));
            assert!(hidden.is_none(), "{prefix} is hidden by {hidden:?}");
            assert!(keys::find(prefix).is_none(), "{prefix} is a key of ours");
        }
    }
}
