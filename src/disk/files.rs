//! Reads files of a data directory: stretches of logs, whole sidecars. Blocking.
//!
//! Invariant: opened for reading only.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use shards::log::{IndexEntry, IndexPage, IndexPageError};
use shards::runtime::BLOCK_BYTES;
use shards::types::Offset;

/// The bytes at a position, fewer than asked for only at the file's end.
pub fn read_at(file: &File, position: u64, bytes: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match file.read_at(&mut buffer[filled..], position + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    buffer.truncate(filled);
    Ok(buffer.into())
}

/// A whole file; `None` if it is not there.
pub fn file_bytes(path: &Path) -> io::Result<Option<Bytes>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// The pages of a segment's index.
#[derive(Debug, Default)]
pub struct Sidecar {
    /// Of every page that is whole, by its number.
    pub pages: Vec<(u32, IndexPage)>,
    /// The others.
    pub wrong: Vec<(u32, IndexPageError)>,
}

impl Sidecar {
    /// All entries, by position.
    pub fn entries(&self) -> Vec<IndexEntry> {
        let mut entries: Vec<IndexEntry> = Vec::new();
        for (_, page) in &self.pages {
            if let IndexPage::Entries(found) = page {
                entries.extend(found);
            }
        }
        entries.sort_by_key(IndexEntry::start);
        entries
    }
}

/// Reads the bytes of a sidecar.
pub fn sidecar(bytes: &[u8], base: Offset) -> Sidecar {
    let mut found = Sidecar::default();
    for (number, page) in (0..).zip(bytes.chunks(BLOCK_BYTES)) {
        match IndexPage::decode(page, base) {
            Ok(page) => found.pages.push((number, page)),
            Err(error) => found.wrong.push((number, error)),
        }
    }
    found
}
