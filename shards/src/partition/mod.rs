//! One partition's pure state: producers and leader epochs. Owning core only; no await, no clock, no I/O.
//!
//! Invariant: nothing here allocates before the first append, so an idle partition costs its fields and no more.

pub mod epochs;
pub mod producers;
