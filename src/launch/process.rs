//! Starts the cores of a real process on io_uring, waits for a signal, and stops them in order.
//!
//! Invariant: the first failed write or sync ends the process without another word to any client (R16).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::thread::disable_transparent_huge_pages;
use shards::catalog::{CatalogSettings, Endpoint};
use shards::runtime::Runtime as _;
use shards::runtime::uring::{Executor, LaunchError as UringError, UringConfig, UringRuntime, launch};
use shards::shard::fence::Fence;
use shards::shard::settings::ShardSettings;
use shards::shard::start;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use super::core::{self, CoreError, CorePlan, CoreSummary, Lifecycle};
use super::meta::DataDir;
use super::preflight::{self, PreflightError};
use super::{log, memory};
use crate::http::{self, Ask, HttpError, HttpPlan, LogLevel, Progress, Pulse};
use crate::listen::ServerPlan;

/// Exit status after a failed write or sync.
const EXIT_FENCED: i32 = 74;
/// Exit status when a second signal cuts the stop short.
const EXIT_FORCED: i32 = 130;

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error(transparent)]
    Executor(#[from] UringError),
    #[error(transparent)]
    Core(#[from] CoreError),
    #[error(
        "signals cannot be caught: {0}; the process has no memory or descriptors left: raise `ulimit -n`, then start again"
    )]
    Signals(std::io::Error),
    #[error(transparent)]
    Preflight(#[from] PreflightError),
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Whoever started it ends the process: its cores are in the middle of their start.
    #[error("stopped while it started: the next start does the same again")]
    CutShort { signal: i32 },
}

/// What a process is made of.
pub struct ProcessPlan {
    pub data: DataDir,
    pub shard: ShardSettings,
    pub catalog: CatalogSettings,
    /// What the metadata log says of our listeners.
    pub endpoints: Vec<Endpoint>,
    /// One for each shard: the CPU it is pinned to, if any.
    pub cpus: Vec<Option<usize>>,
    pub spin: Duration,
    pub io_memory_bytes: usize,
    /// Makes the server of one shard.
    pub server: Box<dyn Fn(u32) -> ServerPlan>,
    /// Addresses that must not be shared with another broker.
    pub listen: Vec<SocketAddr>,
    /// `None`: no HTTP.
    pub http: Option<HttpPlan>,
}

/// Where a process can be reached.
#[derive(Debug)]
pub struct Reached {
    /// By Kafka's clients.
    pub addresses: Vec<SocketAddr>,
    pub http: Option<SocketAddr>,
}

/// What a whole run has to say at its end.
#[derive(Debug)]
pub struct Summary {
    pub ran_for: Duration,
    pub clean: bool,
    pub cores: Vec<CoreSummary>,
}

enum Event {
    Signal(i32),
}

/// Runs the broker until SIGTERM, SIGINT or SIGHUP. `ready` is called once clients may connect.
pub fn run(plan: ProcessPlan, level: LogLevel, ready: impl FnOnce(&Reached)) -> Result<Summary, LaunchError> {
    let started = Instant::now();
    // The kernel clears a page of 2 MiB in one go, on the way of a request: the slowest acks at 5,000 records/s took
    // two to three times as long.
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as the machine has them");
    }
    let _locks = plan.listen.iter().map(|addr| preflight::take_address(*addr)).collect::<Result<Vec<_>, _>>()?;
    let (events_tx, events) = flume::unbounded();
    listen_to_signals(events_tx)?;
    let fence = fence();
    // One channel for all cores: when one of them cannot start, the others wait for it and say nothing.
    let (ready_tx, readies) = flume::bounded(plan.cpus.len());
    let (executors, controls) = spawn_cores(&plan, &fence, &ready_tx)?;
    drop(ready_tx);
    // Before the shards have recovered: /readyz says what they do.
    let progress = Progress::default();
    let http = serve_http(plan.http, &controls, level, progress.clone())?;

    let mut addresses = Vec::new();
    for _ in &controls {
        let told = match wait_for_core(&readies, &events) {
            Ok(told) => told,
            Err(cut_short) => {
                // The cores go on until the process has ended: nobody else may take their directory before.
                std::mem::forget(plan.data);
                return Err(cut_short);
            }
        };
        match told {
            Some(Ok(found)) if addresses.is_empty() => addresses = found,
            Some(Ok(_)) => {}
            Some(Err(CoreError::Shard(start::StartError::OtherCore))) => {}
            Some(Err(error)) => {
                leave_it_to_the_fence(&fence);
                return Err(error.into());
            }
            // Another core's error says why.
            None => {}
        }
    }
    progress.started();
    ready(&Reached { addresses, http });
    wait_for_stop(&events, &controls, &plan.data, &fence);
    progress.stopping();

    std::thread::spawn(move || force_on_second_signal(&events));
    for control in &controls {
        // A core that has gone needs no word.
        let _ = control.stop.send(());
    }
    for control in &controls {
        let _ = control.drained.recv();
    }
    for control in &controls {
        let _ = control.close.send(());
    }
    if let Some(partitions) = long_stop(&controls) {
        let plural = if partitions == 1 { "" } else { "s" };
        log::tell(&format!(
            "corelog: stopping: {partitions} partition{plural} to write into segments; a second SIGTERM leaves that to the next start"
        ));
    }
    let cores: Vec<CoreSummary> = executors.into_iter().map(Executor::join).collect();
    leave_it_to_the_fence(&fence);
    let clean = cores.iter().all(|core| core.clean);
    Ok(Summary { ran_for: started.elapsed(), clean, cores })
}

