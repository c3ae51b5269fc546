//! One suite for both runtimes: the same bodies run on io_uring (in a directory on a real disk) and in the simulator, so
//! that the fake cannot drift from the machine.

mod cores;
mod files;
mod machines;
mod simulated;
mod sockets;
mod started;
mod tasks;

use machines::{Place, on_sim, on_sim_pair, on_uring, on_uring_pair};

/// One test per body and runtime.
macro_rules! conformance {
    ($($module:ident :: { $($name:ident),+ $(,)? })+) => {
        mod uring {
            use super::*;
            $($(#[test] fn $name() { on_uring($module::$name); })+)+
        }
        mod sim {
            use super::*;
            $($(#[test] fn $name() { on_sim($module::$name); })+)+
        }
    };
}

/// As above, for bodies of two halves that run on two cores.
macro_rules! conformance_of_two_cores {
    ($($name:ident),+ $(,)?) => {
        mod uring_pair {
            use super::*;
            $(#[test] fn $name() { let (left, right) = cores::$name(); on_uring_pair(left, right); })+
        }
        mod sim_pair {
            use super::*;
            $(#[test] fn $name() { on_sim_pair(cores::$name); })+
        }
    };
}

conformance! {
    files::{
        what_is_written_is_read_back,
        a_read_is_short_only_at_the_end_of_the_file,
        a_length_need_not_be_whole_blocks,
        growing_leaves_zeros,
        allocating_keeps_content_and_grows_the_file,
        create_keeps_an_existing_file,
        missing_files_and_directories_are_not_found,
        opening_a_directory_as_a_file_fails,
        a_file_opened_to_read_cannot_be_written,
        a_handle_outlives_unlink_and_rename,
        opening_while_names_change_fails_or_works_but_never_more,
        two_handles_see_one_file,
        a_synced_write_is_read_back_beside_plain_ones,
        directories_list_sorted_with_kinds_and_lengths,
        rename_replaces_the_target,
        all_is_synced_of_a_directory_that_is_there,
        a_file_system_tells_its_space_and_a_path_that_is_not_there_none,
        names_have_an_end,
        removing_a_directory_takes_all_below_it,
        whole_files_are_replaced,
        a_directory_is_made_with_a_file_in_it_once,
        a_buffer_of_another_origin_can_be_written,
        many_writes_and_reads_at_once_do_not_mix,
        buffers_overlap_only_in_what_was_frozen,
    }
    sockets::{
        bytes_echo_in_order,
        a_write_larger_than_every_buffer_arrives_whole,
        empty_pieces_are_skipped,
        the_end_of_a_stream_reads_as_zero,
        shutdown_wakes_the_reader_and_ends_the_peer,
        shutdown_ends_a_writer_that_waits,
        stopping_ends_the_accept_under_way_and_all_to_come,
        a_cancelled_wait_loses_nothing,
        nobody_listens_means_refused,
        listeners_may_share_an_address_but_port_0_is_a_port_of_its_own,
        addresses_of_both_ends_agree,
    }
    tasks::{
        timers_fire_in_order_and_not_before_their_time,
        a_time_that_has_passed_does_not_wait,
        all_spawned_tasks_run,
        a_busy_task_that_asks_for_its_quantum_lets_others_in,
        random_numbers_differ,
        both_clocks_run,
    }
}

conformance_of_two_cores! {
    frozen_bytes_are_read_and_dropped_on_another_core,
    read_bytes_are_read_and_dropped_on_another_core,
    ping_pong_over_channels_loses_no_wake_up,
    two_cores_listen_on_one_address,
}
