//! One partition's pure state: producers, leader epochs, delayed replies. Owning core only; no await, no clock, no I/O.
//!
//! Invariant: nothing here allocates before the first append, so an idle partition costs its fields and no more.

pub mod epochs;
pub mod producers;
pub mod waiters;
