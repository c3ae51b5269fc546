//! Random values of declared messages, for the comparison with other implementations, property tests and fuzz seeds.
//! Never on the path of a request.
//!
//! Invariant: the same seed gives the same values; a value holds only what its version can carry.

use bytes::Bytes;

use super::{Cx, Field, RecordParts, Str, TopicId, Wire};

/// A seeded source of choices (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn seeded(seed: u64) -> Dice {
        Dice(seed)
    }

    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True once in `times` rolls.
    pub const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Below `end`, or 0 if that is 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        match self.roll().checked_rem(end) {
            Some(value) => value,
            None => 0,
        }
    }

    /// Small, as a rule: the lengths that matter are those around 0, 1 and 128, where a varint takes a second byte.
    fn len(&mut self) -> u64 {
        if self.once_in(24) { self.below(300) } else { self.below(5) }
    }

    fn bytes(&mut self) -> Bytes {
        (0..self.len()).map(|_| self.int()[0]).collect()
    }

    /// The bytes of an integer: often 0, -1 or an extreme.
    const fn int(&mut self) -> [u8; 8] {
        match self.below(8) {
            0 => [0; 8],
            1 => [0xff; 8],
            2 => i64::MIN.to_be_bytes(),
            3 => [0, 0, 0, 0, 0, 0, 0, 1],
            _ => self.roll().to_be_bytes(),
        }
    }
}

/// A type that can be made up.
pub trait Sample: Sized {
    fn sample(dice: &mut Dice, cx: Cx) -> Self;
}

impl Field {
    /// Whether the field gets a made-up value: else its default, as where the version lacks it.
    pub fn is_sampled(self, dice: &mut Dice, cx: Cx) -> bool {
        self.versions.contains(cx.version) && !(self.tag.is_some() && dice.once_in(3))
    }

    /// A value that the field may have in this version.
    pub fn sample<T: Sample + Wire>(self, dice: &mut Dice, cx: Cx) -> T {
        loop {
            let value = T::sample(dice, cx);
            if !value.is_null() || self.nullable.contains(cx.version) {
                return value;
            }
        }
    }
}

macro_rules! ints {
    ($($ty:ty),*) => { $(
        impl Sample for $ty {
            fn sample(dice: &mut Dice, _: Cx) -> $ty {
                let mut bytes = [0; size_of::<$ty>()];
                // The leading bytes, so that the extremes of 64 bits are those of every width.
                bytes.iter_mut().zip(dice.int()).for_each(|(byte, from)| *byte = from);
                <$ty>::from_be_bytes(bytes)
            }
        }
    )* };
}

ints!(i8, i16, i32, i64, u16, u32);

impl Sample for f64 {
    /// A number: one that is none does not equal itself.
    fn sample(dice: &mut Dice, cx: Cx) -> f64 {
        i64::sample(dice, cx) as f64 / 1024.0
    }
}

impl Sample for bool {
    fn sample(dice: &mut Dice, _: Cx) -> bool {
        dice.once_in(2)
    }
}

impl Sample for [u8; 16] {
    fn sample(dice: &mut Dice, _: Cx) -> [u8; 16] {
        if dice.once_in(4) { [0; 16] } else { (u128::from(dice.roll()) << 64 | u128::from(dice.roll())).to_be_bytes() }
    }
}

impl Sample for TopicId {
    fn sample(dice: &mut Dice, cx: Cx) -> TopicId {
        TopicId(Sample::sample(dice, cx))
    }
}

impl Sample for Str {
    fn sample(dice: &mut Dice, _: Cx) -> Str {
        const LETTERS: [char; 8] = ['a', 'Z', '0', '.', '-', '_', 'é', '語'];
        let letters = (0..dice.len()).filter_map(|_| LETTERS.iter().cycle().nth(usize::from(dice.int()[7])));
        letters.collect::<String>().into()
    }
}

impl Sample for Bytes {
    fn sample(dice: &mut Dice, _: Cx) -> Bytes {
        dice.bytes()
    }
}

impl Sample for RecordParts {
    fn sample(dice: &mut Dice, _: Cx) -> RecordParts {
        dice.bytes().into()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(dice: &mut Dice, cx: Cx) -> Option<T> {
        (!dice.once_in(4)).then(|| T::sample(dice, cx))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(dice: &mut Dice, cx: Cx) -> Vec<T> {
        let mut elements = Vec::new();
        for _ in 0..dice.below(4) {
            elements.push(T::sample(dice, cx));
        }
        elements
    }
}
