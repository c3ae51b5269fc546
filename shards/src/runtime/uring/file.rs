//! Files by direct I/O through the ring. Owning core only. Invariant: only whole blocks are read and written, and what
//! a write reports short is an error.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use glommio::GlommioError;
use glommio::io::{DmaFile, OpenOptions};
use rustix::fs::OFlags;

use super::blocking::UnderWay;
use super::memory::DmaBlocks;
use super::{Core, blocking};
use crate::runtime::buf::{Frozen, IoBuf};
use crate::runtime::{BLOCK_BYTES, File, OpenMode, READ_BYTES_MAX};

/// Where the process finds what it has open, by number.
pub(super) const PROC_DESCRIPTORS: &str = "/proc/self/fd";

pub struct UringFile {
    file: DmaFile,
    /// The same file with O_DSYNC: glommio has no flags for a single write.
    synced: Option<DmaFile>,
    core: Rc<Core>,
}

impl UringFile {
    pub(super) async fn open(core: Rc<Core>, path: &Path, mode: OpenMode) -> io::Result<UringFile> {
        // glommio opens, then looks the path up twice more, and panics if a rename came between. It gets a path that
        // no rename can touch: that of a descriptor which is already open.
        let held = blocking::open(path.to_owned(), mode).await?;
        let mut options = OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        let file = options.dma_open(by_descriptor(&held)).await.map_err(io_error)?;
        let mut synced = None;
        if mode == OpenMode::Synced {
            options.custom_flags(OFlags::DSYNC.bits().cast_signed());
            synced = Some(options.dma_open(by_descriptor(&held)).await.map_err(io_error)?);
        }
        drop(held);
        Ok(UringFile { file, synced, core })
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: `self.file` keeps the descriptor open for as long as `self` is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.file.as_raw_fd()) }
    }

    fn len_now(&self) -> io::Result<u64> {
        let size = rustix::fs::fstat(self.descriptor())?.st_size;
        u64::try_from(size).map_err(|_| io::Error::other("the file system reports a negative length"))
    }

    async fn write_by(&self, file: &DmaFile, pos: u64, data: &Frozen) -> io::Result<()> {
        assert_whole_blocks(pos, data.len());
        if data.is_empty() {
            return Ok(());
        }
        let buffer = match data.dma().and_then(|dma| dma.written()) {
            Some(buffer) => buffer,
            // Filled on another core or on the heap: only this executor's own buffers can be written by it.
            None => {
                let mut copy = IoBuf::dma(DmaBlocks::new(data.len(), &self.core.home));
                copy.extend_from_slice(data.as_slice());
                let copy = copy.freeze();
                copy.dma().and_then(|dma| dma.written()).expect("the copy was made on this core")
            }
        };
        let written = file.write_rc_at(buffer, pos).await.map_err(io_error)?;
        all(written, data.len(), pos)
    }
}

/// A short write is an error: what it left out may share a block with what is written next (R10).
fn all(written: usize, wanted: usize, pos: u64) -> io::Result<()> {
    if written == wanted {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::WriteZero, format!("short write: {written} of {wanted} bytes at {pos}")))
}

impl File for UringFile {
    async fn read(&self, pos: u64, len: usize) -> io::Result<Bytes> {
        assert_whole_blocks(pos, len);
        assert!(len <= READ_BYTES_MAX, "a read of {len} bytes is above the limit");
        if len == 0 {
            return Ok(Bytes::new());
        }
        loop {
            self.core.home.welcome();
            let read = self.file.read_at_aligned(pos, len).await.map_err(io_error)?;
            let end = pos + read.len() as u64;
            // Short only at the end of the file. Not so if it grew under the read (then it is worth another try), or if
            // the device gave up in the middle (then it gives up again, with an error of its own).
            if read.len() == len || self.len_now()? <= end {
                return Ok(super::memory::Homing::read(read, &self.core.home));
            }
        }
    }

    async fn write(&self, pos: u64, data: &Frozen) -> io::Result<()> {
        self.write_by(&self.file, pos, data).await
    }

    async fn write_synced(&self, pos: u64, data: &Frozen) -> io::Result<()> {
        let synced = self.synced.as_ref().expect("the file is open for synced writes");
        self.write_by(synced, pos, data).await
    }

    async fn sync(&self) -> io::Result<()> {
        self.file.fdatasync().await.map_err(io_error)
    }
    async fn resize(&self, len: u64) -> io::Result<()> {
        // glommio gives this to its pool of threads.
        let _until_answered = UnderWay::begin();
        self.file.truncate(len).await.map_err(io_error)
    }

    async fn allocate(&self, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        loop {
            // A file system in memory gives up for whatever the kernel's own thread is asked to do meanwhile.
            match self.file.pre_allocate(len, false).await.map_err(io_error) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                allocated => return allocated,
            }
        }
    }

    async fn len(&self) -> io::Result<u64> {
        self.len_now()
    }

    async fn close(self) -> io::Result<()> {
        if let Some(synced) = self.synced {
            synced.close().await.map_err(io_error)?;
        }
        self.file.close().await.map_err(io_error)
    }
}

/// A path of an open file that no rename and no unlink can change. Valid while `held` is open.
pub(super) fn by_descriptor(held: &std::fs::File) -> String {
    format!("{PROC_DESCRIPTORS}/{}", held.as_raw_fd())
}

fn assert_whole_blocks(pos: u64, len: usize) {
    let whole = pos.is_multiple_of(BLOCK_BYTES as u64) && len.is_multiple_of(BLOCK_BYTES);
    assert!(whole, "direct I/O is in whole blocks, not {len} bytes at {pos}");
}

/// The system's own error, so that its code survives; the caller knows which file it was.
pub(super) fn io_error(e: GlommioError<()>) -> io::Error {
    match e {
        GlommioError::IoError(source) | GlommioError::EnhancedIoError { source, .. } => source,
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_is_an_error() {
        assert!(all(4096, 4096, 0).is_ok());
        let error = all(4096, 8192, 12_288).unwrap_err();
        assert_eq!(error.to_string(), "short write: 4096 of 8192 bytes at 12288");
    }
}
