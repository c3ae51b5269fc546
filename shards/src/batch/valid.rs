//! A batch that passed its checks.

use bytes::Bytes;
use thiserror::Error;

use super::crc::crc32c;
use super::header::{BatchHeader, CRC_FROM};
use crate::types::{LeaderEpoch, Offset};

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BatchError {
    #[error("{bytes} bytes are no whole batch")]
    Truncated { bytes: usize },
    #[error("magic {magic}")]
    Magic { magic: i8 },
    #[error("checksum")]
    Checksum,
}

#[derive(Debug, Clone)]
pub struct ValidBatch {
    bytes: Bytes,
    header: BatchHeader,
}

impl ValidBatch {
    pub fn parse(bytes: Bytes) -> Result<ValidBatch, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        if header.magic != 2 {
            return Err(BatchError::Magic { magic: header.magic });
        }
        let total = header.total_bytes().filter(|t| *t <= bytes.len()).ok_or(BatchError::Truncated { bytes: bytes.len() })?;
        let bytes = bytes.slice(..total);
        if crc32c(&bytes[CRC_FROM..]) != header.crc {
            return Err(BatchError::Checksum);
        }
        Ok(ValidBatch { bytes, header })
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
}

pub fn stamp(batch: &mut [u8], base: Offset, epoch: LeaderEpoch) {
    batch[0..8].copy_from_slice(&base.0.to_be_bytes());
    batch[12..16].copy_from_slice(&epoch.0.to_be_bytes());
}
