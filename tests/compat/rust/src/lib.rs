//! Tests of a broker with a real client: the case-by-case suite, and the load, history and checker of `kill9`.
//! Nothing here knows corelog's code: what it proves, it proves over the wire.

pub mod cases;
pub mod checker;
pub mod client;
pub mod kill9;
pub mod payload;
pub mod random;
pub mod report;
