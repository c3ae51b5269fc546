//! The run file: which run's checkpoints and journals are the current ones. One for the whole data directory.
//!
//! Invariant: it changes by rename, after everything that it points to is synced; so a start either sees the last run
//! whole or the new one whole (R7).

use std::io;
use std::path::{Path, PathBuf};

use super::format::RunId;
use crate::batch::crc::crc32c;
use crate::runtime::Runtime;

const MAGIC: [u8; 4] = *b"CLRN";
const VERSION: u16 = 1;
const BYTES: usize = 40;

/// One start of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Grows by one with every start that got as far as writing it, from 1.
    pub number: u64,
    pub id: RunId,
    /// How many shards wrote checkpoints and journals.
    pub shards: u32,
}

impl Run {
    /// The file's bytes.
    pub fn encode(&self) -> [u8; BYTES] {
        let mut b = [0; BYTES];
        b[0..4].copy_from_slice(&MAGIC);
        b[4..6].copy_from_slice(&VERSION.to_le_bytes());
        b[8..16].copy_from_slice(&self.number.to_le_bytes());
        b[16..32].copy_from_slice(&self.id.0.to_le_bytes());
        b[32..36].copy_from_slice(&self.shards.to_le_bytes());
        let crc = crc32c(&b[..36]);
        b[36..40].copy_from_slice(&crc.to_le_bytes());
        b
    }

    /// Reads the file's bytes; what is wrong with them otherwise.
    pub fn decode(bytes: &[u8]) -> Result<Run, String> {
        let b: &[u8; BYTES] = bytes.try_into().map_err(|_| format!("{} bytes, expected {BYTES}", bytes.len()))?;
        if b[0..4] != MAGIC {
            return Err("not a run file of corelog".into());
        }
        let version = u16::from_le_bytes([b[4], b[5]]);
        if version != VERSION {
            return Err(format!("format version {version} is not known to this build, which knows {VERSION}"));
        }
        let le = |at: usize| u64::from_le_bytes(b[at..at + 8].try_into().expect("eight bytes"));
        let word = |at: usize| u32::from_le_bytes(b[at..at + 4].try_into().expect("four bytes"));
        if word(36) != crc32c(&b[..36]) {
            return Err("its checksum does not match".into());
        }
        let id = u128::from_le_bytes(b[16..32].try_into().expect("sixteen bytes"));
        Ok(Run { number: le(8), id: RunId(id), shards: word(32) })
    }

    /// The current run; `None` on a fresh directory.
    ///
    /// # Errors
    /// `InvalidData` for a damaged file or one of another version.
    pub async fn load<R: Runtime>(rt: &R, data_dir: &Path) -> io::Result<Option<Run>> {
        let path = path(data_dir);
        match rt.read_whole(&path).await {
            Ok(bytes) => match Run::decode(&bytes) {
                Ok(run) => Ok(Some(run)),
                Err(why) => {
                    let why = format!(
                        "{why}. It says which checkpoints and journals count. Nothing was changed: put it back from a copy of the disk; \
                         `corelog log verify DIR` on {} says what else is whole",
                        data_dir.display()
                    );
                    Err(io::Error::new(io::ErrorKind::InvalidData, why))
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes this the current run.
    pub async fn store<R: Runtime>(&self, rt: &R, data_dir: &Path) -> io::Result<()> {
        let path = path(data_dir);
        let beside = path.with_extension("new");
        rt.write_whole(&beside, self.encode().to_vec()).await?;
        rt.rename(&beside, &path).await?;
        rt.sync_dir(data_dir).await
    }
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("run")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_and_any_flipped_bit_is_refused() {
        let run = Run { number: 7, id: RunId(0x1234_5678_9abc), shards: 3 };
        let bytes = run.encode();
        assert_eq!(Run::decode(&bytes), Ok(run));
        for bit in 0..BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Run::decode(&damaged).is_err(), "bit {bit}");
        }
    }
}
