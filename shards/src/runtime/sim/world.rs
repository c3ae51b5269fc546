//! The simulated world's clock, scheduler and trace. One thread. Invariant: what happens next depends on the seed and on
//! what the tasks did, never on addresses, hashes or the machine; nothing is borrowed while a task runs or is dropped.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::disk::Disk;
use super::net::Net;
use super::random::Random;
use crate::types::Mono;

/// Virtual time that one poll of a task takes at most, in nanoseconds: so that a task that never waits still lets time pass.
const POLL_NS_MAX: u64 = 2_000;
/// Where the monotonic clock starts: not at zero, or subtractions that are wrong would go unnoticed.
const CLOCK_START: Mono = Mono(3_600_000_000_000);

/// A machine of the world: its tasks, disk and addresses fall together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(super) usize);

pub(super) struct Host {
    pub(super) name: String,
    /// Grows by one with every crash: what an earlier life began has no effect any more.
    pub(super) life: u64,
    pub(super) wall_offset_ms: i64,
    pub(super) disk: Disk,
}

pub(super) struct World {
    pub(super) seed: u64,
    clock: Cell<Mono>,
    trace: Cell<u64>,
    pub(super) random: RefCell<Random>,
    pub(super) hosts: RefCell<Vec<Host>>,
    pub(super) net: RefCell<Net>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    task_count: Cell<u64>,
    ready: Arc<Ready>,
    events: RefCell<BTreeMap<(Mono, u64), Event>>,
    event_count: Cell<u64>,
}

struct Task {
    host: HostId,
    /// `None` while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Arc<TaskWaker>,
}

/// Ids of tasks that were woken. Shared with wakers, which the type system lets go anywhere.
#[derive(Default)]
struct Ready {
    ids: Mutex<Vec<u64>>,
}

struct TaskWaker {
    id: u64,
    /// Whether `id` is in `ready`.
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.ids.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        }
    }
}

pub(super) enum Event {
    Wake(Waker),
    Run(Box<dyn FnOnce(&Rc<World>)>),
}

/// Names a scheduled event, to cancel it.
pub(super) type EventKey = (Mono, u64);

impl World {
    pub(super) fn new(seed: u64) -> World {
        World {
            seed,
            clock: Cell::new(CLOCK_START),
            trace: Cell::new(seed),
            random: RefCell::new(Random::new(seed)),
            hosts: RefCell::default(),
            net: RefCell::default(),
            tasks: RefCell::default(),
            task_count: Cell::new(0),
            ready: Arc::default(),
            events: RefCell::default(),
            event_count: Cell::new(0),
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.clock.get()
    }

    pub(super) fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Adds to the running hash of all that happened.
    pub(super) fn note(&self, kind: u64, value: u64) {
        let mixed = (self.trace.get() ^ kind).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ value;
        self.trace.set(mixed.wrapping_mul(0xFF51_AFD7_ED55_8CCD).rotate_left(31));
    }

    pub(super) fn pass(&self, time: Duration) {
        self.clock.set(self.clock.get().after(time));
    }

    pub(super) fn is_alive(&self, host: HostId, life: u64) -> bool {
        self.hosts.borrow()[host.0].life == life
    }

    pub(super) fn life(&self, host: HostId) -> u64 {
        self.hosts.borrow()[host.0].life
    }

    pub(super) fn at(&self, time: Mono, event: Event) -> EventKey {
        let key = (time, self.event_count.get());
        self.event_count.set(key.1 + 1);
        self.events.borrow_mut().insert(key, event);
        key
    }

    pub(super) fn run_at(&self, time: Mono, run: impl FnOnce(&Rc<World>) + 'static) {
        self.at(time, Event::Run(Box::new(run)));
    }

    /// Changes whom a timer wakes; false when it has fired.
    pub(super) fn rewake(&self, key: EventKey, waker: &Waker) -> bool {
        match self.events.borrow_mut().get_mut(&key) {
            Some(Event::Wake(old)) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    pub(super) fn cancel(&self, key: EventKey) {
        let cancelled = self.events.borrow_mut().remove(&key);
        drop(cancelled);
    }

    pub(super) fn spawn(&self, host: HostId, future: impl Future<Output = ()> + 'static) {
        let id = self.task_count.get();
        self.task_count.set(id + 1);
        self.note(id, host.0 as u64);
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(false), ready: self.ready.clone() });
        waker.wake_by_ref();
        self.tasks.borrow_mut().insert(id, Task { host, future: Some(Box::pin(future)), waker });
    }

    /// Runs one task or one event. False when there is nothing left that could ever happen.
    pub(super) fn step(self: &Rc<World>) -> bool {
        self.fire_due();
        let id = {
            let mut ready = self.ready.ids.lock().unwrap_or_else(PoisonError::into_inner);
            (!ready.is_empty()).then(|| {
                let index = self.random.borrow_mut().index(ready.len());
                ready.swap_remove(index)
            })
        };
        if let Some(id) = id {
            self.poll(id);
            return true;
        }
        let next = self.events.borrow().first_key_value().map(|(key, _)| key.0);
        let Some(time) = next else { return false };
        self.clock.set(self.clock.get().max(time));
        self.fire_due();
        true
    }

    /// The time of the next event, when no task is ready.
    pub(super) fn next_event(&self) -> Option<Mono> {
        let idle = self.ready.ids.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        if !idle {
            return Some(self.now());
        }
        self.events.borrow().first_key_value().map(|(key, _)| key.0)
    }

    fn fire_due(self: &Rc<World>) {
        loop {
            let due = {
                let mut events = self.events.borrow_mut();
                match events.first_entry() {
                    Some(first) if first.key().0 <= self.now() => Some(first.remove_entry()),
                    _ => None,
                }
            };
            let Some((key, event)) = due else { return };
            self.note(key.0.0, key.1);
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Run(run) => run(self),
            }
        }
    }

    fn poll(&self, id: u64) {
        let Some((mut future, waker)) = self.tasks.borrow_mut().get_mut(&id).and_then(|task| {
            let future = task.future.take()?;
            Some((future, task.waker.clone()))
        }) else {
            return;
        };
        // Before the poll: a wake-up that comes while it runs queues the task once more.
        waker.queued.store(false, Ordering::Relaxed);
        self.note(id, self.now().0);
        let took = self.random.borrow_mut().below(POLL_NS_MAX);
        self.pass(Duration::from_nanos(took));
        match future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))) {
            Poll::Ready(()) => {
                let ended = self.tasks.borrow_mut().remove(&id);
                drop((ended, future));
            }
            // Gone from the table when the task has crashed its own host: then it ends here.
            Poll::Pending => {
                let mut tasks = self.tasks.borrow_mut();
                match tasks.get_mut(&id) {
                    Some(task) => task.future = Some(future),
                    None => {
                        drop(tasks);
                        drop(future);
                    }
                }
            }
        }
    }

    /// Drops the tasks that `which` chooses by host.
    pub(super) fn drop_tasks(&self, which: impl Fn(HostId) -> bool) {
        let dropped: Vec<Task> = {
            let mut tasks = self.tasks.borrow_mut();
            let ids: Vec<u64> = tasks.iter().filter(|(_, task)| which(task.host)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| tasks.remove(id)).collect()
        };
        self.note(dropped.len() as u64, 0);
        drop(dropped);
    }

    pub(super) fn drop_events(&self) {
        let dropped = std::mem::take(&mut *self.events.borrow_mut());
        drop(dropped);
    }
}
