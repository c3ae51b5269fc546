//! The benchmark: a load whose latencies count from the moment each record was due, for any broker that speaks Kafka's
//! protocol, and what is said about it.
//!
//! [`run()`] carries out a [`Plan`] and gives an [`Outcome`]. `setup` makes the topic and the connections, `writer` makes
//! and sends records on few threads, `reader` reads and checks them; `pace` says when records are due, `checker` finds
//! what was lost, repeated or reordered, `latency` and `meter` hold what was measured.
//!
//! Invariant: a figure that may mislead says so: a run that lags, breaks off or loses records is never a plain success.

mod checker;
mod clock;
mod error;
mod latency;
mod meter;
mod outcome;
mod pace;
mod payload;
mod pipe;
mod plan;
mod poll;
mod random;
mod reader;
mod run;
mod sender;
mod setup;
mod stamp;
mod writer;

pub use checker::Findings;
pub use error::BenchError;
pub use latency::Latency;
pub use meter::Tally;
pub use outcome::{Outcome, Second};
pub use plan::{Load, Plan};
pub use run::run;
