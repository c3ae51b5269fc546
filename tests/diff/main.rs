//! The same requests to corelog and to Kafka 4.3.1: every case's replies, made free of ids and times, must be those that
//! Kafka gave when they were recorded (`kafka/`), or stand in [`differences`] with the reason why not.
//!
//!     CORELOG_DIFF_RECORD=127.0.0.1:9092 cargo test --test diff    # records a fresh Kafka 4.3.1 of defaults
//!     CORELOG_DIFF_RECORD=self cargo test --test diff              # records corelog's own side of the differences
//!
//! Kafka must be new: cases ask for all topics, and count on finding none but their own. One setting is not the
//! default, `group.initial.rebalance.delay.ms=0`: a group's first generation begins with its first member.

#[path = "../it/broker.rs"]
#[expect(dead_code, reason = "it belongs to the tests of the process, which also stop and restart brokers")]
mod broker;

mod batches;
mod case;
mod cases;
mod differences;
mod recording;
mod render;
mod run;
mod socket;
mod tree;
mod world;

macro_rules! apis {
    ($($api:ident)*) => {
        /// Every file of cases.
        const APIS: &[(&str, fn() -> Vec<case::Case>)] = &[$((stringify!($api), cases::$api::cases)),*];

        $(#[test]
        fn $api() {
            run::check(stringify!($api), &cases::$api::cases());
        })*
    };
}

apis! {
    api_versions
    configs
    create_partitions
    create_topics
    delete_records
    delete_topics
    describe_cluster
    fetch
    fetch_sessions
    frames
    init_producer_id
    list_offsets
    metadata
    offset_for_leader_epoch
    partitions
    produce
    produce_batches
    security
    find_coordinator
    heartbeat
    join_group
    sync_group
    leave_group
    offset_commit
    offset_fetch
    offset_delete
    describe_groups
    list_groups
    delete_groups
    consumer_group_heartbeat
    consumer_group_describe
    mixed_groups
}

#[test]
fn the_page_of_differences_shows_the_table() {
    differences::check_page(APIS);
}
