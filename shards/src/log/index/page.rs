//! The `.index` sidecar's format: pages of 4096 bytes, each checked by itself. Pure; any core.
//!
//! Little-endian: magic, version u16, kind u8, 0, CRC32C of the page with this field zero, number of entries u32, segment
//! base i64, position of the first entry u64, end u64, then (footer) end offset i64 and largest timestamp i64, zeros to 64;
//! entries of 24 bytes. A footer says that the segment is sealed: its `end` is the segment's size.
//!
//! Invariant: version and checksum keep their places in every version.

use bytes::Bytes;
use thiserror::Error;

use super::{Entry, PrefixSum};
use crate::batch::crc::crc32c;
use crate::runtime::BLOCK_BYTES;
use crate::types::Offset;

const MAGIC: [u8; 4] = *b"CLIX";
const VERSION: u16 = 1;
const KIND_ENTRIES: u8 = 0;
const KIND_FOOTER: u8 = 1;
const CRC_AT: usize = 8;
const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 24;

/// With intervals of 32 KiB a page covers 5.25 MiB of log.
pub const ENTRIES_PER_PAGE: usize = (BLOCK_BYTES - HEADER_BYTES) / ENTRY_BYTES;

/// A page ready to be written at `number` × 4096.
#[derive(Clone, Debug)]
pub struct PageImage {
    pub number: u32,
    pub entries: usize,
    pub is_footer: bool,
    pub bytes: Bytes,
}

impl PageImage {
    pub fn data(base: Offset, number: u32, entries: &[Entry]) -> PageImage {
        let position = entries.first().map_or(0, Entry::start);
        let end = entries.last().map_or(0, Entry::end);
        let mut page = header(KIND_ENTRIES, entries.len(), base, position, end);
        for entry in entries {
            page.extend_from_slice(&entry.offset_delta.to_le_bytes());
            page.extend_from_slice(&entry.position.to_le_bytes());
            page.extend_from_slice(&entry.length.to_le_bytes());
            page.extend_from_slice(&entry.sum.0.to_le_bytes());
            page.extend_from_slice(&entry.max_timestamp_ms.to_le_bytes());
        }
        PageImage { number, entries: entries.len(), is_footer: false, bytes: finish(page) }
    }

    pub fn footer(base: Offset, number: u32, size: u64, end_offset: Offset, max_timestamp_ms: i64) -> PageImage {
        let mut page = header(KIND_FOOTER, 0, base, 0, size);
        page[40..48].copy_from_slice(&end_offset.0.to_le_bytes());
        page[48..56].copy_from_slice(&max_timestamp_ms.to_le_bytes());
        PageImage { number, entries: 0, is_footer: true, bytes: finish(page) }
    }
}

fn header(kind: u8, count: usize, base: Offset, position: u64, end: u64) -> Vec<u8> {
    let mut page = Vec::with_capacity(BLOCK_BYTES);
    page.extend_from_slice(&MAGIC);
    page.extend_from_slice(&VERSION.to_le_bytes());
    page.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
    page.extend_from_slice(&(count as u32).to_le_bytes());
    page.extend_from_slice(&base.0.to_le_bytes());
    page.extend_from_slice(&position.to_le_bytes());
    page.extend_from_slice(&end.to_le_bytes());
    page.resize(HEADER_BYTES, 0);
    page
}

