//! The thread that makes records when they are due, sends them and takes in the acks, for some of the clients.
//!
//! Invariant: a record is due when its pace says so, however late the thread or the broker is; time is lost to nobody.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::thread;
use std::time::Duration;

use rustix::thread::set_current_timer_slack;

use super::clock::{NANOS_PER_SECOND, now_ns, thread_cpu_ns};
use super::error::BenchError;
use super::keys::Keys;
use super::pace::Pace;
use super::payload::Payload;
use super::poll::Poll;
use super::sender::{Look, Sender, Shared};
use super::unread::Unread;

/// Records made before the sockets are looked at again.
const MADE_AT_ONCE: usize = 256;
/// How long the last acks may take.
const DRAIN_NS: u64 = 30 * NANOS_PER_SECOND;
/// Most that may wait for their acks in one thread, in bytes of values. A broker that is so far behind does not keep up.
const BACKLOG_BYTES_MAX: u64 = 512 << 20;
/// How long a thread waits for anything before it looks whether it is to stop.
const GLANCE_NS: u64 = NANOS_PER_SECOND / 10;

pub struct Writer {
    pub senders: Vec<Sender>,
    pub payload: Payload,
    /// `None`: records have no keys.
    pub keys: Option<Keys>,
}

/// When things happen, by the run's clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub start_ns: u64,
    /// Records due from then on are measured.
    pub warm_ns: u64,
    pub end_ns: u64,
}

/// What a writer leaves behind.
#[derive(Debug)]
pub struct Written {
    /// By client: how many were acked of each partition.
    pub acked: Vec<(u32, Vec<u64>)>,
    pub made: u64,
    pub cpu_ns: u64,
    /// When it made its last record.
    pub ended_ns: u64,
    /// When its last ack came; 0: none did.
    pub last_ack_ns: u64,
    /// No record was made for a time, because too many had no ack yet.
    pub overrun: bool,
    /// What ended it early.
    pub failed: Option<BenchError>,
}

impl Writer {
    /// Runs to the end, or until `stop`. Without a pace, records are made as fast as acks come.
    pub fn run(mut self, to: &Shared<'_>, pace: Option<Pace>, times: Times, stop: &dyn Fn() -> bool) -> Written {
        let cpu_ns = thread_cpu_ns();
        let mut turn = Turn {
            pace,
            times,
            ended_ns: None,
            last_ack_ns: 0,
            overrun: false,
            waiting: 0,
            planned_ns: 0,
            client: 0,
            lingering: VecDeque::new(),
        };
        let failed = self.work(to, stop, &mut turn).err();
        Written {
            acked: self.senders.iter().map(|sender| (sender.id(), sender.acked())).collect(),
            made: self.senders.iter().map(Sender::made).sum(),
            cpu_ns: thread_cpu_ns() - cpu_ns,
            ended_ns: turn.ended_ns.unwrap_or_else(now_ns),
            last_ack_ns: turn.last_ack_ns,
            overrun: turn.overrun,
            failed,
        }
    }

    fn work(&mut self, to: &Shared<'_>, stop: &dyn Fn() -> bool, turn: &mut Turn) -> Result<(), BenchError> {
        // The kernel wakes threads up to 50 µs late to save energy; this one is to be on time.
        set_current_timer_slack(NonZeroU64::new(1)).map_err(BenchError::system("exact timers"))?;
        let places = |senders: &[Sender]| -> Vec<(usize, usize)> {
            let outlets = senders.iter().map(|sender| sender.outlets.len()).enumerate();
            outlets.flat_map(|(sender, outlets)| (0..outlets).map(move |outlet| (sender, outlet))).collect()
        };
        let places = places(&self.senders);
        let mut poll = Poll::new()?;
        for (number, &(sender, outlet)) in places.iter().enumerate() {
            poll.add(&self.senders[sender].outlets[outlet].pipe, number)?;
        }
        thread::sleep(Duration::from_nanos(turn.times.start_ns.saturating_sub(now_ns())));
        let mut unread = Unread::new(now_ns());
        if turn.pace.is_none() {
            for &(sender, outlet) in &places {
                self.make_all(to, turn, sender, outlet)?;
            }
        }
        loop {
            let now = now_ns();
            if turn.ended_ns.is_none() && (turn.is_over(now) || stop()) {
                turn.ended_ns = Some(now);
                for &(sender, outlet) in &places {
                    self.senders[sender].send_ready(to, outlet, true)?;
                }
            }
            let wake_ns = match turn.ended_ns {
                Some(ended_ns) if turn.waiting == 0 || now > ended_ns + DRAIN_NS => return Ok(()),
                Some(ended_ns) => ended_ns + DRAIN_NS,
                None if now < turn.times.end_ns => self.make_due(to, turn)?.min(turn.times.end_ns),
                // Late, or the broker is: what was due before the end is made all the same.
                None => self.make_due(to, turn)?.min(turn.times.end_ns + DRAIN_NS),
            };
            let asked_ns = now_ns();
            let wake_ns = wake_ns.min(asked_ns + GLANCE_NS);
            let ready = poll.wait(wake_ns)?;
            let since_ns = unread.since(asked_ns, wake_ns, now_ns());
            let end_ns = turn.ended_ns.map_or(turn.times.end_ns, |ended_ns| ended_ns.min(turn.times.end_ns));
            for number in ready {
                let Some(&(sender, outlet)) = places.get(number) else { continue };
                let at = &mut self.senders[sender];
                at.outlets[outlet].pipe.flush()?;
                let acked = at.receive(to, outlet, Look { since_ns, end_ns })?;
                if acked > 0 {
                    turn.last_ack_ns = now_ns();
                    turn.waiting -= acked;
                }
                at.send_ready(to, outlet, turn.ended_ns.is_some())?;
                if turn.pace.is_none() && turn.ended_ns.is_none() {
                    self.make_all(to, turn, sender, outlet)?;
                }
            }
        }
    }

