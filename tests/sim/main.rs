//! The seeded simulation of the whole broker: launch, listeners, connections, shards and disks on one thread, with clients
//! that speak the wire protocol from other hosts.
//!
//! `CORELOG_SIM_SEEDS` (500 of the mixed scenario; others run their share), `CORELOG_SIM_FROM`, `CORELOG_SIM_SEED` (one),
//! `CORELOG_SIM_LOG`.
//!
//! | rule | where it is tested; `planted` breaks it on purpose |
//! |---|---|
//! | R1 | `crashes`, `changes`, `producer_ids`; planted: ack before the sync, early ack of a duplicate, a log start and a change told early |
//! | R2 | `crashes`; planted: skipped sync, a file that is not synced before the next; unit: `shard/flush_tests.rs` |
//! | R3 | `crashes` (kill, relaxed topics, what a cut may take of them); planted: ack from memory, `flush.*` forgotten |
//! | R4 | every scenario: order per producer, and everybody gets on; planted: an append that overtakes; unit (a forgotten append): `shard/cold_tail_tests.rs`; names and ids: `topics`, `mixed` |
//! | R5, R6 | `crashes`; planted: chain ignored, torn commit taken; unit: `journal/replay_tests.rs` |
//! | R7 | `crashes`: a start that crashes; epochs by one per start; planted: the new run current too early; unit (what is read is synced): `journal/replay_tests.rs` |
//! | R8 | `mixed`, `topics`; space comes back; planted: a deletion forgotten, told before its sync, not carried out; unit (a gap): `log/tests/damage.rs` |
//! | R9 | `crashes` (heavy): what a cut left in segments; planted: unsynced bytes in a segment, here and in `log/tests/model.rs` |
//! | R10 | the simulated disk panics on writes that share a block; `mixed` (resting); planted: block not carried |
//! | R11 | `crashes` (stops); planted: uncut segment |
//! | R12 | `crashes` (heavy); planted: reused early, nothing carried; unit (four syncs at once): `shard/turn_tests.rs` |
//! | R13 | `crashes`; planted: checkpoint over unsynced segments |
//! | R14 | `disks`: full disk, start on one; planted: appends let in |
//! | R15 | every scenario; planted: read above the high watermark, a batch skipped, an index off by one; unit: `log` reader tests |
//! | R16 | `disks`: failed writes and syncs; planted: fence ignored |
//! | R17 | small windows and caches in every scenario; planted: window without bound; unit: `log` tests |
//! | R18 | `crashes` (stops), `mixed` (clock jumps); planted: nothing synced at the stop, jumps believed |
//! | groups | `groups`; planted: told before the sync, a load that loses offsets, two owners of a partition in a consumer group, the dead kept, an older generation heard; unit: `group/tests` |
//! | compaction | `compaction`; planted: drops the newest; unit: `log/compact/tests.rs` |

/// As the broker's own program has it: a seed allocates much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod admin;
mod changes;
mod checker;
mod client;
mod compaction;
mod consumer;
mod crashes;
mod disks;
mod group_consumer;
mod group_late;
mod group_ledger;
mod group_member;
mod groups;
mod history;
mod link;
mod liveness;
mod mixed;
mod offsets;
mod payload;
mod planted;
mod producer;
mod producer_ids;
mod rot;
mod scenario;
mod space;
mod stages;
mod topics;
mod trace;
mod world;
