//! `RecordParts`: the records of one partition in a reply, as the slices of the log that they are. Every core.

use bytes::Bytes;
use smallvec::SmallVec;

/// A `records` field made of several pieces, written one after the other and never joined by a copy.
/// Two values are equal when their bytes are, however they are cut.
#[derive(Clone, Debug, Default)]
pub struct RecordParts(SmallVec<[Bytes; 2]>);

impl RecordParts {
    pub fn parts(&self) -> &[Bytes] {
        &self.0
    }

    /// Bytes of all parts.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// The bytes as one piece; a decoded field is one already, so this copies only what was put together here.
    pub fn into_bytes(mut self) -> Bytes {
        match self.0.len() {
            0 => Bytes::new(),
            1 => self.0.pop().unwrap_or_default(),
            _ => self.0.concat().into(),
        }
    }
}

impl From<Bytes> for RecordParts {
    fn from(bytes: Bytes) -> RecordParts {
        RecordParts(SmallVec::from_iter((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<SmallVec<[Bytes; 2]>> for RecordParts {
    fn from(parts: SmallVec<[Bytes; 2]>) -> RecordParts {
        RecordParts(parts)
    }
}

impl PartialEq for RecordParts {
    fn eq(&self, other: &RecordParts) -> bool {
        self.0.iter().flatten().eq(other.0.iter().flatten())
    }
}
