//! What the APIs of groups share: text that is kept is copied out of the frame, and an answer is of the kind that was
//! asked for. Every core; pure.

use std::sync::Arc;

use shards::group::{GroupError, GroupReply, MemberRef};

use crate::wire::{ErrorCode, Str};

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as a broker without an authorizer tells of a group.
pub(super) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

/// A copy of its own: a group may keep it for as long as it lives.
pub(super) fn kept(text: &Str) -> Arc<str> {
    text.as_str().into()
}

/// Why a member comes or goes, for the log. Kafka's clients send no more characters of it.
const REASON_CHARS_MAX: usize = 255;

pub(super) fn reason(text: &Str) -> Arc<str> {
    let end = text.char_indices().nth(REASON_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    text.get(..end).unwrap_or_default().into()
}

pub(super) fn member(group: &Str, member: &Str, instance: Option<&Str>, generation: i32) -> MemberRef {
    MemberRef { group: kept(group), member: kept(member), instance: instance.map(kept), generation }
}

/// Groups of members have a name.
pub(super) fn check_id(group: &Str) -> Result<(), ErrorCode> {
    if group.is_empty() { Err(ErrorCode::InvalidGroupId) } else { Ok(()) }
}

/// A reply to something else than was asked for: our own mistake, which must not look like a success.
pub(super) fn unasked(reply: &GroupReply) -> GroupError {
    tracing::error!(?reply, "a coordinator answered what it was not asked");
    GroupError::NotAvailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(&*reason(&Str::from("é".repeat(300))), "é".repeat(255));
        assert_eq!(&*reason(&Str::from("closing")), "closing");
    }
}
