//! Runs a body on each of the two machines.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use shards::runtime::Runtime;
use shards::runtime::sim::{Sim, SimRuntime};
use shards::runtime::uring::{UringConfig, UringRuntime, launch};
use tempfile::TempDir;

/// Where a body may work: an empty directory and an address of this machine.
#[derive(Clone)]
pub struct Place {
    pub dir: PathBuf,
    pub ip: IpAddr,
}

/// Half of a body, for one core.
pub type Half<R> = Box<dyn FnOnce(R, Place) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

pub fn half<R: Runtime, F: Future<Output = ()> + 'static>(
    body: impl FnOnce(R, Place) -> F + Send + 'static,
) -> Half<R> {
    Box::new(move |rt, place| Box::pin(body(rt, place)))
}

/// On the disk that holds the build, not in memory: direct I/O is what is tested.
pub fn disk() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory for tests")
}

pub fn config(name: &str, dir: &TempDir) -> UringConfig {
    UringConfig {
        name: name.to_owned(),
        data_dir: dir.path().to_owned(),
        spin_before_park: Duration::ZERO,
        io_memory_bytes: 1024 * 1024,
    }
}

pub fn on_uring<F: Future<Output = ()> + 'static>(body: impl FnOnce(UringRuntime, Place) -> F + Send + 'static) {
    let dir = disk();
    let place = Place { dir: dir.path().to_owned(), ip: Ipv4Addr::LOCALHOST.into() };
    launch(config("test", &dir), None, |rt| body(rt, place)).expect("io_uring works here").join();
}

pub fn on_uring_pair(left: Half<UringRuntime>, right: Half<UringRuntime>) {
    let dir = disk();
    let place = Place { dir: dir.path().to_owned(), ip: Ipv4Addr::LOCALHOST.into() };
    let place_right = place.clone();
    let left = launch(config("left", &dir), None, |rt| left(rt, place)).expect("io_uring works here");
    let right = launch(config("right", &dir), None, |rt| right(rt, place_right)).expect("io_uring works here");
    left.join();
    right.join();
}

/// Different runs of the simulator that one test of it makes.
const SEEDS: u64 = 20;

pub fn on_sim<F: Future<Output = ()> + 'static>(body: impl Fn(SimRuntime, Place) -> F + Copy + 'static) {
    for seed in 0..SEEDS {
        let sim = Sim::new(seed);
        let host = sim.add_host("host");
        let place = Place { dir: PathBuf::from("/data"), ip: sim.ip(host) };
        sim.block_on(host, |rt| async move {
            rt.create_dir_all(&place.dir).await.expect("an empty disk");
            body(rt, place).await;
        });
    }
}

pub fn on_sim_pair(halves: impl Fn() -> (Half<SimRuntime>, Half<SimRuntime>)) {
    for seed in 0..SEEDS {
        let sim = Sim::new(seed);
        let host = sim.add_host("host");
        let place = Place { dir: PathBuf::from("/data"), ip: sim.ip(host) };
        sim.block_on(host, |rt| async move { rt.create_dir_all(Path::new("/data")).await.expect("an empty disk") });
        let (left, right) = halves();
        let (ended, end) = flume::bounded(1);
        sim.spawn(host, |rt| {
            let right = right(rt, place.clone());
            async move {
                right.await;
                ended.send(()).expect("the other half waits");
            }
        });
        sim.block_on(host, |rt| {
            let left = left(rt, place);
            async move {
                left.await;
                end.recv_async().await.expect("the other half ends");
            }
        });
    }
}
