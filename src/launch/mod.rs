//! The order in which a broker starts and stops (R7, R18): locks, executors, shards, listeners; and back.
//!
//! `broker` makes the plan out of the configuration, `addresses` those of the listeners; `journals` says how large they may
//! be; `meta` takes the data directory; `preflight` looks for what would keep it from starting, and `port` for who has its
//! port. `core` is what runs on each core, for any runtime, and `busiest` finds what it tells of partitions and clients;
//! `process` starts the cores of a real process on io_uring; `log` is its way to stderr, `memory` that of freed memory back to
//! the system.
//!
//! Invariant: nothing listens before every shard has recovered; nothing is unlocked before every shard has stopped.

mod addresses;
pub mod broker;
mod busiest;
pub mod core;
mod journals;
pub mod log;
pub mod memory;
pub mod meta;
mod port;
pub mod preflight;
pub mod process;

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the kernel, for what must be new: ids and names.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => panic!("the kernel gives no random bytes: {e}"),
        }
    }
    bytes
}
