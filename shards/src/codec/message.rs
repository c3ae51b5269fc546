//! `message!`: one declaration of a message becomes its struct, its default, its decode and its encode. Every core.
//!
//! Invariant: a field is written down once. What Kafka's schema says about it (versions, null, default, tag,
//! ignorable) is in its declaration and nowhere else.

use super::sample::{Dice, Sample};
use super::{Cx, DecodeError, EncodeError, Reader, Wire, Writer};

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const ALL: Versions = Versions::new(0, i16::MAX);
    pub const NONE: Versions = Versions::new(0, -1);

    pub const fn new(min: i16, max: i16) -> Versions {
        Versions { min, max }
    }

    #[inline]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Every version of the range, ascending.
    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }
}

/// What a declaration says of a field beyond its type.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<u32>,
    /// A value that the version cannot carry is dropped; else it is an error.
    pub ignorable: bool,
}

impl Field {
    /// Has a place of its own in this version, rather than a tag or nothing.
    #[inline]
    pub const fn is_plain(self, cx: Cx) -> bool {
        self.tag.is_none() && self.versions.contains(cx.version)
    }

    /// May come under `tag` in this version.
    #[inline]
    pub fn is_tag(self, tag: u32, cx: Cx) -> bool {
        self.tag == Some(tag) && self.versions.contains(cx.version)
    }

    #[inline]
    pub fn read<T: Wire>(self, r: &mut Reader<'_>, cx: Cx) -> Result<T, DecodeError> {
        let value = T::read(r, cx)?;
        if value.is_null() && !self.nullable.contains(cx.version) {
            return Err(DecodeError::UnexpectedNull);
        }
        Ok(value)
    }

    /// A function, so that the default is of the value's type.
    #[inline]
    pub fn is_default<T: PartialEq>(value: &T, default: T) -> bool {
        *value == default
    }

    /// May be left out of this version only if it has its default: another value would be lost.
    #[inline]
    pub const fn must_be_default(self, cx: Cx) -> bool {
        !self.ignorable && !self.versions.contains(cx.version)
    }

    /// What refuses another value than the default where [that must be](Self::must_be_default).
    pub const fn lost(self, cx: Cx) -> EncodeError {
        EncodeError::FieldNotInVersion { field: self.name, version: cx.version }
    }

    /// The tag to write the field under, unless its value is the default: none if the version lacks it.
    #[inline]
    pub const fn tag_in(self, cx: Cx) -> Option<u32> {
        if self.versions.contains(cx.version) { self.tag } else { None }
    }

    #[inline]
    pub fn write<T: Wire>(self, value: &T, w: &mut Writer, cx: Cx) -> Result<(), EncodeError> {
        if value.is_null() && !self.nullable.contains(cx.version) {
            return Err(EncodeError::UnexpectedNull { field: self.name, version: cx.version });
        }
        value.write(w, cx)
    }
}

/// A whole message: what a frame, or the value of a metadata record, holds after its header.
pub trait Message: Wire + Default + Sample {
    const NAME: &'static str;
    /// The API key of a request or reply, the type of a metadata record, -1 for a message that has none.
    const KEY: i16;
    const VERSIONS: Versions;
    /// Versions with compact lengths and tagged fields (KIP-482).
    const FLEXIBLE: Versions;

    /// Reads a message of this version; bytes after it stay in the reader.
    fn decode(r: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(DecodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        Self::read(r, Cx { version, flexible: Self::FLEXIBLE.contains(version) })
    }

    /// Writes the message in this version. After an error the writer holds part of a message: drop it.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            return Err(EncodeError::UnsupportedVersion { message: Self::NAME, version });
        }
        self.write(w, Cx { version, flexible: Self::FLEXIBLE.contains(version) })
    }

    /// A made-up message that this version can carry; for tests.
    fn random(dice: &mut Dice, version: i16) -> Self {
        Self::sample(dice, Cx { version, flexible: Self::FLEXIBLE.contains(version) })
    }
}

