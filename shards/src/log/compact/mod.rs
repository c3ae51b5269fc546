//! Compaction: of each key the newest record stays. `plan` says what is due, `map` knows the newest offsets, `clean` decides
//! about one batch, `write` makes the new file, `replace` are the steps by which the log gets it; the shard drives them.
//!
//! Invariant: only sealed segments are touched; what is kept keeps its offset and its timestamp.

pub mod clean;
pub mod map;
pub mod plan;
pub mod replace;
pub mod write;

#[cfg(test)]
mod tests;
