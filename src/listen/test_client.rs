//! A client for tests over the simulated network: writes frames and reads replies by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use shards::runtime::sim::{SimConn, SimRuntime};
use shards::runtime::{Conn, Runtime};

use crate::wire::messages::{ApiKey, Request, Response};
use crate::wire::{Reader, ResponseHeader, encode_request};

/// A client that writes frames and reads replies by hand.
pub(crate) struct Client {
    conn: SimConn,
    received: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(rt: &SimRuntime, addr: SocketAddr) -> Client {
        Client { conn: rt.connect(addr).await.expect("the broker listens"), received: Vec::new() }
    }

    /// False when the connection has ended.
    pub(crate) async fn send(&self, bytes: &[u8]) -> bool {
        let mut queue = VecDeque::from([Bytes::copy_from_slice(bytes)]);
        self.conn.write_queue(&mut queue).await.is_ok()
    }

    /// Nothing more is sent; replies are still read.
    pub(crate) fn end_writes(&self) {
        self.conn.end_writes();
    }

    /// The next reply frame, without its length; `None` when the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        loop {
            if let Some((prefix, rest)) = self.received.split_first_chunk::<4>() {
                let len = usize::try_from(i32::from_be_bytes(*prefix)).expect("a length");
                if rest.len() >= len {
                    let frame = Bytes::copy_from_slice(&rest[..len]);
                    self.received.drain(..4 + len);
                    return Some(frame);
                }
            }
            self.conn.readable().await.ok()?;
            let mut some = [0; 4096];
            match self.conn.try_read(&mut some) {
                Ok(0) => return None,
                Ok(read) => self.received.extend_from_slice(&some[..read]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// The correlation id of the next reply; `None` when the connection has ended.
    pub(crate) async fn correlation_id(&mut self) -> Option<i32> {
        let frame = self.frame().await?;
        frame.first_chunk::<4>().map(|id| i32::from_be_bytes(*id))
    }

    pub(crate) fn has_received_nothing(&self) -> bool {
        self.received.is_empty()
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn ask(&mut self, request: impl Into<Request>, version: i16) -> Response {
        let request = request.into();
        let api = request.api();
        assert!(self.send(&frame(request, version, 77)).await, "the connection is open");
        self.reply(api, version).await
    }

    /// The next reply.
    pub(crate) async fn reply(&mut self, api: ApiKey, version: i16) -> Response {
        let frame = self.frame().await.expect("a reply");
        let mut reader = Reader::new(&frame);
        ResponseHeader::decode(&mut reader, api, version).expect("a header");
        Response::decode(api, &mut reader, version).expect("a body")
    }
}

/// A request frame of the client "test".
pub(crate) fn frame(request: Request, version: i16, correlation_id: i32) -> Vec<u8> {
    encode_request(&request, version, correlation_id, Some(&"test".into())).expect("a request").concat()
}
