//! A [`Link`] on a blocking socket: one request at a time, each with a deadline. For commands that a person runs.
//!
//! Invariant: after an error the connection is not used again.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::ClientError;
use super::link::Link;
use crate::wire::messages::{Request, Response};
use crate::wire::{Bytes, PREFIX_BYTES, frame_len};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a broker may take to answer, beyond what a request itself asks it to wait.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Largest reply taken, in bytes; a fetch is asked for far less.
const REPLY_BYTES_MAX: usize = 256 << 20;

#[derive(Debug)]
pub struct Connection {
    link: Link,
    stream: TcpStream,
}

impl Connection {
    /// Connects and asks what is served there.
    pub fn open(address: &str, client_id: &str) -> Result<Connection, ClientError> {
        let unreachable = |source| ClientError::Unreachable { address: address.to_owned(), source };
        let stream = connect(address).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(unreachable)?;
        stream.set_write_timeout(Some(ANSWER_MAX)).map_err(unreachable)?;
        let mut connection = Connection { link: Link::new(address, client_id), stream };
        for plainly in [false, true] {
            let hello = connection.link.hello(plainly)?;
            // Whoever hangs up before the first answer is no broker, or one that has just gone.
            let answer = connection.exchange(hello).map_err(|e| match e {
                ClientError::Broken { address, source } => ClientError::Unreachable { address, source },
                other => other,
            })?;
            let Response::ApiVersions(reply) = answer else {
                return Err(ClientError::NotKafka {
                    address: address.to_owned(),
                    what: "another reply came".to_owned(),
                });
            };
            if connection.link.greeted(&reply)? {
                break;
            }
        }
        Ok(connection)
    }

    pub fn link(&self) -> &Link {
        &self.link
    }

    /// For whoever wants many requests on their way at once.
    pub fn into_parts(self) -> (Link, TcpStream) {
        (self.link, self.stream)
    }

    /// Sends a request and waits for its reply.
    pub fn call(&mut self, request: impl Into<Request>) -> Result<Response, ClientError> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request, whose reply is to be received before another request is sent.
    pub fn send(&mut self, request: impl Into<Request>) -> Result<(), ClientError> {
        let frame = self.link.request(&request.into())?;
        self.write(&frame)
    }

    /// Waits for the reply to what was sent.
    pub fn receive(&mut self) -> Result<Response, ClientError> {
        let frame = read_frame(&mut self.stream).map_err(|e| match e.kind() {
            // A length that no reply has is another protocol's text.
            io::ErrorKind::InvalidData => {
                ClientError::NotKafka { address: self.link.address().to_owned(), what: e.to_string() }
            }
            _ => self.broken(e),
        })?;
        self.link.reply(&frame)
    }

    fn exchange(&mut self, request: Vec<Bytes>) -> Result<Response, ClientError> {
        self.write(&request)?;
        self.receive()
    }

    fn write(&mut self, frame: &[Bytes]) -> Result<(), ClientError> {
        write_all(&mut self.stream, frame).map_err(|e| self.broken(e))
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken { address: self.link.address().to_owned(), source }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for addr in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, CONNECT_MAX) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn write_all(stream: &mut TcpStream, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = slices.as_mut_slice();
    // An empty piece alone would make a write of nothing look like the end.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match stream.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).map_err(in_words)?;
    let len = frame_len(prefix, REPLY_BYTES_MAX).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let mut frame = Vec::new();
    // What the length claims is allocated as it comes.
    stream.take(u64::try_from(len).unwrap_or(u64::MAX)).read_to_end(&mut frame)?;
    if frame.len() < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(frame.into()) }
}

/// What the system calls "resource temporarily unavailable" and "failed to fill whole buffer".
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", ANSWER_MAX.as_secs()))
        }
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the broker closed it"),
        _ => error,
    }
}
