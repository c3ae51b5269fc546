//! What must be there before a run starts: the topic, producers' identities and every connection. The caller's thread.

use std::collections::BTreeMap;

use shards::batch::{Compression, HEADER_BYTES};

use super::clock::NANOS_PER_SECOND;
use super::error::BenchError;
use super::keys::Keys;
use super::pace::{Arrivals, Pace};
use super::payload::Payload;
use super::pipe::Pipe;
use super::plan::{Load, Plan};
use super::random::Random;
use super::reader::Inlet;
use super::sender::{Outlet, Sender};
use super::sizes::Sizes;
use super::writer::Writer;
use crate::client::{ClientError, Cluster, OffsetAt, create_topic, offset_at, producer_identity, topic_configs};

pub const CLIENT_ID: &str = "corelog-bench";
/// Of a topic: most bytes of one batch.
const BATCH_BYTES_MAX: &str = "max.message.bytes";

/// The topic as the run found it.
pub struct Setup {
    cluster: Cluster,
    /// Address of each leader, and its partitions.
    leaders: Vec<(String, Vec<i32>)>,
    /// Where the run's records begin in each partition.
    ends: BTreeMap<i32, i64>,
}

impl Setup {
    /// Makes the topic if it is not there.
    pub fn new(plan: &Plan) -> Result<Setup, BenchError> {
        let mut cluster = Cluster::connect(&plan.bootstrap, CLIENT_ID)?;
        let has = match cluster.topic(&plan.topic, false) {
            Ok(info) => info.partitions.len(),
            Err(ClientError::NoTopic { .. }) => {
                let partitions = i32::try_from(plan.partitions).unwrap_or(i32::MAX);
                create_topic(&mut cluster, &plan.topic, partitions, -1, &[])?;
                // Another broker of the cluster may not know it yet.
                cluster.topic(&plan.topic, true)?.partitions.len()
            }
            Err(e) => return Err(e.into()),
        };
        if u32::try_from(has) != Ok(plan.partitions) {
            return Err(BenchError::Shape { topic: plan.topic.clone(), has, wants: plan.partitions });
        }
        check_size(plan, batch_bytes_max(&mut cluster, &plan.topic)?).map_err(BenchError::Plan)?;
        let all: Vec<i32> = (0..i32::try_from(has).unwrap_or(i32::MAX)).collect();
        let by_leader = cluster.retrying(|cluster| cluster.leaders(&plan.topic, &all))?;
        let mut leaders = Vec::new();
        for (leader, partitions) in by_leader {
            let info = cluster.brokers().iter().find(|broker| broker.id == leader);
            let partition = partitions.first().copied().unwrap_or_default();
            let info = info.ok_or_else(|| ClientError::NoLeader { topic: plan.topic.clone(), partition })?;
            leaders.push((info.address(), partitions));
        }
        let mut ends = BTreeMap::new();
        for partition in all {
            ends.insert(partition, offset_at(&mut cluster, &plan.topic, partition, OffsetAt::End)?.unwrap_or(0));
        }
        Ok(Setup { cluster, leaders, ends })
    }

    /// The id that the broker gives its cluster, if it gives one.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster.id()
    }

    /// A producing client, connected to every leader.
    pub fn sender(&mut self, plan: &Plan, id: u32) -> Result<Sender, BenchError> {
        let identity = producer_identity(&mut self.cluster)?;
        let mut outlets = Vec::new();
        for (address, partitions) in &self.leaders {
            let partitions = partitions.iter().filter_map(|&partition| usize::try_from(partition).ok()).collect();
            outlets.push(Outlet::new(Pipe::open(address, CLIENT_ID)?, partitions));
        }
        Ok(Sender::new(id, identity, outlets, plan.partitions as usize))
    }

    /// The writers, with the clients dealt out among them.
    pub fn writers(&mut self, plan: &Plan, run: u32) -> Result<Vec<Writer>, BenchError> {
        let mut senders: Vec<Vec<Sender>> =
            (0..plan.threads.clamp(1, plan.clients.max(1))).map(|_| Vec::new()).collect();
        let threads = senders.len();
        for id in 0..plan.clients {
            let sender = self.sender(plan, id)?;
            if let Some(own) = senders.get_mut(id as usize % threads) {
                own.push(sender);
            }
        }
        let random = |number: usize| Random::new(u64::from(run) + number as u64);
        let partitions = i32::try_from(plan.partitions).unwrap_or(i32::MAX);
        let keys = plan.keys.map(|range| Keys::new(range, partitions, random(0)));
        let writer = |(number, senders): (usize, Vec<Sender>)| Writer {
            senders,
            payload: Payload::new(plan.sizes, plan.compressibility, random(number)),
            keys: keys.as_ref().map(|keys| keys.another(random(number))),
        };
        Ok(senders.into_iter().enumerate().map(writer).collect())
    }

    /// Connections to read what this run writes.
    pub fn inlets(&self) -> Result<Vec<Inlet>, BenchError> {
        let mut inlets = Vec::new();
        for (address, partitions) in &self.leaders {
            let from = |&partition: &i32| (partition, self.ends.get(&partition).copied().unwrap_or(0));
            let positions = partitions.iter().map(from).collect();
            inlets.push(Inlet { pipe: Pipe::open(address, CLIENT_ID)?, positions });
        }
        Ok(inlets)
    }
}

