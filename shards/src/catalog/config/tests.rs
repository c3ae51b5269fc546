//! Tests of topic configs.
