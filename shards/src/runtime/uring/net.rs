//! Sockets: read and written by direct calls on the descriptor that never wait, and glommio only to wait. Owning core
//! only. Invariant: no accept is ever cancelled, and nothing is read from a socket but by `try_read`.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_lite::io::{AsyncRead, AsyncWrite};
use glommio::net::{TcpListener, TcpStream};
use glommio::timer::Timer;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};
use smallvec::SmallVec;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::Core;
use super::file::io_error;
use crate::runtime::{Conn, Listener, is_out_of_descriptors};
use crate::types::Mono;

/// How long the listener rests when the process has no descriptors left: accepting at once would spin.
const DESCRIPTORS_OUT_PAUSE: Duration = Duration::from_millis(50);
/// How often a core says so, at most.
const NO_ROOM_TOLD_EVERY: Duration = Duration::from_secs(10);
/// Buffers in one vectored write. More gain nothing: 64 already fill a socket's send buffer in the usual case.
const WRITE_SLICES_MAX: usize = 64;
/// When a silent peer is first probed; then every quarter of it. Finds machines that vanished, frees their connections.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

pub struct UringListener {
    listener: TcpListener,
    /// A second descriptor of the same socket: glommio does not show its own.
    to_stop: Socket,
    addr: SocketAddr,
    stopped: Cell<bool>,
    core: Rc<Core>,
}

impl UringListener {
    pub(super) fn bind(core: Rc<Core>, addr: SocketAddr, backlog: u32) -> io::Result<UringListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        if addr.is_ipv6() {
            // `[::]` takes connections of both families, whatever this machine's default is.
            socket.set_only_v6(false)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        let addr = inet(socket.local_addr()?);
        let to_stop = socket.try_clone()?;
        // SAFETY: the descriptor is a listening socket and is given away whole.
        let listener = unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) };
        Ok(UringListener { listener, to_stop, addr, stopped: Cell::new(false), core })
    }
}

impl Listener for UringListener {
    type Conn = UringConn;

