//! Fetch sessions (KIP-227): a reader names its partitions once, and a reply holds only those where something changed.
//! One set per core, the connection's; pure: time and randomness come in as arguments.
//! Invariant: `by_use` and `by_size` list sessions that are in `sessions`, and `partitions` is the sum of their sizes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use hashbrown::HashMap;
use shards::types::{Mono, TopicId};

/// Bits of a session id that name its core, below the sign; the rest is random. An id that comes to another core is
/// unknown there, and its reader starts over.
const CORE_BITS: u32 = 10;
const RANDOM_BITS: u32 = 31 - CORE_BITS;

/// "No session", in requests and replies.
pub const NO_SESSION: i32 = 0;
/// Epoch of a request that asks for all its partitions and wants a session.
const INITIAL_EPOCH: i32 = 0;
/// Epoch of a request that asks for all its partitions and wants none.
const FINAL_EPOCH: i32 = -1;

#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Sessions of a core.
    pub slots: usize,
    /// Partitions of all sessions of a core; about 150 bytes of memory each.
    pub partitions_max: usize,
    /// A session unused for longer may be evicted by any new one, a session older than this by a larger one.
    pub evict_after: Duration,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits { slots: 1000, partitions_max: 200_000, evict_after: Duration::from_secs(120) }
    }
}

/// A topic as the reader names it: all partitions of a session are named the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    Name(Rc<str>),
    Id(TopicId),
}

/// What a reader wants of one partition; the numbers are those of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    pub topic: TopicKey,
    pub index: i32,
    pub offset: i64,
    pub max_bytes: i32,
    /// -1: does not say.
    pub current_epoch: i32,
    /// -1: does not say.
    pub last_fetched_epoch: i32,
}

/// A reply for one partition, as far as it decides whether the partition is in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub high_watermark: i64,
    pub log_start: i64,
    pub has_records: bool,
    pub failed: bool,
    pub diverges: bool,
}

/// Why a request has no session to work with; the sessions stay as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// 70
    UnknownId,
    /// 71
    WrongEpoch,
    /// 106
    NamesAndIdsMixed,
}

/// How a request stands to the sessions, from its first stage to its reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Context {
    Sessionless,
    /// All partitions are told, and a session made if there is room.
    Full {
        by_ids: bool,
    },
    Incremental {
        id: i32,
        /// Of the session: its id may be another's by the time of the reply.
        serial: u64,
    },
}

/// What a reply holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Selected {
    pub session_id: i32,
    /// For each partition in the order wanted: is it in the reply?
    pub told: Vec<bool>,
}

pub struct FetchSessions {
    core: i32,
    limits: SessionLimits,
    sessions: HashMap<i32, Session>,
    /// (last use, id), the stalest first.
    by_use: BTreeMap<(Mono, i32), ()>,
    /// (partitions, id) of the sessions that a larger one may evict, the smallest first.
    by_size: BTreeMap<(usize, i32), ()>,
    partitions: usize,
    /// Sessions made so far.
    made: u64,
}

struct Session {
    serial: u64,
    epoch: i32,
    by_ids: bool,
    created: Mono,
    used: Mono,
    /// Size under which it is listed in `by_size` and counted in `partitions`.
    listed_size: usize,
    /// In the order in which they are read: those that last had records come last.
    ordered: BTreeMap<u64, Cached>,
    places: HashMap<(TopicKey, i32), u64>,
    next_place: u64,
}

struct Cached {
    want: Want,
    /// As last told; -1 after an error, so that the partition is told when it recovers.
    high_watermark: i64,
    log_start: i64,
}

impl FetchSessions {
    pub fn new(core: u16, limits: SessionLimits) -> FetchSessions {
        assert!(u32::from(core) < 1 << CORE_BITS, "session ids have room for {} cores", 1 << CORE_BITS);
        FetchSessions {
            core: i32::from(core),
            limits,
            sessions: HashMap::new(),
            by_use: BTreeMap::new(),
            by_size: BTreeMap::new(),
            partitions: 0,
            made: 0,
        }
    }

    /// Places a request: what it stands for, and everything that it wants. `id` and `epoch` are the request's, `by_ids`
    /// says whether its version names topics by id.
    pub fn open(
        &mut self,
        now: Mono,
        (id, epoch): (i32, i32),
        by_ids: bool,
        wants: Vec<Want>,
        forgotten: &[(TopicKey, i32)],
    ) -> Result<(Context, Vec<Want>), SessionError> {
        if epoch == INITIAL_EPOCH || epoch == FINAL_EPOCH {
            // Asking for everything ends the session that is named, if any.
            self.remove(id);
            let context = if epoch == FINAL_EPOCH { Context::Sessionless } else { Context::Full { by_ids } };
            return Ok((context, wants));
        }
        let session = self.sessions.get_mut(&id).ok_or(SessionError::UnknownId)?;
        if session.epoch != epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.by_ids != by_ids {
            return Err(SessionError::NamesAndIdsMixed);
        }
        let added = wants.iter().filter(|want| !session.has(want)).count();
        if self.partitions + added > self.limits.partitions_max {
            // The reader starts over, and is then served without a session.
            self.remove(id);
            return Err(SessionError::UnknownId);
        }
        session.update(&wants, forgotten);
        if session.ordered.is_empty() {
            self.remove(id);
            return Ok((Context::Sessionless, wants));
        }
        session.epoch = next_epoch(epoch);
        let context = Context::Incremental { id, serial: session.serial };
        let all = session.ordered.values().map(|cached| cached.want.clone()).collect();
        self.touch(id, now);
        Ok((context, all))
    }

