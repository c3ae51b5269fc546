//! One connection of a client: requests out, replies in, in the same order, each within a time limit.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use corelog::wire::messages::{ApiKey, Request, Response};
use corelog::wire::{Reader, ResponseHeader, encode_request};
use futures_lite::future::or;
use shards::runtime::sim::{SimConn, SimRuntime};
use shards::runtime::{Conn, Runtime};
use shards::types::Mono;

/// Why a connection is of no use any more; what was in flight on it is unknown.
#[derive(Debug)]
pub enum Broken {
    Ended,
    TimedOut,
    /// The broker's bytes make no sense.
    Nonsense(String),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Broken {
        Broken::Ended
    }
}

pub struct Link {
    rt: SimRuntime,
    conn: SimConn,
    received: Vec<u8>,
    next_id: Cell<i32>,
    in_flight: VecDeque<(i32, ApiKey, i16)>,
}

impl Link {
    pub async fn open(rt: &SimRuntime, addr: SocketAddr) -> Result<Link, Broken> {
        let conn = rt.connect(addr).await?;
        Ok(Link { rt: rt.clone(), conn, received: Vec::new(), next_id: Cell::new(1), in_flight: VecDeque::new() })
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub async fn send(&mut self, request: impl Into<Request>, version: i16, limit: Duration) -> Result<(), Broken> {
        let request = request.into();
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let frame = encode_request(&request, version, id, Some(&"sim".into())).expect("a request that we made up");
        self.in_flight.push_back((id, request.api(), version));
        let mut queue: VecDeque<Bytes> = frame.into();
        let until = self.rt.now().after(limit);
        let write = async { self.conn.write_queue(&mut queue).await.map_err(Broken::from) };
        or(write, async {
            self.rt.sleep_until(until).await;
            Err(Broken::TimedOut)
        })
        .await
    }

    /// The reply to the oldest request in flight.
    pub async fn receive(&mut self, limit: Duration) -> Result<Response, Broken> {
        let (id, api, version) = self.in_flight.pop_front().expect("something is in flight");
        let until = self.rt.now().after(limit);
        let frame = self.frame(until).await?;
        let mut reader = Reader::new(&frame);
        let nonsense = |e: corelog::wire::DecodeError| Broken::Nonsense(format!("{api:?}: {e}"));
        let header = ResponseHeader::decode(&mut reader, api, version).map_err(nonsense)?;
        if header.correlation_id != id {
            return Err(Broken::Nonsense(format!("{api:?}: the reply to {} came for {id}", header.correlation_id)));
        }
        Response::decode(api, &mut reader, version).map_err(nonsense)
    }

    pub async fn ask(
        &mut self,
        request: impl Into<Request>,
        version: i16,
        limit: Duration,
    ) -> Result<Response, Broken> {
        assert!(self.in_flight.is_empty(), "one at a time");
        self.send(request, version, limit).await?;
        self.receive(limit).await
    }

    async fn frame(&mut self, until: Mono) -> Result<Bytes, Broken> {
        loop {
            if let Some((prefix, rest)) = self.received.split_first_chunk::<4>() {
                let len = usize::try_from(i32::from_be_bytes(*prefix))
                    .map_err(|_| Broken::Nonsense("a negative length".to_owned()))?;
                if rest.len() >= len {
                    let frame = Bytes::copy_from_slice(&rest[..len]);
                    self.received.drain(..4 + len);
                    return Ok(frame);
                }
            }
            let readable = async { self.conn.readable().await.map_err(Broken::from) };
            or(readable, async {
                self.rt.sleep_until(until).await;
                Err(Broken::TimedOut)
            })
            .await?;
            let mut some = [0; 16 << 10];
            match self.conn.try_read(&mut some) {
                Ok(0) => return Err(Broken::Ended),
                Ok(read) => self.received.extend_from_slice(&some[..read]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Broken::Ended),
            }
        }
    }
}