/// What a topic takes in one batch; `None`: the broker does not tell, and will say of records that are too large that they are.
fn batch_bytes_max(cluster: &mut Cluster, topic: &str) -> Result<Option<usize>, ClientError> {
    match topic_configs(cluster, topic, &[BATCH_BYTES_MAX.to_owned()], false) {
        Ok(told) => {
            let entry = told.into_iter().find(|entry| entry.name == BATCH_BYTES_MAX);
            Ok(entry.and_then(|entry| entry.value?.parse().ok()))
        }
        Err(ClientError::Refused { .. } | ClientError::NotServed { .. } | ClientError::NoCommonVersion { .. }) => {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Whether the topic takes the plan's records one by one: otherwise the first of them would end the run.
fn check_size(plan: &Plan, batch_bytes_max: Option<usize>) -> Result<(), String> {
    let Some(most) = batch_bytes_max else { return Ok(()) };
    let bytes = match plan.sizes {
        Sizes::Fixed(_) | Sizes::Even(..) => plan.sizes.most(),
        // Those that are much longer are so rare that there may be none.
        Sizes::Varied(mean) => mean,
    };
    // A codec may make it small enough; the broker will say.
    if plan.codec != Compression::None || bytes.saturating_add(HEADER_BYTES) <= most {
        return Ok(());
    }
    Err(format!(
        "--record-size {}: topic \"{}\" takes batches of {most} bytes at most; ask for less, or raise its {BATCH_BYTES_MAX} with \
         `corelog topic config set`",
        plan.sizes.text(),
        plan.topic
    ))
}

/// When the records of one of several threads are due; `None`: when acks come.
pub fn pace(plan: &Plan, number: usize, threads: usize, start_ns: u64, run: u32) -> Option<Pace> {
    let Load::Rate(rate) = plan.load else { return None };
    // The threads take turns, with bursts as with single records.
    let turn = match plan.arrivals {
        Arrivals::Bursts(of) => f64::from(of),
        Arrivals::Constant | Arrivals::Poisson => 1.0,
    };
    let shift = NANOS_PER_SECOND as f64 / rate * turn * number as f64;
    let random = Random::new(u64::from(run) ^ ((number as u64) << 32));
    Some(Pace::new(plan.arrivals, rate / threads as f64, start_ns + shift as u64, random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::tests::plan;

    /// When the first so many records of all threads are due, in microseconds.
    fn dues_us(arrivals: Arrivals, threads: usize, records: usize) -> Vec<u64> {
        let plan = Plan { arrivals, load: Load::Rate(1000.0), ..plan() };
        let mut dues = Vec::new();
        for number in 0..threads {
            let mut pace = pace(&plan, number, threads, 0, 1).expect("a rate");
            for _ in 0..records {
                dues.push((pace.next_ns() + 500) / 1000);
                pace.advance();
            }
        }
        dues.sort_unstable();
        dues.truncate(records);
        dues
    }

    #[test]
    fn records_that_no_batch_of_the_topic_may_hold_are_refused_before_the_run() {
        let refused = |sizes: Sizes, codec: Compression, most: Option<usize>| {
            check_size(&Plan { sizes, codec, ..plan() }, most).err()
        };
        let none = Compression::None;
        for sizes in [Sizes::Fixed(1_000_000), Sizes::Even(100, 1_000_000), Sizes::Varied(1_000_000)] {
            let why = refused(sizes, none, Some(1_000_000)).expect("with its batch's header it is too large");
            assert!(why.contains("takes batches of 1000000 bytes at most"), "{why}");
            assert_eq!(refused(sizes, none, Some(1_000_000 + HEADER_BYTES)), None);
            assert_eq!(refused(sizes, Compression::Zstd, Some(1_000_000)), None, "it may become small enough");
            assert_eq!(refused(sizes, none, None), None, "the broker does not tell");
        }
        assert_eq!(refused(Sizes::Varied(100_000), none, Some(1_000_000)), None, "hardly any is ten times as long");
    }

    #[test]
    fn bursts_and_single_records_come_as_from_one_thread_however_many_there_are() {
        for arrivals in [Arrivals::Constant, Arrivals::Bursts(50)] {
            let one = dues_us(arrivals, 1, 600);
            for threads in [2, 3] {
                assert_eq!(dues_us(arrivals, threads, 600), one, "{arrivals:?} of {threads}");
            }
        }
    }
}