/// Declares a message.
///
/// ```
/// use shards::codec::{Message, Reader, Writer, message};
///
/// message! {
///     /// Moves the log start of partitions.
///     DeleteRecordsRequest, key 21, versions 0..=2, flexible 2..;
///     topics: [Topic] {
///         name: str,
///         partitions: [Partition] { index: i32, offset: i64 (0.., or -1) },
///     },
///     timeout_ms: i32 (1.., ignorable),
///     reason: str (2.., null 2.., or None, tag 0),
/// }
///
/// let mut w = Writer::default();
/// let request = DeleteRecordsRequest { timeout_ms: 5, ..Default::default() };
/// request.encode(&mut w, 2)?;
/// let bytes = w.into_bytes();
/// assert_eq!(DeleteRecordsRequest::decode(&mut Reader::new(&bytes), 2)?, request);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A field is `name: type { fields of the struct, if it names a new one } (what else there is to say)`.
///
/// | type | in Rust |
/// |---|---|
/// | `bool` `i8` `i16` `i32` `i64` `u16` `u32` `f64` | themselves |
/// | `str`, `bytes`, `records` | [`Str`](super::Str), `Bytes`, `Bytes`: slices of the frame |
/// | `record_parts` | [`RecordParts`](super::RecordParts): several slices, written without a copy |
/// | `uuid`, `topic_id` | `[u8; 16]`, [`TopicId`](super::TopicId) |
/// | `[t]` | `Vec` of t |
/// | any other name | the type of that name in scope: a struct declared here, or one that is [`Wire`] |
///
/// In parentheses, in this order: the versions that have the field (`3..`, `0..=12`); `null 7..`, the versions in which
/// it may be null, which makes it an `Option`; `or VALUE`, its default, where that is not zero, empty or, for an
/// `Option`, `Some` of empty (as in Kafka's schemas); `tag N`, if it is a tagged field in all of its versions;
/// `ignorable`, if a value that a version lacks may be dropped. Tags ascend in the order of declaration.
///
/// A record of the metadata log is declared the same way: `key` is the record's type, and its versions are those that
/// the record's value carries (`TopicRecord, key 2, versions 0..=0, flexible 0..;`). A struct that is no message by
/// itself leaves `key N` out, and its `KEY` is -1.
#[macro_export]
macro_rules! message {
    (
        $(#[$meta:meta])*
        $name:ident $(, key $key:literal)?, versions $min:literal ..= $max:literal, flexible $flexible:literal ..;
        $($fields:tt)*
    ) => {
        $crate::message_struct! { $(#[$meta])* $name { $($fields)* } }

        impl $crate::codec::Message for $name {
            const NAME: &'static str = stringify!($name);
            const KEY: i16 = $crate::message_or!($($key)?, -1);
            const VERSIONS: $crate::codec::Versions = $crate::codec::Versions::new($min, $max);
            const FLEXIBLE: $crate::codec::Versions = $crate::codec::Versions::new($flexible, i16::MAX);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! message_struct {
    (
        $(#[$meta:meta])*
        $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $ty:tt $({ $($nested:tt)* })? $(( $($more:tt)* ))?
            ),* $(,)?
        }
    ) => {
        $( $( $crate::message_nested! { $ty { $($nested)* } } )? )*

        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $crate::message_type!($ty ($($($more)*)?)), )*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $crate::message_default!($($($more)*)?), )* }
            }
        }

        impl $crate::codec::Struct for $name {}

        impl $crate::codec::sample::Sample for $name {
            fn sample(dice: &mut $crate::codec::sample::Dice, cx: $crate::codec::Cx) -> Self {
                $name {
                    $(
                        $field: if $crate::message_field!($field ($($($more)*)?)).is_sampled(dice, cx) {
                            $crate::message_field!($field ($($($more)*)?)).sample(dice, cx)
                        } else {
                            $crate::message_default!($($($more)*)?)
                        },
                    )*
                }
            }
        }

        impl $crate::codec::Wire for $name {
            #[inline]
            fn bytes_min(cx: $crate::codec::Cx) -> usize {
                // Cannot overflow: a few constants, one for each field declared.
                let mut bytes = usize::from(cx.flexible);
                $(
                    if $crate::message_field!($field ($($($more)*)?)).is_plain(cx) {
                        let field = <$crate::message_type!($ty ($($($more)*)?)) as $crate::codec::Wire>::bytes_min(cx);
                        bytes = bytes.saturating_add(field);
                    }
                )*
                bytes
            }

            fn read(
                r: &mut $crate::codec::Reader<'_>,
                cx: $crate::codec::Cx,
            ) -> Result<Self, $crate::codec::DecodeError> {
                $(
                    #[allow(unused_mut, reason = "only a tagged field is assigned again")]
                    let mut $field = if $crate::message_field!($field ($($($more)*)?)).is_plain(cx) {
                        $crate::message_field!($field ($($($more)*)?)).read(r, cx)?
                    } else {
                        $crate::message_default!($($($more)*)?)
                    };
                )*
                if cx.flexible {
                    for _ in 0..r.uvarint()? {
                        #[allow(unused_variables, reason = "not every message has tagged fields")]
                        let (tag, after) = r.enter_tag()?;
                        $( $crate::message_if_tagged! { ($($($more)*)?) {
                            if $crate::message_field!($field ($($($more)*)?)).is_tag(tag, cx) {
                                $field = $crate::message_field!($field ($($($more)*)?)).read(r, cx)?;
                                r.leave_tag(after)?;
                                continue;
                            }
                        } } )*
                        // A field of a later minor change: skipped, as KIP-482 wants it.
                        r.skip_rest();
                        r.leave_tag(after)?;
                    }
                }
                Ok($name { $($field),* })
            }

            fn write(
                &self,
                w: &mut $crate::codec::Writer,
                cx: $crate::codec::Cx,
            ) -> Result<(), $crate::codec::EncodeError> {
                let tags = 0u32;
                $(
                    let field = $crate::message_field!($field ($($($more)*)?));
                    if field.is_plain(cx) {
                        field.write(&self.$field, w, cx)?;
                    } else if field.must_be_default(cx)
                        && !$crate::codec::Field::is_default(&self.$field, $crate::message_default!($($($more)*)?))
                    {
                        return Err(field.lost(cx));
                    }
                    $crate::message_if_tagged! { ($($($more)*)?) {
                        let told = field.tag_in(cx).is_some()
                            && !$crate::codec::Field::is_default(&self.$field, $crate::message_default!($($($more)*)?));
                        let tags = tags.saturating_add(u32::from(told));
                    } }
                )*
                if cx.flexible {
                    w.uvarint(tags);
                    if tags > 0 {
                        $( $crate::message_if_tagged! { ($($($more)*)?) {
                            let field = $crate::message_field!($field ($($($more)*)?));
                            let default = $crate::message_default!($($($more)*)?);
                            if let Some(tag) = field.tag_in(cx)
                                && !$crate::codec::Field::is_default(&self.$field, default)
                            {
                                w.tag(tag, |w| field.write(&self.$field, w, cx))?;
                            }
                        } } )*
                    }
                }
                Ok(())
            }
        }
    };
}

