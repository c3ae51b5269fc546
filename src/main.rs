//! The one binary: hands the command line to `cli`.

use std::ffi::c_long;
use std::process::ExitCode;

use libmimalloc_sys::{mi_collect, mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds after which freed memory goes back to the system.
const PURGE_DELAY: mi_option_t = 15;
/// Buffers of commits come and go many times a second: given back after mimalloc's own 10 ms, they cost a fault for each page of
/// each, a seventh of the processor at the maximum. What a burst took is given back all the same.
const PURGE_DELAY_MS: c_long = 10_000;

fn main() -> ExitCode {
    // SAFETY: an option is a number in a table of mimalloc's, which takes any value of any of its options at any time.
    unsafe { mi_option_set(PURGE_DELAY, PURGE_DELAY_MS) };
    corelog::launch::memory::gives_back_by(give_back);
    corelog::cli::main()
}

/// What was freed at least [`PURGE_DELAY_MS`] ago goes back to the system. By itself mimalloc looks for that when it frees a page,
/// which a broker without anything to do does not: it kept what a burst took for as long as it was idle.
fn give_back() {
    // SAFETY: any thread may ask for it at any time; of the other threads' memory only pages that they gave up are touched.
    unsafe { mi_collect(false) };
}
