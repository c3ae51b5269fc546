//! Standard output whose reader may leave: `corelog consume t | head -1` ends in peace.
//!
//! Invariant: a broken pipe is the end of the work, never an error and never a panic.

use std::io::{self, BufWriter, StdoutLock, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Failure;

/// What a command goes on with after writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    There,
    /// Nobody reads any more.
    Gone,
}

pub struct Printer<W: Write = BufWriter<StdoutLock<'static>>> {
    to: W,
}

impl Printer {
    pub fn stdout() -> Printer {
        Printer { to: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }
}

impl Printer {
    /// Whether somebody reads, for a command that has had nothing to write for a while.
    pub fn reader(&self) -> Reader {
        reader_of(self.to.get_ref())
    }
}

/// The system tells of it beside a write, too; what it does not know of counts as there.
fn reader_of(to: impl AsFd) -> Reader {
    let mut polled = [PollFd::new(&to, PollFlags::empty())];
    let known = poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    let gone = known.is_ok() && polled.iter().any(|fd| fd.revents().contains(PollFlags::ERR));
    if gone { Reader::Gone } else { Reader::There }
}

#[cfg(test)]
impl Printer<Vec<u8>> {
    pub fn in_memory() -> Printer<Vec<u8>> {
        Printer { to: Vec::new() }
    }

    pub fn into_written(self) -> Vec<u8> {
        self.to
    }
}

impl<W: Write> Printer<W> {
    pub fn write(&mut self, bytes: &[u8]) -> Result<Reader, Failure> {
        judge(self.to.write_all(bytes))
    }

    pub fn flush(&mut self) -> Result<Reader, Failure> {
        judge(self.to.flush())
    }
}

fn judge(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::There),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(Failure::Runtime(format!(
            "standard output cannot be written: {e}; make room where it goes, or send it elsewhere, then run this again"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_leaves_is_noticed_before_there_is_something_to_write() {
        let (reader, writer) = io::pipe().expect("a pipe");
        assert_eq!(reader_of(&writer), Reader::There);
        drop(reader);
        assert_eq!(reader_of(&writer), Reader::Gone);
        let file = std::fs::File::open("/dev/null").expect("it is there");
        assert_eq!(reader_of(&file), Reader::There);
    }

    #[test]
    fn a_reader_that_has_left_is_no_error_and_a_full_disk_is_one() {
        let mut pipe = Printer { to: Broken(io::ErrorKind::BrokenPipe) };
        assert_eq!(pipe.write(b"x").ok(), Some(Reader::Gone));
        let mut disk = Printer { to: Broken(io::ErrorKind::StorageFull) };
        assert!(disk.write(b"x").is_err());
    }
}
