//! What a step has beside its group. Owning core only.

use super::deadlines::Deadlines;
use super::groups::{AskId, Effects, Now};
use super::request::GroupReply;
use super::settings::GroupSettings;
use crate::catalog::Catalog;
use crate::types::Mono;

/// The time, the settings, the topics, the order of time-outs, and where a step's effects go.
pub struct Turn<'a> {
    pub now: Now,
    pub settings: &'a GroupSettings,
    pub catalog: &'a Catalog,
    pub deadlines: &'a mut Deadlines,
    pub effects: &'a mut Effects,
}

impl Turn<'_> {
    pub fn reply(&mut self, ask: AskId, reply: GroupReply) {
        self.effects.replies.push((ask, reply));
    }

    /// `wait_ms` from now; a negative wait is none.
    pub fn after(&self, wait_ms: i32) -> Mono {
        self.now.mono.after(std::time::Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }
}
