//! Integration tests of the whole package, one module for each subject.

mod bad_peers;
mod bench;
mod broker;
mod cli;
mod commands;
mod commands_config;
mod commands_ending;
mod commands_group;
mod commands_records;
mod commands_topic;
mod compaction;
mod device;
mod dice;
mod full_disk;
mod groups;
mod large_batches;
mod ledger;
mod oracle;
mod peer;
mod process;
mod refused;
mod restart;
mod startup;
mod tidy;
