//! What a Kafka of one node keeps in its metadata log, for taking its data directory over. Pure; no core's.
//!
//! `record` reads single records, `image` is what they come to and makes a catalog of it.
//!
//! Invariant: whatever of it has no place in the catalog is named, never dropped in silence.

mod image;
mod record;

pub use image::{Adopted, Image, ImageError, KafkaTopic, LeftOut};
pub use record::KafkaRecord;
