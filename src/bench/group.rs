//! Reads as the members of a consumer group do: each its share of the partitions, with heartbeats, and offsets stored as
//! they go. A thread for each member.
//!
//! Invariant: the members are complete before the first record is due, so none comes before somebody reads its partition. A
//! member that is late for the group in the run is read after by others, from where it stored last; what comes again then
//! is found.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::clock::{duration_ns, now_ns, thread_cpu_ns};
use super::error::BenchError;
use super::intake::{Acked, Intake, Read, Spent};
use super::meter::Meter;
use super::plan::Plan;
use super::reader::LOST_AFTER_NS;
use crate::client::{ClientError, Cluster, Member, OffsetAt, delete_group};

/// How long a member waits for records before it looks whether the run has ended.
const WAIT: Duration = Duration::from_millis(50);
/// How long all of them may take to share out the partitions. A coordinator waits seconds for more members to come.
const JOIN: Duration = Duration::from_secs(60);
/// What `owned` holds of a member that has no share yet.
const NOT_JOINED: usize = usize::MAX;

pub struct Group {
    name: String,
    bootstrap: String,
    members: Vec<Member>,
}

impl Group {
    /// Joins with all members, and comes back when they have shared out all partitions.
    pub fn join(plan: &Plan, members: u32, client_id: &str, run: u32) -> Result<Group, BenchError> {
        let name = format!("{client_id}-{run:08x}");
        let owned: Vec<AtomicUsize> = (0..members).map(|_| AtomicUsize::new(NOT_JOINED)).collect();
        let failed = AtomicBool::new(false);
        let until_ns = now_ns() + duration_ns(JOIN);
        // `None`: it gave up, because another failed or time was up.
        let join = |number: usize| -> Result<Option<Member>, ClientError> {
            let cluster = Cluster::connect(&plan.bootstrap, client_id)?;
            let mut member = Member::new(cluster, &name, &plan.topic, OffsetAt::End);
            while !is_complete(&owned, plan.partitions as usize) {
                if failed.load(Ordering::Relaxed) || now_ns() > until_ns {
                    return Ok(None);
                }
                // What comes now is not of this run.
                member.poll(WAIT)?;
                if let Some(own) = owned.get(number) {
                    own.store(member.positions().len(), Ordering::Relaxed);
                }
            }
            Ok(Some(member))
        };
        let joined = thread::scope(|scope| {
            let one = |number| {
                let (join, failed) = (&join, &failed);
                scope.spawn(move || join(number).inspect_err(|_| failed.store(true, Ordering::Relaxed)))
            };
            let joining: Vec<_> = (0..owned.len()).map(one).collect();
            joining.into_iter().map(super::run::joined).collect::<Vec<_>>()
        });
        let mut complete = Vec::new();
        for member in joined {
            complete.push(member??);
        }
        let complete: Option<Vec<Member>> = complete.into_iter().collect();
        let bootstrap = plan.bootstrap.clone();
        complete.map(|members| Group { name, bootstrap, members }).ok_or(BenchError::Group { members, wait: JOIN })
    }

    /// Reads with all members until all that was acked has come; each notes into a meter of its own.
    pub fn run(self, mut intake: Intake, meters: &[Arc<Meter>], acked: &OnceLock<Acked>) -> Read {
        intake.begin(now_ns());
        let intake = Mutex::new(intake);
        let ended = thread::scope(|scope| {
            let one = |(member, meter): (Member, &Arc<Meter>)| {
                let meter = meter.clone();
                let intake = &intake;
                scope.spawn(move || {
                    let (cpu_ns, begun_ns) = (thread_cpu_ns(), now_ns());
                    let failed = read(member, intake, &meter, acked).err();
                    (Spent::new(thread_cpu_ns() - cpu_ns, now_ns() - begun_ns), failed)
                })
            };
            let reading: Vec<_> = self.members.into_iter().zip(meters).map(one).collect();
            reading.into_iter().map(super::run::joined).collect::<Vec<_>>()
        });
        let (mut spent, mut failed) = (Spent::default(), None);
        for member in ended {
            match member {
                Ok((own, error)) => {
                    spent = spent.and(own);
                    failed = failed.or(error);
                }
                Err(panic) => failed = failed.or(Some(panic)),
            }
        }
        // It was made for this run alone. One that stays behind says nothing of the run, and ends with its offsets.
        let _removed = Cluster::connect(&self.bootstrap, &self.name)
            .and_then(|mut cluster| delete_group(&mut cluster, &self.name));
        intake.into_inner().unwrap_or_else(PoisonError::into_inner).ended(acked.get(), spent, failed)
    }
}

/// Each member has its share, and each partition its member.
fn is_complete(owned: &[AtomicUsize], partitions: usize) -> bool {
    let owned = owned.iter().map(|own| own.load(Ordering::Relaxed));
    owned.fold(0_usize, usize::saturating_add) == partitions
}

fn read(mut member: Member, intake: &Mutex<Intake>, meter: &Meter, acked: &OnceLock<Acked>) -> Result<(), BenchError> {
    let (mut came, mut progress_ns) = (0, now_ns());
    loop {
        let received = member.poll(WAIT)?;
        let now = now_ns();
        let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
        meter.record(|stretch| {
            for record in &received {
                intake.see(record.partition, record.value.as_deref().unwrap_or_default(), now, stretch);
            }
        });
        received.iter().for_each(|record| member.done(record));
        if intake.came() > came || acked.get().is_none() {
            (came, progress_ns) = (intake.came(), now);
        }
        if let Some(acked) = acked.get()
            && (intake.missing(acked) == 0 || now > progress_ns + LOST_AFTER_NS)
        {
            break;
        }
    }
    match member.leave() {
        // What was read was checked; nobody goes on from there.
        Err(ClientError::NotStored { .. }) => Ok(()),
        left => Ok(left?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_complete_when_all_have_joined_and_together_read_every_partition_once() {
        let is = |owned: &[usize]| is_complete(&owned.iter().map(|own| AtomicUsize::new(*own)).collect::<Vec<_>>(), 6);
        assert!(is(&[3, 3]) && is(&[6, 0]));
        assert!(!is(&[6, NOT_JOINED]), "the other's share will be taken from the first");
        assert!(!is(&[6, 3]), "the first has not heard yet");
        assert!(!is(&[3, 2]));
    }
}
