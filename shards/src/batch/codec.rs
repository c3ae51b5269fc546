//! The compressions of a batch's records. Pure; every decompression is bounded before it starts.
//!
//! Invariant: output never exceeds the limit given, whatever the input claims.

use std::io::{self, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use thiserror::Error;

/// Xerial's framing of snappy, which Java clients write: magic, two versions, then blocks with their lengths.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEAD_BYTES: usize = 16;
/// The bit in the fifth byte of an lz4 frame that says that each block is compressed for itself.
const LZ4_INDEPENDENT: u8 = 0x20;
/// And those that say that each block has a checksum behind it, and the head a size.
const LZ4_BLOCK_CHECKSUMS: u8 = 0x10;
const LZ4_CONTENT_SIZE: u8 = 0x08;
/// A header, an empty block and a trailer: Java does not look for a member in less.
const GZIP_MEMBER_BYTES_MIN: usize = 19;
/// Uncompressed bytes in one block of that framing, as Java writes them.
const XERIAL_BLOCK_BYTES: usize = 32 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `compression.gzip.level`, `compression.zstd.level`. lz4_flex has one level, so `compression.lz4.level` has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLevels {
    pub gzip: i32,
    pub zstd: i32,
}

impl Default for CompressionLevels {
    /// Kafka's.
    fn default() -> CompressionLevels {
        CompressionLevels { gzip: -1, zstd: 3 }
    }
}

#[derive(Debug, Error)]
pub enum CodecError {
    #[error("compression code {code} is not known")]
    Unknown { code: i16 },
    #[error("more than {max} bytes when decompressed")]
    TooLarge { max: usize },
    #[error("the compressed bytes are damaged: {0}")]
    Damaged(String),
}

impl Compression {
    pub fn from_code(code: i16) -> Result<Compression, CodecError> {
        match code {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            code => Err(CodecError::Unknown { code }),
        }
    }

    /// Compressing takes a millisecond for some ten kilobytes.
    pub fn is_slow(self) -> bool {
        matches!(self, Compression::Gzip | Compression::Zstd)
    }

    /// As Kafka's configs write it.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    pub fn code(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }
}

/// For a batch of a log: a limit on decompressed sizes let it in, and a length beyond this is none.
pub const STORED_DECOMPRESSED_BYTES_MAX: usize = i32::MAX as usize;

/// Decompresses into `out`, which is cleared before; at most `max` bytes.
pub fn decompress(codec: Compression, bytes: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.clear();
    match codec {
        Compression::None if bytes.len() > max => Err(CodecError::TooLarge { max }),
        Compression::None => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        Compression::Gzip => gzip(bytes, max, out),
        Compression::Snappy => snappy(bytes, max, out),
        // Kafka's broker and its Java client read no other frames, so a batch of them would be stored for nobody.
        Compression::Lz4 if bytes.get(4).is_some_and(|flags| flags & LZ4_INDEPENDENT == 0) => {
            Err(CodecError::Damaged("the blocks of an lz4 frame depend on each other".into()))
        }
        Compression::Lz4 => {
            read_bounded(FrameDecoder::new(bytes), max, out)?;
            if lz4_has_end(bytes) { Ok(()) } else { Err(CodecError::Damaged("an lz4 frame has no end mark".into())) }
        }
        Compression::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(damaged)?;
            read_bounded(decoder, max, out)
        }
    }
}

/// Compresses to the end of `out`.
pub fn compress(
    codec: Compression,
    levels: CompressionLevels,
    bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    match codec {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip => {
            let level = match u32::try_from(levels.gzip) {
                Ok(level) => flate2::Compression::new(level.min(9)),
                Err(_) => flate2::Compression::default(),
            };
            let mut encoder = GzEncoder::new(out, level);
            encoder.write_all(bytes).map_err(damaged)?;
            encoder.finish().map_err(damaged)?;
        }
        Compression::Snappy => snappy_xerial(bytes, out)?,
        Compression::Lz4 => {
            let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, out);
            encoder.write_all(bytes).map_err(damaged)?;
            encoder.finish().map_err(damaged)?;
        }
        Compression::Zstd => zstd::stream::copy_encode(bytes, out, levels.zstd).map_err(damaged)?,
    }
    Ok(())
}

