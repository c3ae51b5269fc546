//! A member's heartbeats, on a thread and a connection of their own: who is busy with records, or waits for somebody to take
//! them, keeps its place in the group.
//!
//! Invariant: nothing is said for a place that was given up, and nothing for a user who has shown no sign of life for
//! `BUSY_MAX`: its member leaves, so that others read its share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cluster::{Cluster, unasked};
use super::error::{ClientError, is_passing};
use crate::wire::messages::Response;
use crate::wire::messages::heartbeat::HeartbeatRequest;
use crate::wire::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use crate::wire::{ErrorCode, Str};

/// Between two heartbeats: a third of a session, as Kafka's clients have it.
const EVERY: Duration = Duration::from_secs(3);
/// … after one that failed in passing.
const AGAIN: Duration = Duration::from_secs(1);
/// How long its user may be busy: the default of Kafka's `max.poll.interval.ms`.
const BUSY_MAX: Duration = Duration::from_secs(300);

/// A member in a generation of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    member: Str,
    generation: i32,
}

struct State {
    /// `None`: there is none to keep.
    place: Option<Place>,
    next: Instant,
    /// What the group said last, if not that all is well.
    told: Option<ErrorCode>,
    /// When its user last did something.
    alive: Instant,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Ends with its member.
pub struct Pulse {
    shared: Arc<Shared>,
}

impl Pulse {
    /// `origin`: where to connect to, and as whom.
    pub fn start(origin: (String, String), group: &str) -> Pulse {
        let now = Instant::now();
        let state = State { place: None, next: now, told: None, alive: now, ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (own, group) = (shared.clone(), group.to_owned());
        std::thread::spawn(move || own.run(&origin, &group));
        Pulse { shared }
    }

    /// From now on for this place.
    pub fn keep(&self, member: &str, generation: i32) {
        let mut state = self.shared.lock();
        state.place = Some(Place { member: member.into(), generation });
        state.told = None;
        (state.alive, state.next) = (Instant::now(), Instant::now() + EVERY);
        self.shared.changed.notify_all();
    }

    /// No more, until there is another place.
    pub fn rest(&self) {
        let mut state = self.shared.lock();
        (state.place, state.told) = (None, None);
    }

    /// Its user does something. What the group has said meanwhile, if not that all is well.
    pub fn alive(&self) -> Option<ErrorCode> {
        let mut state = self.shared.lock();
        state.alive = Instant::now();
        state.told.take()
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, origin: &(String, String), group: &str) {
        let mut connected = None;
        while let Some((place, busy)) = self.due() {
            // The member is told that it is out of the group whether the group hears of it or not: it will notice by itself.
            let outcome = said(&mut connected, origin, group, &place, busy);
            let code = if busy { Ok(ErrorCode::UnknownMemberId) } else { outcome };
            self.heard(&place, code);
        }
    }

    /// Waits for the next heartbeat. Whose, and whether its user is busy for too long; `None`: the member is gone.
    fn due(&self) -> Option<(Place, bool)> {
        let mut state = self.lock();
        while !state.ended {
            let early = state.next.saturating_duration_since(Instant::now());
            state = match state.place.clone() {
                Some(place) if early.is_zero() => return Some((place, state.alive.elapsed() >= BUSY_MAX)),
                Some(_) => self.changed.wait_timeout(state, early).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }

    fn heard(&self, from: &Place, code: Result<ErrorCode, ClientError>) {
        let mut state = self.lock();
        // It may have another by now.
        if state.place.as_ref() != Some(from) {
            return;
        }
        match code {
            Ok(ErrorCode::None) => state.next = Instant::now() + EVERY,
            // A broker that does not answer is the member's to tell: it asks the same one for records.
            Err(_) => state.next = Instant::now() + AGAIN,
            Ok(code) if is_passing(code) => state.next = Instant::now() + AGAIN,
            // It is a member still, as long as it is heard of and the others wait for it.
            Ok(ErrorCode::RebalanceInProgress) => {
                (state.told, state.next) = (Some(ErrorCode::RebalanceInProgress), Instant::now() + EVERY);
            }
            Ok(code) => (state.place, state.told) = (None, Some(code)),
        }
    }
}

/// What the coordinator answers to a heartbeat, or to a farewell.
fn said(
    connected: &mut Option<Cluster>,
    (bootstrap, client_id): &(String, String),
    group: &str,
    place: &Place,
    farewell: bool,
) -> Result<ErrorCode, ClientError> {
    let cluster = match &mut *connected {
        Some(cluster) => cluster,
        none => none.insert(Cluster::connect(bootstrap, client_id)?),
    };
    let reply = match farewell {
        true => cluster.call_coordinator(group, leaving(group, &place.member)),
        false => {
            let request = HeartbeatRequest {
                group_id: group.into(),
                generation_id: place.generation,
                member_id: place.member.clone(),
                ..Default::default()
            };
            cluster.call_coordinator(group, request)
        }
    };
    let code = reply.and_then(|reply| match reply {
        Response::Heartbeat(reply) => Ok(reply.error_code),
        Response::LeaveGroup(reply) => Ok(reply.error_code),
        other => Err(unasked("the coordinator", &other)),
    });
    if !code.as_ref().is_ok_and(|code| !is_passing(*code)) {
        // The next one looks for the coordinator anew.
        *connected = None;
    }
    code
}

/// The request of a member that goes.
pub fn leaving(group: &str, member: &str) -> LeaveGroupRequest {
    let member = MemberIdentity { member_id: member.into(), ..Default::default() };
    LeaveGroupRequest { group_id: group.into(), members: vec![member], ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(place: Option<Place>, next: Instant, alive: Instant) -> Shared {
        let state = State { place, next, told: None, alive, ended: false };
        Shared { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn told(shared: &Shared) -> (Option<ErrorCode>, Option<Place>) {
        let state = shared.lock();
        (state.told, state.place.clone())
    }

    fn place(generation: i32) -> Place {
        Place { member: "m".into(), generation }
    }

    #[test]
    fn a_user_who_is_busy_keeps_its_place_for_as_long_as_it_may_be() {
        let now = Instant::now();
        assert_eq!(shared(Some(place(1)), now, now).due(), Some((place(1), false)));
        let long_ago = now.checked_sub(BUSY_MAX).expect("the machine is up for longer");
        assert_eq!(shared(Some(place(1)), now, long_ago).due(), Some((place(1), true)));
    }

    #[test]
    fn what_the_group_says_of_an_earlier_place_is_nothing_to_the_one_after_it() {
        let now = Instant::now();
        let shared = shared(Some(place(2)), now, now);
        shared.heard(&place(1), Ok(ErrorCode::IllegalGeneration));
        assert_eq!(told(&shared), (None, Some(place(2))));
        shared.heard(&place(2), Ok(ErrorCode::NotCoordinator));
        assert_eq!(told(&shared), (None, Some(place(2))));
        let rebalance = Some(ErrorCode::RebalanceInProgress);
        shared.heard(&place(2), Ok(ErrorCode::RebalanceInProgress));
        assert_eq!(told(&shared), (rebalance, Some(place(2))), "it is waited for");
        shared.heard(&place(2), Ok(ErrorCode::UnknownMemberId));
        assert_eq!(told(&shared), (Some(ErrorCode::UnknownMemberId), None));
    }
}
