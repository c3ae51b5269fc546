//! What the program's allocator keeps of memory that was freed. No core's.
//!
//! Invariant: without an allocator that was told of, nothing is done: the system's own keeps nothing to be asked for.

use std::sync::OnceLock;

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// How the program's allocator is made to give back what was freed long enough ago. The first one counts.
pub fn gives_back_by(give_back: fn()) {
    GIVE_BACK.get_or_init(|| give_back);
}

/// For a process that may have nothing to do: an allocator looks at what was freed before only when more is.
pub(super) fn give_back() {
    if let Some(give_back) = GIVE_BACK.get() {
        give_back();
    }
}
