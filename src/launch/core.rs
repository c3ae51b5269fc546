//! One core's life, for any runtime: shard, listeners, wait for the stop, drain, last turn.
//!
//! Invariant: every core drains before any core closes its shard, so that a request split over cores gets all answers.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use shards::router::{Class, PartitionLoad, Shards, Slot, Stage};
use shards::runtime::Runtime;
use shards::shard::start::{self, ShardPlan, StartError};

use super::busiest::busiest;
use crate::http::{Ask, BEAT_EVERY, BUSIEST_TOLD_MAX, Busiest, CoreReport, Pulse};
use crate::listen::{self, ListenError, Server, ServerPlan};

/// How long replies may take to leave after the stop was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    #[error(transparent)]
    Shard(#[from] StartError),
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What a core tells whoever started it, and is told.
pub struct Lifecycle {
    /// Addresses that the core listens on, or why it cannot.
    pub ready: flume::Sender<Result<Vec<SocketAddr>, CoreError>>,
    /// Anything, or its end: stop.
    pub stop: flume::Receiver<()>,
    pub drained: flume::Sender<()>,
    /// Every core has drained.
    pub close: flume::Receiver<()>,
    /// Told once, before the shard is closed: how many partitions that has to write into segments. Dropped at the core's end.
    pub to_write: flume::Sender<usize>,
    /// Asks for the report of this core.
    pub asks: flume::Receiver<Ask>,
}

/// What a core has to say at its end.
#[derive(Debug, Default)]
pub struct CoreSummary {
    /// All its data is in segments but for the last, partial block of each partition: the next start replays no more.
    pub clean: bool,
    pub stages: String,
}

/// All that one core needs.
pub struct CorePlan {
    pub shard: ShardPlan,
    pub server: ServerPlan,
    pub lifecycle: Lifecycle,
}

/// Runs one core until it is told to stop.
pub async fn run<R: Runtime>(rt: R, plan: CorePlan) -> CoreSummary {
    let CorePlan { shard, server, lifecycle } = plan;
    let started = match start::start(rt.clone(), shard).await {
        Ok(started) => started,
        Err(error) => {
            // Nobody listening means that another core failed first.
            let _ = lifecycle.ready.send_async(Err(error.into())).await;
            return CoreSummary::default();
        }
    };
    let server = match listen::start(rt.clone(), started.shards.clone(), server).await {
        Ok(server) => server,
        Err(error) => {
            let _ = lifecycle.ready.send_async(Err(error.into())).await;
            started.shard.stop().await;
            return CoreSummary::default();
        }
    };
    let _ = lifecycle.ready.send_async(Ok(server.addresses())).await;
    rt.spawn(tell_reports(rt.clone(), started.shards.clone(), server.clone(), lifecycle.asks));
    // An error means that the sender has gone, which says the same.
    let _ = lifecycle.stop.recv_async().await;

    server.stop();
    started.shards.stop_waiting();
    server.drained(rt.now().after(DRAIN_MAX)).await;
    let _ = lifecycle.drained.send_async(()).await;
    let _ = lifecycle.close.recv_async().await;
    let _ = lifecycle.to_write.send_async(started.shard.partitions_to_write()).await;
    let clean = started.shard.stop().await;
    for postbox in &started.postboxes {
        postbox.close();
    }
    CoreSummary { clean, stages: report(&rt, &started.shards, &server).await.table() }
}

/// Gives signs of life until its executor ends.
pub async fn beat<R: Runtime>(rt: R, pulse: Pulse) {
    loop {
        pulse.beat();
        rt.sleep_until(rt.now().after(BEAT_EVERY)).await;
    }
}

/// Says how this core is, to whoever asks.
async fn tell_reports<R: Runtime>(rt: R, shards: Shards, server: Rc<Server<R>>, asks: flume::Receiver<Ask>) {
    while let Ok(ask) = asks.recv_async().await {
        // Gone meanwhile: nobody reads it.
        match ask {
            Ask::Report(asker) => drop(asker.try_send(report(&rt, &shards, &server).await)),
            Ask::Busiest(asker) => drop(asker.try_send(busiest_of(&rt, &shards, &server).await)),
        }
    }
}

async fn busiest_of<R: Runtime>(rt: &R, shards: &Shards, server: &Server<R>) -> Busiest {
    let next = |from, places| shards.loads_here(from, places);
    let moved = |load: &PartitionLoad| load.traffic.appended_bytes + load.traffic.read_bytes;
    let partitions = busiest(rt, BUSIEST_TOLD_MAX, Slot::FIRST, next, moved).await;
    let next = |from, places| server.loads(from, places);
    let clients = busiest(rt, BUSIEST_TOLD_MAX, 0, next, |load| load.received_bytes + load.sent_bytes).await;
    Busiest { partitions, clients }
}

/// Copies a stage at a time and lets requests pass between them.
async fn report<R: Runtime>(rt: &R, shards: &Shards, server: &Server<R>) -> CoreReport {
    let mut times = Vec::new();
    for (class, stage) in Class::ALL.into_iter().flat_map(|class| Stage::ALL.map(|stage| (class, stage))) {
        if let Some(noted) = shards.times_here(class, stage) {
            times.push((class, stage, noted));
            rt.quantum().await;
        }
    }
    CoreReport { shard: shards.report_here(), server: server.report(), times }
}
