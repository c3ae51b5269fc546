//! A data directory as tools see it while no broker runs: what is there, and what of it is damaged. No core's.
//!
//! `directory` reads all that a start would read, `files` what is in single files; `check` holds every byte that counts
//! against its checksums and `index` those of the indexes. What the bytes mean is for `shards` to say: nothing is decoded
//! here.
//!
//! Invariant: files are opened for reading. Only `repair` writes, and only what can be made anew from something else.

mod check;
mod directory;
mod files;
mod finding;
mod index;
mod repair;

pub use check::{Report, bytes_to_check, check, lone_segments};
pub use directory::{Directory, NamedPartition};
pub use files::{Sidecar, file_bytes, read_at, sidecar};
pub use finding::{Finding, Lost};
pub use repair::Repair;
