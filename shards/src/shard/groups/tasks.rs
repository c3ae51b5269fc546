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
    let mut looks = Looks::new(shard.now(), every);
    while !shard.journal_is_closed() {
        shard.rt().sleep_until(looks.wake_at(shard.now())).await;
        let trusted = clock.trusted(shard.now(), shard.wall_ms());
        if looks.is_due(shard.now())
            && let Some(time) = trusted
        {
            let all: Vec<PartitionId> = shard.step(|core, _, _| core.groups.of.keys().copied().collect());
            for partition in all {
                expire(&shard, partition, time).await;
            }
        }
    }
}

/// When it is looked for what expired.
struct Looks {
    every: Duration,
    next: Mono,
    /// When the task is to be woken.
    wake_at: Mono,
}

impl Looks {
    fn new(now: Mono, every: Duration) -> Looks {
        let next = now.after(every);
        Looks { every, next, wake_at: next }
    }

    /// More often than it is looked: only so is it seen that all stood still.
    fn wake_at(&mut self, now: Mono) -> Mono {
        self.wake_at = self.next.min(now.after(TICK));
        self.wake_at
    }

    /// Woken: whether to look now.
    fn is_due(&mut self, now: Mono) -> bool {
        if stood_still(self.wake_at, now) {
            self.next = self.next.max(now.after(EXPIRY_PUT_OFF.min(self.every)));
        }
        let is_due = now >= self.next;
        if is_due {
            self.next = now.after(self.every);
        }
        is_due
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

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(600);

    /// How long after `from` it is looked, by a task that is always woken in time.
    fn next_look(looks: &mut Looks, from: Mono) -> Duration {
        let mut now = from;
        loop {
            now = looks.wake_at(now);
            if looks.is_due(now) {
                return now.since(from);
            }
        }
    }

    #[test]
    fn after_a_standstill_nothing_expires_for_a_minute() {
        let start = Mono(1);
        // Whenever it stood still: in the middle, before the last tick, or when a look was due.
        for after in [Duration::from_secs(300), EVERY - TICK / 2, EVERY] {
            for stood in [STALL * 2, EVERY / 2, EVERY * 100] {
                let mut looks = Looks::new(start, EVERY);
                let mut now = start;
                let frozen = start.after(after);
                while looks.wake_at(now) < frozen {
                    now = looks.wake_at(now);
                    assert!(!looks.is_due(now));
                }
                let woken = looks.wake_at.max(frozen).after(stood);
                assert!(!looks.is_due(woken), "{after:?} {stood:?}: it is looked at once");
                let waited = next_look(&mut looks, woken);
                assert!(waited >= EXPIRY_PUT_OFF, "{after:?} {stood:?}: it is looked after {waited:?}");
                assert!(waited <= EVERY, "{after:?} {stood:?}: it is looked after {waited:?}");
                assert_eq!(next_look(&mut looks, woken.after(waited)), EVERY, "then as ever");
            }
        }
    }

    #[test]
    fn who_is_woken_in_time_looks_as_often_as_told() {
        let start = Mono(1);
        let mut looks = Looks::new(start, EVERY);
        assert_eq!(next_look(&mut looks, start), EVERY);
        // A little late is no standstill.
        let second = start.after(EVERY * 2);
        let mut now = start.after(EVERY);
        while looks.wake_at(now) < second {
            now = looks.wake_at(now);
            assert!(!looks.is_due(now));
        }
        assert!(looks.is_due(second.after(STALL)));
        // Where it is looked more often than a minute, no longer than that is waited.
        let often = Duration::from_secs(5);
        let mut looks = Looks::new(start, often);
        let woken = looks.wake_at(start).after(STALL * 5);
        assert!(!looks.is_due(woken));
        assert_eq!(next_look(&mut looks, woken), often);
    }
}