    /// Decides which partitions are told and remembers what they were told. `told` are the answers to `wants`, both in
    /// the order that [`FetchSessions::open`] gave. Requests behind this one may have moved the session's epoch on: replies
    /// are made in the order of their requests.
    pub fn select(&mut self, now: Mono, random: u64, context: &Context, wants: &[Want], told: &[Told]) -> Selected {
        let all = |session_id| Selected { session_id, told: vec![true; wants.len()] };
        match *context {
            Context::Sessionless => all(NO_SESSION),
            Context::Full { by_ids } => all(self.create(now, random, by_ids, wants, told)),
            Context::Incremental { id, serial } => {
                let session = self.sessions.get_mut(&id).filter(|session| session.serial == serial);
                // Evicted since: this reply may still be told in full, the next request starts over.
                let Some(session) = session else { return all(id) };
                let told = wants.iter().zip(told).map(|(want, told)| session.tell(want, *told)).collect();
                Selected { session_id: id, told }
            }
        }
    }

    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    #[cfg(test)]
    pub(super) fn force_epoch(&mut self, id: i32, epoch: i32) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.epoch = epoch;
        }
    }

    /// The new session's id; [`NO_SESSION`] if there is no room for one.
    fn create(&mut self, now: Mono, random: u64, by_ids: bool, wants: &[Want], told: &[Told]) -> i32 {
        let fits = self.limits.slots > 0 && self.partitions + wants.len() <= self.limits.partitions_max;
        if !fits || (self.sessions.len() >= self.limits.slots && !self.evict(now, wants.len())) {
            return NO_SESSION;
        }
        let id = self.free_id(random);
        self.made += 1;
        let mut session = Session {
            serial: self.made,
            epoch: next_epoch(INITIAL_EPOCH),
            by_ids,
            created: now,
            used: now,
            listed_size: 0,
            ordered: BTreeMap::new(),
            places: HashMap::with_capacity(wants.len()),
            next_place: 0,
        };
        for (want, told) in wants.iter().zip(told) {
            session.put(want, told.high_watermark, told.log_start);
        }
        self.sessions.insert(id, session);
        self.touch(id, now);
        id
    }

    fn free_id(&self, random: u64) -> i32 {
        let mut low = random;
        loop {
            // At most `slots` ids are taken out of two millions.
            let bits = i32::try_from(low & ((1 << RANDOM_BITS) - 1)).unwrap_or(0);
            let id = (self.core << RANDOM_BITS) | bits;
            if bits != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
            low = low.wrapping_add(1);
        }
    }

    /// Makes room for a session of `size` partitions, if an old one is worth less.
    fn evict(&mut self, now: Mono, size: usize) -> bool {
        let stale = self.by_use.first_key_value().map(|(key, ())| *key);
        if let Some((used, id)) = stale
            && now.since(used) > self.limits.evict_after
        {
            self.remove(id);
            return true;
        }
        // The newcomer has no id yet: it counts as smaller than one of the same size, else equals would chase each other.
        let smallest = self.by_size.first_key_value().map(|(key, ())| *key);
        match smallest {
            Some((smaller, id)) if smaller < size => {
                self.remove(id);
                true
            }
            _ => false,
        }
    }

    fn touch(&mut self, id: i32, now: Mono) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        self.by_use.remove(&(session.used, id));
        self.by_size.remove(&(session.listed_size, id));
        self.partitions -= session.listed_size;
        session.used = now;
        session.listed_size = session.ordered.len();
        self.partitions += session.listed_size;
        self.by_use.insert((now, id), ());
        if now.since(session.created) > self.limits.evict_after {
            self.by_size.insert((session.listed_size, id), ());
        }
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.by_use.remove(&(session.used, id));
            self.by_size.remove(&(session.listed_size, id));
            self.partitions -= session.listed_size;
        }
    }
}

impl Session {
    fn has(&self, want: &Want) -> bool {
        self.places.contains_key(&(want.topic.clone(), want.index))
    }

    fn update(&mut self, wants: &[Want], forgotten: &[(TopicKey, i32)]) {
        for want in wants {
            let place = self.places.get(&(want.topic.clone(), want.index));
            match place.and_then(|place| self.ordered.get_mut(place)) {
                Some(cached) => cached.want = want.clone(),
                None => self.put(want, -1, -1),
            }
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.ordered.remove(&place);
            }
        }
    }

    /// Adds a partition behind the others, or puts new values where it is.
    fn put(&mut self, want: &Want, high_watermark: i64, log_start: i64) {
        let place = *self.places.entry((want.topic.clone(), want.index)).or_insert_with(|| {
            self.next_place += 1;
            self.next_place
        });
        self.ordered.insert(place, Cached { want: want.clone(), high_watermark, log_start });
    }

    /// Is the partition in the reply? Remembers what it is told then.
    fn tell(&mut self, want: &Want, told: Told) -> bool {
        let key = (want.topic.clone(), want.index);
        let Some(cached) = self.places.get(&key).and_then(|place| self.ordered.get_mut(place)) else { return true };
        let changed = cached.high_watermark != told.high_watermark || cached.log_start != told.log_start;
        let is_told = changed || told.has_records || told.failed || told.diverges;
        cached.high_watermark = if told.failed { -1 } else { told.high_watermark };
        cached.log_start = told.log_start;
        if told.has_records {
            // Read last the next time, so that one busy partition cannot fill every reply.
            if let Some(cached) = self.places.get(&key).and_then(|place| self.ordered.remove(place)) {
                self.next_place += 1;
                self.places.insert(key, self.next_place);
                self.ordered.insert(self.next_place, cached);
            }
        }
        is_told
    }
}

/// 0 and -1 have meanings of their own: after the largest comes 1.
fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 { FINAL_EPOCH } else { epoch.checked_add(1).unwrap_or(1) }
}
