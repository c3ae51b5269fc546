//! The benchmark: a load whose latencies count from the moment each record was due, for any broker that speaks Kafka's
//! protocol, and what is said about it.
//!
//! [`run()`] carries out a [`Plan`] and gives an [`Outcome`]. `setup` makes the topic and the connections, `writer` makes
//! and sends records on few threads, `reader` or `group` reads them and `intake` takes them in; `pace` says when
//! records are due, `sizes`, `keys` and `payload` what they are, `checker` finds what was lost, repeated or reordered,
//! `latency` and `meter` hold what was measured, `stages` what the broker says of the same time, `report` shows it, and
//! `merge` adds up several.
//!
//! Invariant: a figure that may mislead says so: a run that lags, breaks off or loses records is never a plain success.

mod checker;
mod clock;
mod compare;
mod error;
mod group;
mod intake;
mod keys;
mod latency;
mod machine;
mod merge;
mod meter;
mod outcome;
mod pace;
mod payload;
mod pipe;
mod plan;
mod poll;
mod random;
mod reader;
mod report;
mod run;
mod sender;
mod setup;
mod sizes;
mod stages;
mod stamp;
mod unread;
mod usage;
mod writer;

pub use checker::Findings;
pub use compare::{Comparison, Ratio, compare, ratios};
pub use error::BenchError;
pub use intake::CatchUp;
pub use keys::KeyRange;
pub use latency::{Latency, nanos_text, time_text};
pub use machine::Machine;
pub use merge::{Part, merge};
pub use meter::Tally;
pub use outcome::{Outcome, Second};
pub use pace::Arrivals;
pub use plan::{Load, Plan};
pub use report::{ready as ready_for_report, write as write_report, write_comparison};
pub use run::run;
pub use sizes::Sizes;
pub use stages::BrokerStages;
pub use usage::Usage;
