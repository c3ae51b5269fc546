//! Waits for many pipes at once, to the nanosecond. One thread's.
//!
//! Each event is told once (edge-triggered): whoever gets it reads and writes until the socket has and takes no more.

use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

use super::clock::{now_ns, time_left};
use super::error::BenchError;
use super::pipe::Pipe;

const EVENTS_MAX: usize = 256;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub fn new() -> Result<Poll, BenchError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(BenchError::system("an epoll"))?;
        Ok(Poll { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Tells of this pipe by this number.
    pub fn add(&self, pipe: &Pipe, number: usize) -> Result<(), BenchError> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
        epoll::add(&self.epoll, pipe.fd(), epoll::EventData::new_u64(number as u64), flags)
            .map_err(BenchError::system("to watch a socket"))
    }

    /// The pipes of which there is something to tell; none when it is `until_ns`.
    pub fn wait(&mut self, until_ns: u64) -> Result<impl Iterator<Item = usize>, BenchError> {
        self.events.clear();
        let timeout = time_left(now_ns(), until_ns);
        // Before Linux 5.11 an epoll waits for whole milliseconds; a poll, of the epoll itself, has always had nanoseconds.
        let ready = match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => Ok(0),
            Ok(_) => epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&AT_ONCE)),
            Err(e) => Err(e),
        };
        ready.map_err(BenchError::system("to wait for sockets"))?;
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
