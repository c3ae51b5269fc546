//! How many connections there are: in all, per core and per address of a peer. The one thing of `listen` that all
//! cores share; locked for a map lookup at accept and at close, never across a wait. How many there may be is the
//! catalog's to say, as it may change.
//! Invariant: a count equals the number of its permits alive.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use shards::types::ConnectionLimits;
use thiserror::Error;

/// Why a connection is closed as soon as it was accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    #[error("the broker has its {max} connections (max.connections)")]
    Total { max: usize },
    #[error(
        "the broker has the {max} connections that its limit of open files leaves room for: raise it (`ulimit -n`, or \
         LimitNOFILE= in systemd)"
    )]
    Descriptors { max: usize },
    #[error("this core has its {max} connections (max.connections.per.shard)")]
    Core { max: usize },
    #[error("this address has its {max} connections (max.connections.per.ip)")]
    Ip { max: usize },
}

/// The counts of the whole process; one clone per core.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    per_core_max: usize,
    descriptors_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    per_core: HashMap<u16, usize>,
    per_ip: HashMap<IpAddr, usize>,
}

impl Admission {
    /// `per_core_max`: connections of one core, whatever the limits for all of them are.
    pub fn new(per_core_max: usize) -> Admission {
        Admission::with(per_core_max, usize::MAX)
    }

    /// `descriptors_max`: connections of the whole process, whatever else is allowed: beyond it, files of the disk could not
    /// be opened.
    pub fn at_most(self, descriptors_max: usize) -> Admission {
        Admission::with(self.0.per_core_max, descriptors_max)
    }

    fn with(per_core_max: usize, descriptors_max: usize) -> Admission {
        Admission(Arc::new(Shared { per_core_max, descriptors_max, counts: Mutex::default() }))
    }

    /// Counts a new connection in, or says which limit it hits.
    pub fn enter(&self, core: u16, ip: IpAddr, limits: &ConnectionLimits) -> Result<Permit, Refused> {
        let ip = ip.to_canonical();
        let of_ip = limits.per_ip_overrides.iter().find(|(of, _)| *of == ip).map_or(limits.per_ip_max, |(_, max)| *max);
        let mut counts = self.0.counts();
        if counts.total >= limits.total_max {
            return Err(Refused::Total { max: limits.total_max });
        }
        if counts.total >= self.0.descriptors_max {
            return Err(Refused::Descriptors { max: self.0.descriptors_max });
        }
        if counts.per_core.get(&core).is_some_and(|now| *now >= self.0.per_core_max) {
            return Err(Refused::Core { max: self.0.per_core_max });
        }
        if counts.per_ip.get(&ip).copied().unwrap_or(0) >= of_ip {
            return Err(Refused::Ip { max: of_ip });
        }
        counts.total += 1;
        *counts.per_core.entry(core).or_default() += 1;
        *counts.per_ip.entry(ip).or_default() += 1;
        Ok(Permit { shared: self.0.clone(), core, ip })
    }
}

impl Shared {
    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        // Counting cannot panic half way: a poisoned lock still guards true counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place in the counts, given up when dropped.
pub struct Permit {
    shared: Arc<Shared>,
    core: u16,
    ip: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.shared.counts();
        counts.total -= 1;
        leave(&mut counts.per_core, self.core);
        leave(&mut counts.per_ip, self.ip);
    }
}

/// Forgets a key with nothing left, so that the map does not keep every address that ever came.
fn leave<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn each_limit_refuses_by_its_name_and_a_closed_connection_frees_its_place() {
        let limits = ConnectionLimits { total_max: 4, per_ip_max: 2, per_ip_overrides: vec![(ip(9), 0)] };
        let admission = Admission::new(3);
        let first = admission.enter(0, ip(1), &limits).expect("the first");
        let _second = admission.enter(0, ip(1), &limits).expect("the second");
        assert_eq!(admission.enter(0, ip(1), &limits).err(), Some(Refused::Ip { max: 2 }));
        assert_eq!(admission.enter(0, ip(9), &limits).err(), Some(Refused::Ip { max: 0 }), "an override");
        let _third = admission.enter(0, ip(2), &limits).expect("another address");
        assert_eq!(admission.enter(0, ip(3), &limits).err(), Some(Refused::Core { max: 3 }));
        let _fourth = admission.enter(1, ip(3), &limits).expect("another core");
        assert_eq!(admission.enter(1, ip(4), &limits).err(), Some(Refused::Total { max: 4 }));
        drop(first);
        assert!(admission.enter(0, ip(1), &limits).is_ok());
    }

    #[test]
    fn connections_leave_descriptors_for_the_disk_whatever_is_allowed() {
        let (admission, limits) = (Admission::new(usize::MAX).at_most(2), ConnectionLimits::default());
        let _first = admission.enter(0, ip(1), &limits).expect("the first");
        let second = admission.enter(1, ip(2), &limits).expect("the second");
        let refused = admission.enter(2, ip(3), &limits).err().expect("no room");
        assert_eq!(refused, Refused::Descriptors { max: 2 });
        assert!(refused.to_string().contains("`ulimit -n`"), "{refused}");
        drop(second);
        assert!(admission.enter(2, ip(3), &limits).is_ok());
    }

    #[test]
    fn an_ipv4_peer_of_an_ipv6_listener_counts_as_itself() {
        let limits = ConnectionLimits { per_ip_max: 1, ..ConnectionLimits::default() };
        let admission = Admission::new(usize::MAX);
        let _one = admission.enter(0, ip(1), &limits).expect("the first");
        let mapped: IpAddr = "::ffff:127.0.0.1".parse().expect("an address");
        assert!(admission.enter(0, mapped, &limits).is_err());
    }

    #[test]
    fn an_address_without_connections_takes_no_memory() {
        let (admission, limits) = (Admission::new(usize::MAX), ConnectionLimits::default());
        for last in 0..200 {
            drop(admission.enter(0, ip(last), &limits));
        }
        assert!(admission.0.counts().per_ip.is_empty());
    }
}