    async fn accept(&self) -> io::Result<UringConn> {
        while !self.stopped.get() {
            let accepted = self.listener.accept().await.map_err(io_error);
            if self.stopped.get() {
                break;
            }
            match accepted.map(|stream| UringConn::new(self.core.clone(), stream)) {
                Ok(Ok(conn)) => return Ok(conn),
                Ok(Err(e)) => tracing::debug!(listener = %self.addr, error = %e, "a peer left as soon as it had come"),
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(e) if has_no_room(&e) => {
                    self.tell_no_room(&e);
                    Timer::new(DESCRIPTORS_OUT_PAUSE).await;
                }
                Err(e) => return Err(e),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    fn stop(&self) {
        self.stopped.set(true);
        // A listening socket that is shut down fails the accept under way. Connecting to ourselves would not do: with
        // SO_REUSEPORT another core's listener may get that connection.
        if let Err(e) = self.to_stop.shutdown(std::net::Shutdown::Both) {
            tracing::debug!(listener = %self.addr, error = %e, "the listener was already shut down");
        }
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

impl UringListener {
    /// Peers cause it for as long as they like: so it is told now and then.
    fn tell_no_room(&self, error: &io::Error) {
        let (now, told) = (super::now(), &self.core.no_room_told);
        if told.get() == Mono::default() || now.since(told.get()) >= NO_ROOM_TOLD_EVERY {
            told.set(now);
            tracing::warn!(
                listener = %self.addr,
                %error,
                "no connection can be accepted for now; raise the limit of open files (`ulimit -n`, or LimitNOFILE= in systemd), \
                 or lower max.connections"
            );
        }
    }
}

/// The process, or the machine, has no descriptor or no memory for another socket.
fn has_no_room(e: &io::Error) -> bool {
    use rustix::io::Errno;
    is_out_of_descriptors(e) || [Errno::NOBUFS, Errno::NOMEM].iter().any(|n| e.raw_os_error() == Some(n.raw_os_error()))
}

pub struct UringConn {
    /// Borrowed inside one poll only, never across a wait: one task may read while another writes.
    stream: RefCell<TcpStream>,
    peer: SocketAddr,
    local: SocketAddr,
    core: Rc<Core>,
}

impl UringConn {
    pub(super) fn new(core: Rc<Core>, stream: TcpStream) -> io::Result<UringConn> {
        // SAFETY: `stream` keeps the descriptor open until the end of this function.
        let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
        let socket = SockRef::from(&descriptor);
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_IDLE / 4);
        socket.set_tcp_keepalive(&keepalive)?;
        let (peer, local) = (inet(socket.peer_addr()?), inet(socket.local_addr()?));
        Ok(UringConn { stream: RefCell::new(stream), peer, local, core })
    }

    pub(super) async fn connect(core: Rc<Core>, addr: SocketAddr) -> io::Result<UringConn> {
        UringConn::new(core, TcpStream::connect(addr).await.map_err(io_error)?)
    }

    fn with_descriptor<T>(&self, call: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
        let stream = self.stream.borrow();
        // SAFETY: `stream` keeps the descriptor open for the call.
        call(unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) })
    }

    /// One vectored write of what fits; `WouldBlock` when nothing does.
    fn try_write(&self, queue: &VecDeque<Bytes>) -> io::Result<usize> {
        let slices: SmallVec<[IoSlice<'_>; WRITE_SLICES_MAX]> =
            queue.iter().take(WRITE_SLICES_MAX).map(|bytes| IoSlice::new(bytes)).collect();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = self.with_descriptor(|descriptor| {
            rustix::net::sendmsg(descriptor, &slices, &mut SendAncillaryBuffer::default(), flags)
        })?;
        Ok(sent)
    }

    /// Waits until the socket takes bytes again, and gives it the first ones of `data`.
    async fn write_first(&self, data: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, data)).await
    }
}

impl Conn for UringConn {
    async fn readable(&self) -> io::Result<()> {
        // A read of no bytes takes nothing from the socket, yet waits like any other: for data, the end or an error.
        std::future::poll_fn(|cx| match Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut []) {
            Poll::Ready(read) => Poll::Ready(read.map(|_| ())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let (read, _) = self.with_descriptor(|descriptor| rustix::net::recv(descriptor, into, RecvFlags::DONTWAIT))?;
        Ok(read)
    }

    async fn write_some(&self, queue: &mut VecDeque<Bytes>) -> io::Result<usize> {
        while queue.front().is_some_and(Bytes::is_empty) {
            queue.pop_front();
        }
        let Some(first) = queue.front() else { return Ok(0) };
        let sent = loop {
            match self.try_write(queue) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break self.write_first(first).await?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                sent => break sent?,
            }
        };
        advance(queue, sent);
        if !queue.is_empty() {
            // A peer that reads as fast as we write would keep this core to itself.
            self.core.quantum().await;
        }
        Ok(sent)
    }

    fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn shutdown(&self) {
        if let Err(e) = self.with_descriptor(|descriptor| rustix::net::shutdown(descriptor, Shutdown::Both)) {
            tracing::debug!(peer = %self.peer, error = %e, "the connection had already ended");
        }
    }
}

/// Takes `sent` bytes from the front of the queue.
fn advance(queue: &mut VecDeque<Bytes>, mut sent: usize) {
    while let Some(first) = queue.front_mut() {
        if sent < first.len() {
            first.advance(sent);
            return;
        }
        sent -= first.len();
        queue.pop_front();
    }
    assert_eq!(sent, 0, "a socket takes no more than it was given");
}

/// Our sockets are of the internet families; a peer without an address shows as 0.0.0.0:0.
fn inet(addr: socket2::SockAddr) -> SocketAddr {
    addr.as_socket().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}
