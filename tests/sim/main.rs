//! The seeded simulation of the whole broker: launch, listeners, connections, shards and disks on one thread, with clients
//! that speak the wire protocol from other hosts.
//!
//! `CORELOG_SIM_SEEDS` (500 over all scenarios), `CORELOG_SIM_FROM`, `CORELOG_SIM_SEED` (one), `CORELOG_SIM_LOG`.
//!
//! | rule | where it is tested; `planted` breaks it on purpose |
//! |---|---|
//! | R1 | `crashes`; planted: ack before the sync, early ack of a duplicate |
//! | R2 | `crashes`; planted: skipped sync |
//! | R3 | `crashes` (kill, relaxed topics); planted: ack from memory |
//! | R4 | every scenario: order per producer; names and ids: `topics` |
//! | R5, R6 | `crashes`; planted: chain ignored, torn commit taken; unit: `journal/replay_tests.rs` |
//! | R7 | `crashes`: a start that crashes; epochs by one per start |
//! | R8 | `topics`; unit: `log` replay tests |
//! | R9 | `crashes`; no fault is planted here (see `log/model_tests.rs`) |
//! | R10 | the simulated disk panics on writes that share a block; unit: `log/model_tests.rs` |
//! | R11 | `crashes` (stops); planted: uncut segment |
//! | R12 | `crashes` (heavy); planted: reused early, nothing carried |
//! | R13 | `crashes`; planted: checkpoint over unsynced segments |
//! | R14 | `disks`: full disk |
//! | R15 | every scenario; planted: read above the high watermark; unit: `log` reader tests |
//! | R16 | `disks`: failed writes and syncs; planted: fence ignored |
//! | R17 | small windows and caches in every scenario; unit: `log` tests |
//! | compaction | `compaction`; planted: drops the newest; unit: `log/compact/tests.rs` |
//! | R18 | `crashes` (stops); unit: `shard/timers.rs` |

mod admin;
mod checker;
mod client;
mod compaction;
mod consumer;
mod crashes;
mod disks;
mod group_ledger;
mod group_member;
mod groups;
mod history;
mod link;
mod payload;
mod planted;
mod producer;
mod scenario;
mod topics;
mod world;