    /// Makes what is due and sends what waits for no more. When to look again.
    fn make_due(&mut self, to: &Shared<'_>, turn: &mut Turn) -> Result<u64, BenchError> {
        if turn.pace.is_none() {
            return Ok(u64::MAX);
        }
        let bytes = to.plan.sizes.mean();
        let mut now = now_ns();
        let planned_ns = turn.planned_ns;
        to.meter.record(|stretch| {
            for _ in 0..MADE_AT_ONCE {
                let Some(due) = turn.next_due(now, bytes) else { break };
                let client = turn.client;
                turn.client = (client + 1) % self.senders.len();
                let sender = &mut self.senders[client];
                let place = sender.next_place(self.keys.as_mut());
                now = now_ns();
                let late_ns = late_ns(due, planned_ns, now);
                let made_ns = due + late_ns;
                let added = sender.add(to, place, due, made_ns, &mut self.payload);
                stretch.of(due, to.warm_ns).lateness.record(late_ns);
                if added.full {
                    turn.lingering.push_front((now, client, added.outlet));
                } else if added.opened {
                    turn.lingering.push_back((made_ns + to.linger_ns, client, added.outlet));
                }
            }
        });
        let now = now_ns();
        while let Some((_, sender, outlet)) = turn.lingering.pop_front_if(|(until, ..)| *until <= now) {
            self.senders[sender].send_ready(to, outlet, false)?;
        }
        let lingering = turn.lingering.front().map_or(u64::MAX, |(until, ..)| *until);
        // One that is behind makes no more before an ack has come, which wakes it.
        let next = turn.pace.as_ref().filter(|_| !turn.is_behind(bytes));
        let next = next.map(|pace| pace.next_ns() + patience_ns(pace, to.linger_ns, bytes, to.plan.batch_bytes));
        turn.planned_ns = next.map_or(0, |next| next.min(lingering));
        Ok(next.unwrap_or(u64::MAX).min(lingering))
    }

    /// Fills and sends as many batches as may be on their way.
    fn make_all(&mut self, to: &Shared<'_>, turn: &mut Turn, sender: usize, outlet: usize) -> Result<(), BenchError> {
        let sender = &mut self.senders[sender];
        while sender.has_room(to, outlet) {
            let made = sender.fill(to, outlet, &mut self.payload, self.keys.as_mut());
            if made == 0 {
                break;
            }
            turn.waiting += made;
            // Records of other keys were made with it.
            sender.send_ready(to, outlet, self.keys.is_some())?;
        }
        Ok(())
    }
}

/// How long a record that is due may wait to be made, as its batch waits for more records anyway: waking for each would cost
/// more than making it. None where batches may be full before they have waited: a full one is to leave at once.
fn patience_ns(pace: &Pace, linger_ns: u64, bytes: usize, batch_bytes: usize) -> u64 {
    match pace.even_ns() {
        Some(every_ns) if 2.0 * linger_ns as f64 / every_ns * bytes as f64 <= batch_bytes as f64 => linger_ns / 8,
        _ => 0,
    }
}