/// Whether the first frame comes to its end mark: the decoder takes the end of the bytes for one, Kafka and its Java client
/// do not. The bytes have been decompressed.
fn lz4_has_end(bytes: &[u8]) -> bool {
    const HEAD_BYTES: usize = 7;
    let flags = bytes.get(4).copied().unwrap_or_default();
    let size_bytes = if flags & LZ4_CONTENT_SIZE == 0 { 0 } else { 8 };
    let checksum_bytes = if flags & LZ4_BLOCK_CHECKSUMS == 0 { 0 } else { 4 };
    let mut rest = bytes.get(HEAD_BYTES + size_bytes..).unwrap_or_default();
    while let Some((len, after)) = rest.split_first_chunk::<4>() {
        // The highest bit says that the block is not compressed.
        let len = u32::from_le_bytes(*len) & 0x7fff_ffff;
        if len == 0 {
            return true;
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(checksum_bytes);
        rest = after.get(len..).unwrap_or_default();
    }
    false
}

/// All members of a gzip stream. As Java reads it, what follows a member and does not begin as another one is left out.
fn gzip(bytes: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut decoder = GzDecoder::new(bytes);
    loop {
        read_bounded(&mut decoder, max, out)?;
        let rest = decoder.into_inner();
        decoder = GzDecoder::new(rest);
        if rest.len() < GZIP_MEMBER_BYTES_MIN || decoder.header().is_none() {
            return Ok(());
        }
    }
}

/// Reads to the end of `out`, which may have at most `max` bytes then.
fn read_bounded(from: impl Read, max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let limit = u64::try_from(max.saturating_sub(out.len())).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit).read_to_end(out).map_err(damaged)?;
    if out.len() > max { Err(CodecError::TooLarge { max }) } else { Ok(()) }
}

fn damaged(error: impl Into<io::Error>) -> CodecError {
    CodecError::Damaged(error.into().to_string())
}

fn snappy(bytes: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    if !bytes.starts_with(&XERIAL_MAGIC) {
        return snappy_block(bytes, max, out);
    }
    let mut rest = bytes.get(XERIAL_HEAD_BYTES..).ok_or_else(|| CodecError::Damaged("a snappy head is cut".into()))?;
    while !rest.is_empty() {
        let Some((len, after)) = rest.split_first_chunk::<4>() else {
            return Err(CodecError::Damaged("a snappy block's length is cut".into()));
        };
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        let Some((block, after)) = after.split_at_checked(len) else {
            return Err(CodecError::Damaged("a snappy block is cut".into()));
        };
        snappy_block(block, max, out)?;
        rest = after;
    }
    Ok(())
}

/// One plain block to the end of `out`.
fn snappy_block(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let len = snap::raw::decompress_len(block).map_err(|e| CodecError::Damaged(e.to_string()))?;
    let start = out.len();
    // A block expands 21 times at most (64 bytes from a 3-byte copy): what claims more lies.
    if start.saturating_add(len) > max {
        return Err(CodecError::TooLarge { max });
    }
    if len > block.len().saturating_mul(32) {
        return Err(CodecError::Damaged("a snappy block claims more than it can hold".into()));
    }
    out.resize(start.saturating_add(len), 0);
    let into = out.get_mut(start..).unwrap_or_default();
    let got = snap::raw::Decoder::new().decompress(block, into).map_err(|e| CodecError::Damaged(e.to_string()))?;
    out.truncate(start.saturating_add(got));
    Ok(())
}

