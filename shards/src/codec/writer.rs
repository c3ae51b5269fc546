//! `Writer`: builds a message as a list of segments. Every core.
//!
//! Invariant: record fields are put in as the `Bytes` that they are; everything else lies in one buffer, which is cut
//! around them at the end.

use bytes::Bytes;

use super::{Elements, EncodeError};

/// Below this a record field is copied into the buffer: a segment more costs the kernel more than the copy does.
const INLINE_BYTES_MAX: usize = 512;
/// Below this encoded elements are. They come by the thousand, and a system call takes 64 segments.
const ELEMENTS_INLINE_BYTES_MAX: usize = 16 * 1024;

/// Writes Kafka's primitives, front to back.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    /// What lies outside the buffer: `.0` is how much of the buffer comes before it. Ascending.
    inserts: Vec<(usize, Bytes)>,
    inserted_bytes: usize,
    /// For the next array that is written without elements.
    filling: Option<Box<Elements>>,
}

impl Writer {
    /// A writer whose buffer holds `bytes` before it grows; record fields do not count.
    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { buffer: Vec::with_capacity(bytes), ..Writer::default() }
    }

    /// Bytes written, record fields included.
    pub fn len(&self) -> usize {
        self.buffer.len().saturating_add(self.inserted_bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.put(&value.to_be_bytes());
    }

    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    /// UNSIGNED_VARINT.
    #[inline]
    pub fn uvarint(&mut self, value: u32) {
        self.uvarlong(u64::from(value));
    }

    /// UNSIGNED_VARLONG.
    #[inline]
    pub fn uvarlong(&mut self, mut value: u64) {
        while value >= 0x80 {
            let [low, ..] = value.to_le_bytes();
            self.u8(low | 0x80);
            value >>= 7;
        }
        let [low, ..] = value.to_le_bytes();
        self.u8(low);
    }

    /// VARINT: zigzag.
    pub fn varint(&mut self, value: i32) {
        self.uvarint(((value << 1) ^ (value >> 31)).cast_unsigned());
    }

    /// VARLONG: zigzag.
    pub fn varlong(&mut self, value: i64) {
        self.uvarlong(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    #[inline]
    fn compact_len(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        let raw = match len {
            None => 0,
            Some(len) => len.checked_add(1).ok_or(EncodeError::TooLong { len })?,
        };
        // Kafka's lengths are Java ints, also where the encoding would hold more.
        let raw = i32::try_from(raw).map_err(|_| EncodeError::TooLong { len: raw })?;
        self.uvarint(raw.cast_unsigned());
        Ok(())
    }

    #[inline]
    fn len32(&mut self, len: Option<usize>, compact: bool) -> Result<(), EncodeError> {
        if compact {
            return self.compact_len(len);
        }
        match len {
            None => self.i32(-1),
            Some(len) => self.i32(i32::try_from(len).map_err(|_| EncodeError::TooLong { len })?),
        }
        Ok(())
    }

    /// (COMPACT_)NULLABLE_STRING: at most 32,767 bytes in either form.
    pub fn string(&mut self, text: Option<&str>, compact: bool) -> Result<(), EncodeError> {
        let len = text.map_or(0, str::len);
        let short = i16::try_from(len).map_err(|_| EncodeError::TooLong { len })?;
        match (text, compact) {
            (_, true) => self.compact_len(text.map(str::len))?,
            (None, false) => self.i16(-1),
            (Some(_), false) => self.i16(short),
        }
        self.put(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// (COMPACT_)NULLABLE_BYTES and (COMPACT_)RECORDS, given as pieces that follow each other.
    pub fn bytes(&mut self, parts: Option<&[Bytes]>, compact: bool) -> Result<(), EncodeError> {
        self.len32(parts.map(|parts| parts.iter().map(Bytes::len).sum()), compact)?;
        parts.unwrap_or_default().iter().for_each(|part| self.part(part, INLINE_BYTES_MAX));
        Ok(())
    }

    fn part(&mut self, part: &Bytes, inline_bytes_max: usize) {
        if part.len() <= inline_bytes_max {
            self.put(part);
        } else {
            self.inserted_bytes = self.inserted_bytes.saturating_add(part.len());
            self.inserts.push((self.buffer.len(), part.clone()));
        }
    }

    /// The number of elements that precedes an array.
    #[inline]
    pub fn array_len(&mut self, len: Option<usize>, compact: bool) -> Result<(), EncodeError> {
        if len == Some(0)
            && let Some(filling) = self.filling.take()
        {
            self.len32(Some(filling.count), compact)?;
            filling.pieces.iter().for_each(|piece| self.part(piece, ELEMENTS_INLINE_BYTES_MAX));
            return Ok(());
        }
        self.len32(len, compact)
    }

    /// The next array that is written without elements gets these, if there are any.
    pub fn fill(&mut self, elements: Elements) {
        self.filling = (elements.count > 0).then(|| Box::new(elements));
    }

    /// Whether what [`Writer::fill`] gave is still to be written.
    pub fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Gives back what the buffer holds in reserve.
    pub fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    /// Writes one tagged field: its tag, its length, and what `body` writes.
    pub fn tag(
        &mut self,
        tag: u32,
        body: impl FnOnce(&mut Writer) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        // The length comes first but is known last. Tagged fields are few and small, and none holds
        // records: a second buffer is cheap.
        let mut field = Writer::default();
        body(&mut field)?;
        let field = field.into_bytes();
        self.uvarint(tag);
        self.uvarint(u32::try_from(field.len()).map_err(|_| EncodeError::TooLong { len: field.len() })?);
        self.put(&field);
        Ok(())
    }

    /// Overwrites the first four bytes of the buffer: the frame's length, known last.
    ///
    /// # Panics
    /// If fewer than four bytes were written.
    pub fn patch_front(&mut self, value: i32) {
        let Some(front) = self.buffer.first_chunk_mut::<4>() else { panic!("patched before anything was written") };
        *front = value.to_be_bytes();
    }

    /// The message, as segments to be sent in this order. None is empty.
    pub fn finish(self) -> Vec<Bytes> {
        let mut buffer = Bytes::from(self.buffer);
        let mut segments = Vec::with_capacity(self.inserts.len().saturating_mul(2).saturating_add(1));
        let mut cut = 0usize;
        for (at, part) in self.inserts {
            // `at` ascends and is never past the buffer's end, so `split_to` cannot be out of bounds.
            let head = buffer.split_to(at.saturating_sub(cut));
            cut = at;
            segments.extend((!head.is_empty()).then_some(head));
            segments.push(part);
        }
        segments.extend((!buffer.is_empty()).then_some(buffer));
        segments
    }

    /// The message in one piece, record fields copied.
    pub fn into_bytes(self) -> Bytes {
        if self.inserts.is_empty() { Bytes::from(self.buffer) } else { self.finish().concat().into() }
    }
}
