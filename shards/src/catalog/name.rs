//! What a topic may be called, and which names are the broker's own. Every core; pure.
//!
//! Invariant: a name that passes is a safe path component: it holds no separator and is neither `.` nor `..`.

use std::borrow::Cow;

/// The metadata log's name. It can be neither made nor deleted by a client.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's limit; with `-<partition>` behind it a name still fits the 255 bytes of a file name.
pub const NAME_BYTES_MAX: usize = 249;

const INTERNAL: [&str; 4] = [METADATA_TOPIC, "__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Topics that only the broker itself writes to.
pub fn is_internal_topic(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Checks a name by Kafka's rules; the error is Kafka's message.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    let why = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.chars().count() > NAME_BYTES_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {NAME_BYTES_MAX}")
        }
        _ if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) => {
            format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
        }
        _ => return Ok(()),
    };
    Err(format!("Topic name is invalid: {why}"))
}

/// What two names share when they collide: Kafka's metrics put `_` for `.`, so `a.b` and `a_b` may not both exist.
/// `None` when the name cannot collide with another.
pub(super) fn collision_key(name: &str) -> Option<Cow<'_, str>> {
    if name.contains('.') {
        return Some(Cow::Owned(name.replace('.', "_")));
    }
    name.contains('_').then_some(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_path_components_are_refused() {
        for name in ["", ".", "..", "a/b", "a\0", "a b", "é", "a\\b", "a:b", &"x".repeat(250)] {
            assert!(check_topic_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "...", "-", "_", "A.b_c-9", &"x".repeat(249)] {
            assert_eq!(check_topic_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn the_reason_is_worded_as_kafka_words_it() {
        assert_eq!(check_topic_name("..").unwrap_err(), "Topic name is invalid: '..' is not allowed");
        assert_eq!(
            check_topic_name("a b").unwrap_err(),
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        );
    }

    #[test]
    fn dot_and_underscore_collide() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_ne!(collision_key("a.b"), collision_key("a.c"));
        assert_eq!(collision_key("ab"), None);
    }
}