fn snappy_xerial(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&1u32.to_be_bytes());
    out.extend_from_slice(&1u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(XERIAL_BLOCK_BYTES) {
        let packed = encoder.compress_vec(block).map_err(|e| CodecError::Damaged(e.to_string()))?;
        out.extend_from_slice(&u32::try_from(packed.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    proptest! {
        #[test]
        fn every_codec_gives_back_what_it_was_given(bytes in proptest::collection::vec(any::<u8>(), 0..100_000)) {
            for codec in ALL {
                let mut packed = Vec::new();
                compress(codec, CompressionLevels::default(), &bytes, &mut packed).expect("compressed");
                let mut out = Vec::new();
                decompress(codec, &packed, bytes.len(), &mut out).expect("decompressed");
                prop_assert_eq!(&out, &bytes);
            }
        }

        #[test]
        fn any_bytes_decompress_to_something_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for codec in ALL {
                let mut out = Vec::new();
                if decompress(codec, &bytes, 10_000, &mut out).is_ok() {
                    prop_assert!(out.len() <= 10_000);
                }
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeros = vec![0; 50 << 20];
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let mut packed = Vec::new();
            compress(codec, CompressionLevels::default(), &zeros, &mut packed).expect("compressed");
            let mut out = Vec::new();
            let refused = decompress(codec, &packed, 1 << 20, &mut out);
            assert!(matches!(refused, Err(CodecError::TooLarge { .. })), "{codec:?}: {refused:?}");
            assert!(out.capacity() < 8 << 20, "{codec:?} took {} bytes", out.capacity());
        }
    }

    #[test]
    fn what_follows_gzip_and_is_none_is_left_out_as_by_java() {
        let member = |text: &[u8]| {
            let mut packed = Vec::new();
            compress(Compression::Gzip, CompressionLevels::default(), text, &mut packed).expect("compressed");
            packed
        };
        let (first, second) = (member(b"the same text"), member(b" and more"));
        for (behind, read) in [
            (&[][..], &b"the same text"[..]),
            (&[7; 100], b"the same text"),
            (&first[..15], b"the same text"),
            (&second, b"the same text and more"),
            (&[&second[..], &[7; 40]].concat(), b"the same text and more"),
        ] {
            let mut out = Vec::new();
            decompress(Compression::Gzip, &[&first, behind].concat(), 22, &mut out).expect("decompressed");
            assert_eq!(out, read);
        }
        let mut out = Vec::new();
        let cut = [&first[..], &second[..second.len() - 1]].concat();
        assert!(decompress(Compression::Gzip, &cut, 100, &mut out).is_err(), "another that began");
        let both = [&first[..], &second].concat();
        let refused = decompress(Compression::Gzip, &both, 21, &mut out);
        assert!(matches!(refused, Err(CodecError::TooLarge { .. })), "{refused:?}");
    }

    #[test]
    fn lz4_blocks_that_depend_on_each_other_are_refused_as_by_kafka() {
        for (mode, read) in [(BlockMode::Independent, true), (BlockMode::Linked, false)] {
            let mut encoder = FrameEncoder::with_frame_info(FrameInfo::new().block_mode(mode), Vec::new());
            encoder.write_all(b"the same text").expect("compressed");
            let packed = encoder.finish().expect("compressed");
            let mut out = Vec::new();
            assert_eq!(decompress(Compression::Lz4, &packed, 100, &mut out).is_ok(), read, "{mode:?}");
        }
    }

    #[test]
    fn an_lz4_frame_without_its_end_mark_is_refused_as_by_kafka() {
        let text = b"the same text";
        let with = [
            FrameInfo::new(),
            FrameInfo::new().block_checksums(true),
            FrameInfo::new().content_size(Some(text.len() as u64)),
            FrameInfo::new().block_checksums(true).content_size(Some(text.len() as u64)),
        ];
        for info in with {
            let mut encoder =
                FrameEncoder::with_frame_info(info.clone().block_mode(BlockMode::Independent), Vec::new());
            encoder.write_all(text).expect("compressed");
            let packed = encoder.finish().expect("compressed");
            let mut out = Vec::new();
            decompress(Compression::Lz4, &packed, 100, &mut out).expect("decompressed");
            let cut = decompress(Compression::Lz4, &packed[..packed.len() - 4], 100, &mut out);
            assert!(cut.is_err(), "{info:?}");
        }
    }

    #[test]
    fn both_framings_of_snappy_are_read() {
        let plain = snap::raw::Encoder::new().compress_vec(b"the same text").expect("compressed");
        let mut xerial = Vec::new();
        snappy_xerial(b"the same text", &mut xerial).expect("compressed");
        for packed in [plain, xerial] {
            let mut out = Vec::new();
            decompress(Compression::Snappy, &packed, 100, &mut out).expect("decompressed");
            assert_eq!(out, b"the same text");
        }
    }
}
