//! `Reader`: a bounded cursor over one frame. Every core.
//!
//! Invariant: it never looks past its end, and what it hands out as `Bytes` shares the frame's memory.

use bytes::Bytes;

use super::{DecodeError, Str};

/// Most elements of arrays, over all arrays of one message, that are decoded unless the caller says otherwise. An
/// element of a request takes at most some 100 bytes of memory, so this bounds what a small frame can make us allocate,
/// far above what an honest request needs: a fetch of 100,000 partitions has about that many elements.
pub const OBJECTS_MAX: usize = 1 << 18;

/// Reads Kafka's primitives from a frame, front to back.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
    objects_left: usize,
    objects_max: usize,
}

impl<'a> Reader<'a> {
    pub fn new(frame: &'a Bytes) -> Reader<'a> {
        Reader { frame, rest: frame, objects_left: OBJECTS_MAX, objects_max: OBJECTS_MAX }
    }

    /// Another limit than [`OBJECTS_MAX`]: for replies of a trusted broker, whose metadata may be large.
    pub fn with_objects_max(mut self, objects_max: usize) -> Reader<'a> {
        self.objects_left = objects_max;
        self.objects_max = objects_max;
        self
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    fn truncated(&self, wanted: usize) -> DecodeError {
        DecodeError::Truncated { wanted, left: self.rest.len() }
    }

    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.truncated(len))?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.truncated(N))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `len` bytes as a slice of the frame, without a copy.
    #[inline]
    pub fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let part = self.take(len)?;
        Ok(self.frame.slice_ref(part))
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    #[inline]
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    #[inline]
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// UNSIGNED_VARINT: at most 5 bytes, little end first, 7 bits each.
    #[inline]
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        // Most of them are lengths and tag counts below 128.
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return Ok(u32::from(byte));
        }
        u32::try_from(self.uvarint_of::<5>()?).map_err(|_| DecodeError::VarintTooLong)
    }

    /// UNSIGNED_VARLONG: at most 10 bytes.
    pub fn uvarlong(&mut self) -> Result<u64, DecodeError> {
        self.uvarint_of::<10>()
    }

    /// VARINT: zigzag.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let raw = u32::try_from(self.uvarint_of::<5>()?).map_err(|_| DecodeError::VarintTooLong)?;
        Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
    }

    /// VARLONG: zigzag.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let raw = self.uvarlong()?;
        Ok((raw >> 1).cast_signed() ^ (raw & 1).cast_signed().wrapping_neg())
    }

    fn uvarint_of<const BYTES: u32>(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for index in 0..BYTES {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits << index.wrapping_mul(7);
            if shifted >> index.wrapping_mul(7) != bits {
                return Err(DecodeError::VarintTooLong);
            }
            value |= shifted;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length that is one more than it says, 0 for null (COMPACT_STRING, COMPACT_BYTES, COMPACT_ARRAY).
    #[inline]
    fn compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        let raw = usize::try_from(self.uvarint()?).map_err(|_| DecodeError::VarintTooLong)?;
        Ok(raw.checked_sub(1))
    }

    /// Null is any length below zero, as in Kafka.
    #[inline]
    fn len_of(len: i32) -> Option<usize> {
        usize::try_from(len).ok()
    }

    /// (COMPACT_)NULLABLE_STRING: at most 32,767 bytes in either form.
    pub fn string(&mut self, compact: bool) -> Result<Option<Str>, DecodeError> {
        let len = if compact { self.compact_len()? } else { Self::len_of(i32::from(self.i16()?)) };
        let Some(len) = len else { return Ok(None) };
        if i16::try_from(len).is_err() {
            // Only a compact length can say so, and Kafka refuses it too.
            return Err(DecodeError::StringTooLong { len });
        }
        Str::from_utf8(self.slice(len)?).map(Some)
    }

    /// (COMPACT_)NULLABLE_BYTES and (COMPACT_)RECORDS.
    #[inline]
    pub fn bytes(&mut self, compact: bool) -> Result<Option<Bytes>, DecodeError> {
        let len = if compact { self.compact_len()? } else { Self::len_of(self.i32()?) };
        len.map(|len| self.slice(len)).transpose()
    }

    /// The number of elements of an array, `None` for a null one. `element_bytes_min` is the smallest encoding of an
    /// element. A number that comes back can be allocated for: the input holds that many, and the message's cap too.
    #[inline]
    pub fn array_len(&mut self, compact: bool, element_bytes_min: usize) -> Result<Option<usize>, DecodeError> {
        let len = if compact { self.compact_len()? } else { Self::len_of(self.i32()?) };
        let Some(count) = len else { return Ok(None) };
        if count.checked_mul(element_bytes_min.max(1)).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(DecodeError::CountBeyondInput { count, left: self.rest.len() });
        }
        self.objects_left =
            self.objects_left.checked_sub(count).ok_or(DecodeError::TooManyObjects { max: self.objects_max })?;
        Ok(Some(count))
    }

    /// Enters the next tagged field: the reader is confined to its bytes until [`leave_tag`](Self::leave_tag), which
    /// takes what comes back here beside the tag.
    pub fn enter_tag(&mut self) -> Result<(u32, &'a [u8]), DecodeError> {
        let tag = self.uvarint()?;
        let len = usize::try_from(self.uvarint()?).map_err(|_| DecodeError::VarintTooLong)?;
        let body = self.take(len)?;
        Ok((tag, std::mem::replace(&mut self.rest, body)))
    }

    /// Leaves a tagged field, which must be read to its end.
    pub fn leave_tag(&mut self, after: &'a [u8]) -> Result<(), DecodeError> {
        match std::mem::replace(&mut self.rest, after).len() {
            0 => Ok(()),
            left => Err(DecodeError::TagLength { left }),
        }
    }

    /// Skips to the end: of the tagged field the reader is in, or of the frame.
    pub fn skip_rest(&mut self) {
        self.rest = &[];
    }
}
