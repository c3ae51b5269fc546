//! The redo log of one core: every append of all its partitions goes through it, and is acked when it is synced here.
//!
//! `format` is the bytes of a commit, `open` the commit being filled, `space` which file is active, full or free, `files` how
//! they are made, `replay` what a start reads back, `checkpoint` where each partition's segments stand, `run` which files are
//! current.
//!
//! Invariant: a commit is released when it and everything before it is synced (R2); a file is reused only when nothing
//! in it is needed any more (R12).

pub mod checkpoint;
pub mod files;
pub mod format;
pub mod open;
pub mod replay;
pub mod run;
pub mod space;