fn finish(mut page: Vec<u8>) -> Bytes {
    page.resize(BLOCK_BYTES, 0);
    let crc = crc32c(&page);
    page[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    page.into()
}

/// The whole sidecar of a sealed segment of `size` bytes.
pub fn sidecar(base: Offset, entries: &[Entry], size: u64, end_offset: Offset) -> Vec<u8> {
    let mut content = Vec::with_capacity((entries.len() / ENTRIES_PER_PAGE + 2) * BLOCK_BYTES);
    let mut number = 0;
    for page in entries.chunks(ENTRIES_PER_PAGE) {
        content.extend_from_slice(&PageImage::data(base, number, page).bytes);
        number += 1;
    }
    let newest = entries.iter().map(|e| e.max_timestamp_ms).max().unwrap_or(-1);
    content.extend_from_slice(&PageImage::footer(base, number, size, end_offset, newest).bytes);
    content
}

/// What a page says.
#[derive(Debug, PartialEq, Eq)]
pub enum Page {
    Entries(Vec<Entry>),
    Footer { size: u64, end_offset: Offset, max_timestamp_ms: i64 },
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// Torn, rotten, or never written: as good as missing.
    #[error("index page is damaged")]
    Damaged,
    #[error("index format version {0} is not known to this build")]
    Version(u16),
}

impl Page {
    pub fn decode(bytes: &[u8], base: Offset) -> Result<Page, PageError> {
        let mut page: [u8; BLOCK_BYTES] = bytes.try_into().map_err(|_| PageError::Damaged)?;
        let crc = u32::from_le_bytes(field(&page, CRC_AT));
        page[CRC_AT..CRC_AT + 4].fill(0);
        if page[..4] != MAGIC || crc32c(&page) != crc {
            return Err(PageError::Damaged);
        }
        let version = u16::from_le_bytes(field(&page, 4));
        if version != VERSION {
            return Err(PageError::Version(version));
        }
        let count = u32::from_le_bytes(field(&page, 12)) as usize;
        if i64::from_le_bytes(field(&page, 16)) != base.0 || count > ENTRIES_PER_PAGE {
            return Err(PageError::Damaged);
        }
        match page[6] {
            KIND_FOOTER => Ok(Page::Footer {
                size: u64::from_le_bytes(field(&page, 32)),
                end_offset: Offset(i64::from_le_bytes(field(&page, 40))),
                max_timestamp_ms: i64::from_le_bytes(field(&page, 48)),
            }),
            KIND_ENTRIES => {
                let entries = page[HEADER_BYTES..].chunks_exact(ENTRY_BYTES).take(count).map(entry).collect();
                Ok(Page::Entries(entries))
            }
            _ => Err(PageError::Damaged),
        }
    }
}

fn entry(bytes: &[u8]) -> Entry {
    Entry {
        offset_delta: u32::from_le_bytes(field(bytes, 0)),
        position: u32::from_le_bytes(field(bytes, 4)),
        length: u32::from_le_bytes(field(bytes, 8)),
        sum: PrefixSum(u32::from_le_bytes(field(bytes, 12))),
        max_timestamp_ms: i64::from_le_bytes(field(bytes, 16)),
    }
}

/// `N` bytes at a place that the format fixes.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        (0..ENTRIES_PER_PAGE as u32)
            .map(|n| Entry {
                offset_delta: n * 3,
                position: n * 40_000,
                length: 40_000,
                sum: PrefixSum(n ^ 7),
                max_timestamp_ms: -1 + i64::from(n),
            })
            .collect()
    }

    #[test]
    fn a_full_page_is_one_block_and_comes_back() {
        let image = PageImage::data(Offset(9), 4, &entries());
        assert_eq!(image.bytes.len(), BLOCK_BYTES);
        assert_eq!(Page::decode(&image.bytes, Offset(9)), Ok(Page::Entries(entries())));
    }

    #[test]
    fn a_footer_comes_back() {
        let image = PageImage::footer(Offset(9), 1, 123, Offset(77), 55);
        let footer = Page::Footer { size: 123, end_offset: Offset(77), max_timestamp_ms: 55 };
        assert_eq!(Page::decode(&image.bytes, Offset(9)), Ok(footer));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let image = PageImage::data(Offset(9), 0, &entries());
        for byte in 0..BLOCK_BYTES {
            let mut rotten = image.bytes.to_vec();
            rotten[byte] ^= 1 << (byte % 8);
            assert_eq!(Page::decode(&rotten, Offset(9)), Err(PageError::Damaged), "byte {byte}");
        }
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        let mut page = PageImage::data(Offset(9), 0, &entries()).bytes.to_vec();
        page[4] = 2;
        page[CRC_AT..CRC_AT + 4].fill(0);
        let crc = crc32c(&page);
        page[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Page::decode(&page, Offset(9)), Err(PageError::Version(2)));
    }

    #[test]
    fn a_page_of_another_segment_counts_as_missing() {
        let image = PageImage::data(Offset(9), 0, &entries());
        assert_eq!(Page::decode(&image.bytes, Offset(10)), Err(PageError::Damaged));
    }
}
