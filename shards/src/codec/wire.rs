//! `Wire`: how a type of a field is read and written. Every core.

use bytes::Bytes;

use super::{DecodeError, EncodeError, Reader, RecordParts, Str, TopicId, Writer};

/// What a field must know of the message that it is in.
#[derive(Clone, Copy, Debug)]
pub struct Cx {
    pub version: i16,
    /// The version has compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

/// A type that can be a field.
pub trait Wire: Sized {
    /// The smallest encoding in this version, in bytes: what bounds the count of an array.
    fn bytes_min(cx: Cx) -> usize;

    fn read(r: &mut Reader<'_>, cx: Cx) -> Result<Self, DecodeError>;

    fn write(&self, w: &mut Writer, cx: Cx) -> Result<(), EncodeError>;

    /// Null: a field may be so only in the versions that its declaration names.
    #[inline]
    fn is_null(&self) -> bool {
        false
    }
}

/// A type made by [`message!`](crate::message). Keeps apart what is null by a length and what is null by a marker byte.
pub trait Struct: Wire {}

macro_rules! fixed {
    ($($ty:ty),*) => { $(
        impl Wire for $ty {
            #[inline]
            fn bytes_min(_: Cx) -> usize {
                size_of::<$ty>()
            }

            #[inline]
            fn read(r: &mut Reader<'_>, _: Cx) -> Result<Self, DecodeError> {
                Ok(<$ty>::from_be_bytes(r.array()?))
            }

            #[inline]
            fn write(&self, w: &mut Writer, _: Cx) -> Result<(), EncodeError> {
                w.put(&self.to_be_bytes());
                Ok(())
            }
        }
    )* };
}

fixed!(i8, i16, i32, i64, u16, u32, f64);

impl Wire for bool {
    #[inline]
    fn bytes_min(_: Cx) -> usize {
        1
    }

    #[inline]
    fn read(r: &mut Reader<'_>, _: Cx) -> Result<Self, DecodeError> {
        Ok(r.u8()? != 0)
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Cx) -> Result<(), EncodeError> {
        w.u8(u8::from(*self));
        Ok(())
    }
}

/// UUID.
impl Wire for [u8; 16] {
    #[inline]
    fn bytes_min(_: Cx) -> usize {
        16
    }

    #[inline]
    fn read(r: &mut Reader<'_>, _: Cx) -> Result<Self, DecodeError> {
        r.array()
    }

    #[inline]
    fn write(&self, w: &mut Writer, _: Cx) -> Result<(), EncodeError> {
        w.put(self);
        Ok(())
    }
}

impl Wire for TopicId {
    #[inline]
    fn bytes_min(cx: Cx) -> usize {
        <[u8; 16]>::bytes_min(cx)
    }

    #[inline]
    fn read(r: &mut Reader<'_>, _: Cx) -> Result<Self, DecodeError> {
        r.array().map(TopicId)
    }

    #[inline]
    fn write(&self, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
        self.0.write(w, cx)
    }
}

/// A type whose length says whether it is null, as itself and as an `Option`.
macro_rules! nullable {
    ($ty:ty $(where $t:ident)?, bytes_min: $short:literal, read: $read:expr, write: $write:expr) => {
        impl<$($t: Wire)?> Wire for Option<$ty> {
            #[inline]
            fn bytes_min(cx: Cx) -> usize {
                if cx.flexible { 1 } else { $short }
            }

            #[inline]
            fn read(r: &mut Reader<'_>, cx: Cx) -> Result<Self, DecodeError> {
                $read(r, cx)
            }

            #[inline]
            fn write(&self, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
                $write(self.as_ref(), w, cx)
            }

            #[inline]
            fn is_null(&self) -> bool {
                self.is_none()
            }
        }

        impl<$($t: Wire)?> Wire for $ty {
            #[inline]
            fn bytes_min(cx: Cx) -> usize {
                Option::<$ty>::bytes_min(cx)
            }

            #[inline]
            fn read(r: &mut Reader<'_>, cx: Cx) -> Result<Self, DecodeError> {
                $read(r, cx)?.ok_or(DecodeError::UnexpectedNull)
            }

            #[inline]
            fn write(&self, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
                $write(Some(self), w, cx)
            }
        }
    };
}

nullable!(Str, bytes_min: 2,
    read: |r: &mut Reader<'_>, cx: Cx| r.string(cx.flexible),
    write: |text: Option<&Str>, w: &mut Writer, cx: Cx| w.string(text.map(Str::as_str), cx.flexible));

nullable!(Bytes, bytes_min: 4,
    read: |r: &mut Reader<'_>, cx: Cx| r.bytes(cx.flexible),
    write: |bytes: Option<&Bytes>, w: &mut Writer, cx: Cx| w.bytes(bytes.map(std::slice::from_ref), cx.flexible));

nullable!(RecordParts, bytes_min: 4,
    read: |r: &mut Reader<'_>, cx: Cx| Ok(r.bytes(cx.flexible)?.map(RecordParts::from)),
    write: |records: Option<&RecordParts>, w: &mut Writer, cx: Cx| w.bytes(records.map(RecordParts::parts), cx.flexible));

nullable!(Vec<T> where T, bytes_min: 4, read: read_vec, write: write_vec);

#[inline]
fn read_vec<T: Wire>(r: &mut Reader<'_>, cx: Cx) -> Result<Option<Vec<T>>, DecodeError> {
    let Some(count) = r.array_len(cx.flexible, T::bytes_min(cx))? else { return Ok(None) };
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(T::read(r, cx)?);
    }
    Ok(Some(elements))
}

#[inline]
fn write_vec<T: Wire>(elements: Option<&Vec<T>>, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
    w.array_len(elements.map(Vec::len), cx.flexible)?;
    for element in elements.map(Vec::as_slice).unwrap_or_default() {
        element.write(w, cx)?;
    }
    Ok(())
}

/// A nullable struct is preceded by one byte: -1 null, 1 there. In a tagged field Kafka writes 0 for null, and nothing behind
/// it, where every struct has at least the count of its own tags.
impl<T: Struct> Wire for Option<T> {
    fn bytes_min(_: Cx) -> usize {
        1
    }

    fn read(r: &mut Reader<'_>, cx: Cx) -> Result<Self, DecodeError> {
        match i8::read(r, cx)? {
            0 if cx.flexible && r.left() == 0 => Ok(None),
            // As Kafka reads it: whatever is not negative is "there".
            there if there >= 0 => T::read(r, cx).map(Some),
            _ => Ok(None),
        }
    }

    fn write(&self, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
        match self {
            None => (-1i8).write(w, cx),
            Some(value) => {
                1i8.write(w, cx)?;
                value.write(w, cx)
            }
        }
    }

    fn is_null(&self) -> bool {
        self.is_none()
    }
}
