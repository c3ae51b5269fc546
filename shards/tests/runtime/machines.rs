//! Runs a body on each of the two machines.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use shards::runtime::Runtime;
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
