//! The tasks around the coordinators of a core: replies that wait for the disk, time-outs, expiry. Owning core only.
//!
//! Invariant: work comes in bounded steps, so that a large rebalance does not hold up a produce on the same core.

use std::time::Duration;

use futures_lite::future::or;

use super::State;
use crate::group::Now;
use crate::request::AppendError;
use crate::runtime::Runtime;
use crate::shard::Shard;
use crate::shard::core::ShardCore;
use crate::shard::timers::{ClockWatch, TICK, TrustedTime};
use crate::types::{Mono, PartitionId};

/// Time-outs fired, and groups looked at for expiry or after a load, in one step.
pub(super) const PER_STEP: usize = 64;

/// Between portions of replies: what a portion costs, to write and to read what its receivers ask next, is about half of it.
const REPLIES_PAUSE: Duration = Duration::from_millis(1);

/// Woken later than this, the core, the process or the machine stood still.
const STALL: Duration = Duration::from_secs(1);
/// What came meanwhile, heartbeats among it, is read in this time, before anybody counts as silent.
const CATCH_UP: Duration = Duration::from_secs(2);
/// After a stall nothing expires for so long: who is away for that time comes back first.
const EXPIRY_PUT_OFF: Duration = Duration::from_secs(60);

/// Sends replies in the order of the appends that they wait for.
pub async fn run_replies<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.group_replies.wait().await;
        while let Some(mut unsent) = shard.step(|core, _, _| core.groups.unsent.pop_front()) {
            let outcome = match unsent.appended.take() {
                None => Ok(()),
                Some(appended) => match appended.await {
                    Some(results) => results.into_iter().find_map(Result::err).map_or(Ok(()), Err),
                    None => Err(AppendError::Stopping),
                },
            };
            shard.step(|core, _, _| core.step_is_over(unsent, outcome));
        }
    }
}

/// Sends the replies of large steps, [some](REPLIES_AT_ONCE) at a time.
pub async fn run_outbox<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        signals.group_outbox.wait().await;
        while shard.step(|core, _, _| core.groups.has_outbox()) {
            shard.rt().sleep_until(shard.now().after(REPLIES_PAUSE)).await;
            shard.step(|core, _, _| core.groups.send_some());
        }
    }
}

/// Fires time-outs of members and rebalances.
pub async fn run_timers<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        let next = shard.step(ShardCore::fire_groups);
        shard.rt().quantum().await;
        or(shard.rt().sleep_until(next), signals.group_timers.wait()).await;
        if stood_still(next, shard.now()) {
            shard.rt().sleep_until(shard.now().after(CATCH_UP)).await;
        }
    }
}

/// Whether who was to be woken at `due` was kept from it, as everybody was: what came meanwhile is not looked at yet.
fn stood_still(due: Mono, now: Mono) -> bool {
    now.since(due) > STALL
}

/// Looks for expired offsets each `offsets.retention.check.interval.ms`.
pub async fn run_expiry<R: Runtime>(shard: Shard<R>) {
    let every = Duration::from_millis(shard.step(|core, _, _| core.groups.settings.retention_check_ms));
    let mut clock = ClockWatch::new(shard.now(), shard.wall_ms());
    let mut next = shard.now().after(every);
    while !shard.journal_is_closed() {
        let woken = next.min(shard.now().after(TICK));
        shard.rt().sleep_until(woken).await;
        let trusted = clock.trusted(shard.now(), shard.wall_ms());
        if stood_still(woken, shard.now()) {
            next = next.max(shard.now().after(EXPIRY_PUT_OFF.min(every)));
        }
        if shard.now() < next {
            continue;
        }
        next = shard.now().after(every);
        if let Some(time) = trusted {
            let all: Vec<PartitionId> = shard.step(|core, _, _| core.groups.of.keys().copied().collect());
            for partition in all {
                expire(&shard, partition, time).await;
            }
        }
    }
}

async fn expire<R: Runtime>(shard: &Shard<R>, partition: PartitionId, time: TrustedTime) {
    let mut from = None;
    loop {
        from = shard.step(|core, now, wall_ms| {
            core.may_append_records(partition).ok()?;
            let State::Ready(machine) = &mut core.groups.of.get_mut(&partition)?.state else { return None };
            let trusted = Now { mono: now, wall_ms: time.wall_ms(now) };
            let (effects, last) = machine.expire(trusted, from.as_ref(), PER_STEP);
            core.carry_out(now, wall_ms, partition, effects);
            last
        });
        if from.is_none() {
            return;
        }
        shard.rt().quantum().await;
    }
}

impl ShardCore {
    /// Fires what is due of one coordinator, each in its turn. When to look again: what cannot be fired now, since nothing can
    /// be stored, waits for a tick.
    pub(super) fn fire_groups(&mut self, now: Mono, wall_ms: i64) -> Mono {
        if let Some(partition) = self.next_due(now) {
            self.groups.fired = Some(partition);
            if let Some(State::Ready(machine)) = self.groups.of.get_mut(&partition).map(|known| &mut known.state) {
                let effects = machine.fire(Now { mono: now, wall_ms }, &self.catalog.borrow(), PER_STEP);
                self.carry_out(now, wall_ms, partition, effects);
            }
        }
        let next = self.next_group_deadline().map_or(Mono::FAR, |next| next.max(now));
        self.groups.next_look = next.min(now.after(TICK));
        self.groups.next_look
    }

    /// The first coordinator behind the last one that has something to fire.
    fn next_due(&self, now: Mono) -> Option<PartitionId> {
        let is_due = |partition: &&PartitionId| self.next_deadline_of(**partition).is_some_and(|next| next <= now);
        let behind = |partition: &&PartitionId| self.groups.fired.is_none_or(|fired| **partition > fired);
        let due = || self.groups.of.keys().filter(is_due);
        due().find(behind).or_else(|| due().next()).copied()
    }
}
