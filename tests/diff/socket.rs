//! A connection that sends whatever it is told, right or wrong, and says what came of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Far above what any case takes: a machine may be busy.
const ANSWER: Duration = Duration::from_secs(30);
/// No reply that a case asks for is this long; a length above is not one.
const REPLY_BYTES_MAX: usize = 64 << 20;

pub struct Socket {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Socket {
    pub fn new(address: SocketAddr) -> Socket {
        Socket { address, stream: None }
    }

    /// Sends these bytes, on a new connection if the last one was closed.
    pub fn send(&mut self, bytes: &[u8]) {
        let stream = self.stream.get_or_insert_with(|| {
            let stream = TcpStream::connect(self.address).expect("the broker listens");
            stream.set_read_timeout(Some(ANSWER)).expect("a timeout");
            stream.set_nodelay(true).expect("a socket of ours");
            stream
        });
        // A broker that closes at the first bad byte takes no more; the read that follows finds out.
        let _closed = stream.write_all(bytes);
    }

    /// The next frame without its length, or `None` if the broker closed the connection instead.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        let frame = self.stream.as_mut().and_then(read_frame);
        if frame.is_none() {
            self.stream = None;
        }
        frame
    }

    /// Ends this side of the connection; what comes is still received.
    pub fn end_writes(&mut self) {
        if let Some(stream) = &self.stream {
            stream.shutdown(Shutdown::Write).expect("a socket of ours");
        }
    }

    /// Ends the connection from this side.
    pub fn close(&mut self) {
        self.stream = None;
    }
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    read_all(stream, &mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    assert!(len <= REPLY_BYTES_MAX, "a reply of {len} bytes");
    let mut frame = vec![0; len];
    read_all(stream, &mut frame)?;
    Some(frame)
}

fn read_all(stream: &mut TcpStream, into: &mut [u8]) -> Option<()> {
    match stream.read_exact(into) {
        Ok(()) => Some(()),
        // Bytes that the broker never read come back as a reset.
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            None
        }
        Err(e) => panic!("neither a reply nor the end of the connection: {e}"),
    }
}