/// The other ends of a core's lifecycle.
struct Control {
    stop: flume::Sender<()>,
    drained: flume::Receiver<()>,
    close: flume::Sender<()>,
    to_write: flume::Receiver<usize>,
    asks: flume::Sender<Ask>,
    pulse: Pulse,
}

fn spawn_cores(
    plan: &ProcessPlan,
    fence: &Arc<Fence>,
    ready: &flume::Sender<Result<Vec<SocketAddr>, CoreError>>,
) -> Result<(Vec<Executor<CoreSummary>>, Vec<Control>), LaunchError> {
    let mut executors = Vec::new();
    let mut controls = Vec::new();
    let shards = start::plans(plan.shard.shards, &plan.shard, &plan.catalog, &plan.endpoints, fence);
    for (shard, cpu) in shards.into_iter().zip(&plan.cpus) {
        let index = shard.index.0;
        let (lifecycle, control) = lifecycle(ready.clone());
        let core_plan = CorePlan { shard, server: (plan.server)(index), lifecycle };
        let config = UringConfig {
            name: format!("shard-{index}"),
            data_dir: plan.data.path.clone(),
            spin_before_park: plan.spin,
            io_memory_bytes: plan.io_memory_bytes,
        };
        let pulse = control.pulse.clone();
        let run = move |rt: UringRuntime| async move {
            rt.spawn(core::beat(rt.clone(), pulse));
            core::run(rt, core_plan).await
        };
        executors.push(launch(config, *cpu, run)?);
        controls.push(control);
    }
    Ok((executors, controls))
}

fn lifecycle(ready: flume::Sender<Result<Vec<SocketAddr>, CoreError>>) -> (Lifecycle, Control) {
    let (stop, stop_rx) = flume::bounded(1);
    let (drained_tx, drained) = flume::bounded(1);
    let (close, close_rx) = flume::bounded(1);
    let (to_write_tx, to_write) = flume::bounded(1);
    let (asks, asks_rx) = flume::bounded(1);
    let lifecycle =
        Lifecycle { ready, stop: stop_rx, drained: drained_tx, close: close_rx, to_write: to_write_tx, asks: asks_rx };
    (lifecycle, Control { stop, drained, close, to_write, asks, pulse: Pulse::default() })
}

