//! Whole batches in a stretch of log.

use super::header::BatchHeader;

/// Yields (position, header) of each whole batch; ends at the first that is incomplete or zero.
pub struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
}

pub fn walk(bytes: &[u8]) -> Walk<'_> {
    Walk { bytes, position: 0 }
}

impl Iterator for Walk<'_> {
    type Item = (usize, BatchHeader);

    fn next(&mut self) -> Option<(usize, BatchHeader)> {
        let rest = self.bytes.get(self.position..)?;
        let header = BatchHeader::parse(rest).ok()?;
        if header.magic != 2 {
            return None;
        }
        let total = header.total_bytes().filter(|total| *total <= rest.len())?;
        let at = self.position;
        self.position += total;
        Some((at, header))
    }
}