/// How much later a record was made than was planned: by then it was to be made, or when it was due.
fn late_ns(due_ns: u64, planned_ns: u64, now_ns: u64) -> u64 {
    now_ns.saturating_sub(due_ns.max(planned_ns))
}

/// Where the thread is in dealing records out.
struct Turn {
    pace: Option<Pace>,
    times: Times,
    /// When the last record was made.
    ended_ns: Option<u64>,
    /// 0: none came yet.
    last_ack_ns: u64,
    overrun: bool,
    /// Records without their ack.
    waiting: u64,
    /// When the thread is to look next what is due; 0: when an ack comes.
    planned_ns: u64,
    /// Whose record is next.
    client: usize,
    /// Batches that wait for more records: until when, and the sender and outlet. Soonest first.
    lingering: VecDeque<(u64, usize, usize)>,
}

impl Turn {
    /// More wait for their acks than may, if a record has about so many bytes.
    fn is_behind(&self, bytes: usize) -> bool {
        self.waiting.saturating_mul(bytes as u64) > BACKLOG_BYTES_MAX
    }

    /// When the next record was due, if it was by now and there is room for another of about so many bytes. It is then taken as
    /// made. Whether there is room is asked for each: a few records may be all that there is memory for.
    fn next_due(&mut self, now_ns: u64, bytes: usize) -> Option<u64> {
        let behind = self.is_behind(bytes);
        let pace = self.pace.as_mut()?;
        let due_ns = pace.next_ns();
        if due_ns > now_ns || due_ns >= self.times.end_ns {
            return None;
        }
        if behind {
            self.overrun = true;
            return None;
        }
        pace.advance();
        self.waiting += 1;
        Some(due_ns)
    }

    /// No more records are to be made.
    fn is_over(&self, now_ns: u64) -> bool {
        let all = self.pace.as_ref().is_none_or(|pace| pace.next_ns() >= self.times.end_ns);
        now_ns >= self.times.end_ns + if all { 0 } else { DRAIN_NS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::pace::Arrivals;
    use crate::bench::random::Random;

    #[test]
    fn a_thread_wakes_for_several_records_at_once_where_their_batch_waits_anyway_and_is_not_called_late() {
        let patience = |arrivals, per_second, linger_ms: u64| {
            let pace = Pace::new(arrivals, per_second, 0, Random::new(1));
            patience_ns(&pace, linger_ms * 1_000_000, 100, 1 << 20)
        };
        assert_eq!(patience(Arrivals::Constant, 20_000.0, 5), 625_000);
        assert_eq!(patience(Arrivals::Poisson, 20_000.0, 5), 625_000);
        assert_eq!(patience(Arrivals::Constant, 20_000.0, 0), 0);
        assert_eq!(patience(Arrivals::Bursts(1000), 20_000.0, 5), 0, "a burst fills batches");
        assert_eq!(patience(Arrivals::Constant, 2_000_000.0, 5), 0, "a batch is full before it has waited");

        assert_eq!(late_ns(100, 0, 130), 30);
        assert_eq!(late_ns(100, 120, 130), 10, "it was to wait until 120");
        assert_eq!(late_ns(100, 120, 110), 0, "something else woke the thread");
        assert_eq!(late_ns(125, 120, 130), 5, "due while others were made");
    }

    #[test]
    fn records_of_any_size_stop_being_made_once_as_many_bytes_wait_as_may() {
        // A thousand are due.
        let now_ns = NANOS_PER_SECOND - 1;
        for (bytes, made) in [(100, 1000), (2_000_000, 269), (100_000_000, 6), (1 << 30, 1)] {
            let mut turn = Turn {
                pace: Some(Pace::new(Arrivals::Constant, 1000.0, 0, Random::new(1))),
                times: Times { start_ns: 0, warm_ns: 0, end_ns: u64::MAX },
                ended_ns: None,
                last_ack_ns: 0,
                overrun: false,
                waiting: 0,
                planned_ns: 0,
                client: 0,
                lingering: VecDeque::new(),
            };
            let all = std::iter::from_fn(|| turn.next_due(now_ns, bytes)).count();
            assert_eq!((all, turn.waiting, turn.overrun), (made, made as u64, made < 1000), "{bytes} bytes");
            // An ack makes room for one; what had to wait is due as before.
            turn.waiting -= 1;
            let next = turn.next_due(now_ns, bytes);
            assert_eq!(next, (made < 1000).then_some(made as u64 * 1_000_000), "{bytes} bytes");
        }
    }
}