/// The struct that a field declares in passing.
#[doc(hidden)]
#[macro_export]
macro_rules! message_nested {
    ([$name:ident] { $($fields:tt)* }) => { $crate::message_struct! { $name { $($fields)* } } };
    ($name:ident { $($fields:tt)* }) => { $crate::message_struct! { $name { $($fields)* } } };
}

/// The Rust type of a field.
#[doc(hidden)]
#[macro_export]
macro_rules! message_type {
    ($ty:tt ($lo:literal $(..)? $(..= $hi:literal)?, null $($more:tt)*)) => { Option<$crate::message_type!($ty)> };
    ($ty:tt ($($more:tt)*)) => { $crate::message_type!($ty) };
    ([$ty:tt]) => { Vec<$crate::message_type!($ty)> };
    (str) => { $crate::codec::Str };
    (bytes) => { $crate::codec::Bytes };
    (records) => { $crate::codec::Bytes };
    (record_parts) => { $crate::codec::RecordParts };
    (uuid) => { [u8; 16] };
    (topic_id) => { $crate::codec::TopicId };
    ($ty:ident) => { $ty };
}

/// The default of a field.
#[doc(hidden)]
#[macro_export]
macro_rules! message_default {
    ($lo:literal $(..)? $(..= $hi:literal)? $(, null $null:literal ..)?, or $default:expr $(, $($more:tt)*)?) => {
        $default
    };
    ($lo:literal $(..)? $(..= $hi:literal)?, null $null:literal .. $(, $($more:tt)*)?) => {
        Some(Default::default())
    };
    ($($more:tt)*) => {
        Default::default()
    };
}

/// Code for tagged fields only. They are few: in every field, it would be most of the code that all messages take.
#[doc(hidden)]
#[macro_export]
macro_rules! message_if_tagged {
    (
        ($lo:literal $(..)? $(..= $hi:literal)? $(, null $null:literal ..)? $(, or $default:expr)?, tag $($more:tt)*)
        { $($code:tt)* }
    ) => { $($code)* };
    (($($more:tt)*) { $($code:tt)* }) => {};
}

/// The [`Field`](crate::codec::Field) of a declaration.
#[doc(hidden)]
#[macro_export]
macro_rules! message_field {
    ($field:ident ()) => { $crate::message_field!($field (0..)) };
    ($field:ident (
        $lo:literal $(..)? $(..= $hi:literal)?
        $(, null $null:literal ..)?
        $(, or $default:expr)?
        $(, tag $tag:literal)?
        $(, ignorable $(@ $ignorable:tt)?)?
    )) => {
        const {
            $crate::codec::Field {
                name: stringify!($field),
                versions: $crate::codec::Versions::new($lo, $crate::message_or!($($hi)?, i16::MAX)),
                nullable: $crate::message_or!(
                    $($crate::codec::Versions::new($null, i16::MAX))?, $crate::codec::Versions::NONE
                ),
                tag: $crate::message_or!($(Some($tag))?, None),
                ignorable: $crate::message_or!($(true $(@ $ignorable)?)?, false),
            }
        }
    };
}

/// The first if it is there, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! message_or {
    (, $otherwise:expr) => {
        $otherwise
    };
    ($given:expr, $otherwise:expr) => {
        $given
    };
}