/// A port that is taken ends the start only if it was asked for: several brokers on one machine have the same default.
fn serve_http(
    plan: Option<HttpPlan>,
    controls: &[Control],
    level: LogLevel,
    progress: Progress,
) -> Result<Option<SocketAddr>, HttpError> {
    let Some(plan) = plan else { return Ok(None) };
    let asked_for = plan.asked_for;
    let cores = controls.iter().map(|control| control.asks.clone()).collect();
    let pulses = controls.iter().map(|control| control.pulse.clone()).collect();
    match http::start(plan, cores, pulses, level, progress) {
        Ok(addr) => Ok(Some(addr)),
        Err(error @ HttpError::Address { .. }) if !asked_for => {
            tracing::warn!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn listen_to_signals(events: flume::Sender<Event>) -> Result<(), LaunchError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1]).map_err(LaunchError::Signals)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn fence() -> Arc<Fence> {
    let (told, reasons) = flume::bounded::<String>(1);
    std::thread::spawn(move || {
        if let Ok(why) = reasons.recv() {
            // No drain and no checkpoint: what the disk holds now is what there is.
            log::leave(&format!("corelog: {why}"), EXIT_FENCED);
        }
    });
    Arc::new(Fence::new(told))
}

/// Once it is tripped, its thread says why and ends the process: nobody else says anything, or ends it with another status.
fn leave_it_to_the_fence(fence: &Fence) {
    while fence.is_tripped() {
        std::thread::park();
    }
}

type Started = Result<Vec<SocketAddr>, CoreError>;

/// The next core's word; `None` if those that said nothing have gone. A signal ends the wait, and with it the process: a start may
/// be cut off anywhere, and the next one repeats it (R7).
fn wait_for_core(
    readies: &flume::Receiver<Started>,
    events: &flume::Receiver<Event>,
) -> Result<Option<Started>, LaunchError> {
    enum Told {
        Core(Option<Started>),
        Event(Option<Event>),
    }
    loop {
        let told = flume::Selector::new()
            .recv(readies, |core| Told::Core(core.ok()))
            .recv(events, |event| Told::Event(event.ok()))
            .wait();
        match told {
            Told::Core(core) => return Ok(core),
            Told::Event(Some(Event::Signal(SIGUSR1))) => log::tell("corelog: it is starting: there are no times yet"),
            Told::Event(Some(Event::Signal(signal))) => return Err(LaunchError::CutShort { signal }),
            // Nobody catches signals any more.
            Told::Event(None) => return Ok(readies.recv().ok()),
        }
    }
}

/// How often it is looked whether the data directory is in its place, and for memory that may go back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

fn wait_for_stop(events: &flume::Receiver<Event>, controls: &[Control], data: &DataDir, fence: &Fence) {
    loop {
        let event = events.recv_timeout(LOOK_EVERY);
        memory::give_back();
        if !data.is_in_place() {
            // A stop would write its checkpoints there.
            fence.trip(format!(
                "{}: the data directory was moved or replaced under the broker; put it back, then start again",
                data.path.display()
            ));
            leave_it_to_the_fence(fence);
        }
        match event {
            Ok(Event::Signal(SIGUSR1)) => print_stages(controls),
            Ok(Event::Signal(_)) | Err(flume::RecvTimeoutError::Disconnected) => return,
            Err(flume::RecvTimeoutError::Timeout) => {}
        }
    }
}

/// How long a core may take to tell its stages.
const STAGES_MAX: Duration = Duration::from_secs(5);

fn print_stages(controls: &[Control]) {
    for (index, control) in controls.iter().enumerate() {
        let (tx, rx) = flume::bounded(1);
        // A core that hangs is what one asks about, and must not keep the process from hearing of its end.
        match control.asks.try_send(Ask::Report(tx)).ok().and_then(|()| rx.recv_timeout(STAGES_MAX).ok()) {
            Some(report) => log::tell(&format!("shard {index}\n{}", report.table())),
            None => log::tell(&format!("shard {index} does not answer")),
        }
    }
}

/// A stop that takes longer says what it does.
const STOP_UNTOLD: Duration = Duration::from_secs(1);

/// Waits until all cores have ended, or not much longer: then how many partitions they have to write.
fn long_stop(controls: &[Control]) -> Option<usize> {
    let partitions: usize = controls.iter().filter_map(|control| control.to_write.recv().ok()).sum();
    if partitions == 0 {
        return None;
    }
    let until = Instant::now() + STOP_UNTOLD;
    // The other end goes with its core.
    let has_ended = |control: &Control| control.to_write.recv_deadline(until) != Err(flume::RecvTimeoutError::Timeout);
    (!controls.iter().all(has_ended)).then_some(partitions)
}

fn force_on_second_signal(events: &flume::Receiver<Event>) {
    while let Ok(event) = events.recv() {
        // Not SIGHUP: a terminal that is closed may send it twice.
        if matches!(event, Event::Signal(SIGTERM | SIGINT)) {
            let why = "corelog: stopped at once: what was acked is in the journal and is replayed at the next start";
            log::leave(why, EXIT_FORCED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stop_tells_what_it_has_to_write_if_that_takes_long_and_nothing_else() {
        let stop_of = |to_write: [usize; 2], has_ended: bool| {
            let (ready, _) = flume::bounded(1);
            let (cores, controls): (Vec<Lifecycle>, Vec<Control>) =
                to_write.map(|_| lifecycle(ready.clone())).into_iter().unzip();
            for (core, partitions) in cores.iter().zip(to_write) {
                core.to_write.send(partitions).expect("the process waits for it");
            }
            let going_on = (!has_ended).then_some(cores);
            let told = long_stop(&controls);
            drop(going_on);
            told
        };
        assert_eq!(stop_of([3, 4], false), Some(7));
        assert_eq!(stop_of([3, 4], true), None);
        assert_eq!(stop_of([0, 0], false), None);
    }

    #[test]
    fn a_port_for_http_that_is_taken_ends_only_a_start_that_asked_for_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = taken.local_addr().expect("its address");
        let serve = |asked_for| {
            let plan =
                HttpPlan { addr, asked_for, config: Arc::default(), cluster_id: "c".into(), data_dir: "/".into() };
            let (_, level) = LogLevel::filter(tracing::level_filters::LevelFilter::INFO);
            serve_http(Some(plan), &[], level, Progress::default())
        };
        assert!(matches!(serve(false), Ok(None)));
        assert!(matches!(serve(true), Err(HttpError::Address { .. })));
    }
}
