//! A [`Link`] on a socket that never blocks: many requests may be on their way. One thread's.
//!
//! Invariant: after an error the pipe is not used again.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::client::{ClientError, Connection, Link};
use crate::wire::messages::{Request, Response};
use crate::wire::{Bytes, PREFIX_BYTES, frame_len};

/// Largest reply taken, in bytes; a fetch asks for less.
const REPLY_BYTES_MAX: usize = 256 << 20;
/// Room for what the socket may hold, when no larger frame has begun.
const READ_BYTES: usize = 64 << 10;
/// Pieces of frames given to the kernel at once; it takes 1024.
const PIECES_MAX: usize = 64;

#[derive(Debug)]
pub struct Pipe {
    link: Link,
    stream: TcpStream,
    /// What the socket has not taken yet.
    unsent: VecDeque<Bytes>,
    /// Begins with a frame's length.
    received: Vec<u8>,
    frames: VecDeque<Bytes>,
}

impl Pipe {
    /// Connects, asks what is served, and blocks no more from then on.
    pub fn open(address: &str, client_id: &str) -> Result<Pipe, ClientError> {
        let (link, stream) = Connection::open(address, client_id)?.into_parts();
        let broken = |source| ClientError::Unreachable { address: address.to_owned(), source };
        stream.set_nonblocking(true).map_err(broken)?;
        Ok(Pipe { link, stream, unsent: VecDeque::new(), received: Vec::new(), frames: VecDeque::new() })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub fn address(&self) -> &str {
        self.link.address()
    }

    pub fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let frame = self.link.request(request)?;
        self.unsent.extend(frame.into_iter().filter(|piece| !piece.is_empty()));
        self.flush()
    }

    /// Writes as much as the socket takes.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let count = self.unsent.iter().zip(&mut slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count();
            match self.stream.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(written) => self.sent(written),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(e)),
            }
        }
        Ok(())
    }

    fn sent(&mut self, mut bytes: usize) {
        while let Some(piece) = self.unsent.front_mut() {
            if bytes < piece.len() {
                // What is left of it goes first next time.
                drop(piece.split_to(bytes));
                return;
            }
            bytes -= piece.len();
            self.unsent.pop_front();
        }
    }

    /// Reads once. False: the socket has no more.
    pub fn receive(&mut self) -> Result<bool, ClientError> {
        let room = self.frame_bytes()?.map_or(0, |bytes| bytes.saturating_sub(self.received.len()));
        self.received.reserve(room.max(READ_BYTES));
        let room = self.received.capacity() - self.received.len();
        let more = match rustix::io::read(&self.stream, spare_capacity(&mut self.received)) {
            Ok(0) => {
                return Err(self.broken(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed it")));
            }
            Ok(read) => read == room,
            Err(Errno::INTR) => true,
            Err(Errno::AGAIN) => false,
            Err(e) => return Err(self.broken(e.into())),
        };
        if self.frame_bytes()?.is_some_and(|bytes| bytes <= self.received.len()) {
            self.cut()?;
        }
        Ok(more)
    }

    /// Length of the first frame, prefix included, once its prefix is there.
    fn frame_bytes(&self) -> Result<Option<usize>, ClientError> {
        prefixed(&self.received).map_err(|e| self.broken(io::Error::other(e)))
    }

    /// Makes frames of what was received, without copying them.
    fn cut(&mut self) -> Result<(), ClientError> {
        let mut bytes = Bytes::from(std::mem::take(&mut self.received));
        while let Some(len) = prefixed(&bytes).map_err(|e| self.broken(io::Error::other(e)))? {
            if len > bytes.len() {
                break;
            }
            self.frames.push_back(bytes.split_to(len).slice(PREFIX_BYTES..));
        }
        self.received.extend_from_slice(&bytes);
        Ok(())
    }

    /// The next reply that has come whole.
    pub fn reply(&mut self) -> Result<Option<Response>, ClientError> {
        self.frames.pop_front().map(|frame| self.link.reply(&frame)).transpose()
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { address: self.address().to_owned(), source }
    }
}

fn prefixed(bytes: &[u8]) -> Result<Option<usize>, crate::wire::FrameError> {
    let Some(prefix) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    frame_len(*prefix, REPLY_BYTES_MAX).map(|len| Some(PREFIX_BYTES + len))
}
