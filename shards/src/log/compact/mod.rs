//! Compaction: of each key the newest record stays. `plan` says what is due, `map` knows the newest offsets, `clean` decides
//! about one batch; the shard drives them. Pure.
//!
//! Invariant: only sealed segments are touched; what is kept keeps its offset and its timestamp.

pub mod clean;
pub mod map;
pub mod plan;

#[cfg(test)]
mod tests;
