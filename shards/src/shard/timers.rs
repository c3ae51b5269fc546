//! Time on a shard: deadlines of parked fetches, `flush.ms`, and the regular look at retention. Owning core only.

use std::time::Duration;

use futures_lite::future::or;

use super::core::ShardCore;
use super::partition::Slot;
use super::{PARTITIONS_PER_STEP, Shard, nearly_full};
use crate::log::retention;
use crate::planted::{PlantedFault, is_planted};
use crate::runtime::Runtime;
use crate::types::Mono;

/// A stopping shard is noticed at the latest after this.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// If wall and monotonic time part by more than this, retention pauses (R18).
const CLOCK_DRIFT_MAX_MS: i64 = 5 * 60 * 1000;
/// A thousandth and more of the time is no clock's drift: NTP slews by half of that at most. A clock that is slower to part from the
/// other is followed.
const DRIFT_PER_TIME: i64 = 1_000;
/// It goes on after the clocks agreed for so long.
const CLOCK_AGREED: Duration = Duration::from_secs(60 * 60);

/// Fires what is due.
pub async fn run_deadlines<R: Runtime>(shard: Shard<R>) {
    let signals = shard.signals();
    while !shard.journal_is_closed() {
        let next = shard.step(|core, now, _| core.fire_due(now));
        let wake = next.min(shard.now().after(TICK));
        or(shard.rt().sleep_until(wake), signals.watch.wait()).await;
    }
}

impl ShardCore {
    /// Fires all deadlines up to now; returns the next one.
    fn fire_due(&mut self, now: Mono) -> Mono {
        self.watches.expire(now);
        if self.flush_deadline.is_some_and(|at| at <= now) {
            self.flush_deadline = None;
            if !is_planted(PlantedFault::FlushTimeForgotten) {
                self.sync_soon();
            }
        }
        if self.closing_at.is_some_and(|at| at <= now) {
            self.closing_at = None;
            self.closing_due = true;
            self.signals.journal.notify();
        }
        let next = [self.watches.next_deadline(), self.flush_deadline, self.closing_at];
        next.into_iter().flatten().min().unwrap_or(Mono::FAR)
    }

    /// Forgets producers that have appended nothing for long.
    fn expire_producers(&mut self, slots: &[Slot], wall_ms: i64) {
        let expiration_ms = self.settings.producer_expiration_ms;
        let mut room = self.producer_room;
        for slot in slots {
            if let Some(partition) = self.get_mut(*slot) {
                partition.producers.expire(wall_ms, expiration_ms, &mut room);
            }
        }
        self.producer_room = room;
    }

    /// Moves the log starts of some partitions by their topics' rules: by size alone while it is not known what time it is.
    fn apply_retention(&mut self, slots: &[Slot], wall_ms: Option<i64>) {
        for slot in slots {
            let Some(partition) = self.get_mut(*slot) else { continue };
            if partition.offline.is_some() || !partition.config.cleanup_policy.delete {
                continue;
            }
            let rules = retention::Rules {
                retention_ms: wall_ms.map_or(-1, |_| partition.config.retention_ms),
                retention_bytes: partition.config.retention_bytes,
            };
            let Some(start) = partition.log.plan_retention(&rules, wall_ms.unwrap_or(0)) else { continue };
            tracing::info!(topic = %partition.topic_name, partition = partition.id.index, start = start.0, "retention moves the log start");
            self.move_log_start(*slot, start, None);
        }
    }
}

/// A time of the wall clock that was trusted. From there on the monotonic clock tells it: the other may jump at any moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrustedTime {
    at: Mono,
    wall_ms: i64,
}

impl TrustedTime {
    /// What the wall clock would say by now.
    pub(super) fn wall_ms(&self, now: Mono) -> i64 {
        self.wall_ms.saturating_add(millis(now) - millis(self.at))
    }
}

/// Tells whether the wall clock can be trusted with deleting data.
pub(super) struct ClockWatch {
    /// Wall minus monotonic time: at the start or at the last jump, and drifting since.
    offset_ms: i64,
    /// When it last followed the drift.
    followed_at: Mono,
    /// Set after a jump: it is trusted again from here on.
    paused_until: Option<Mono>,
    /// Of all that watch the one clock of the process, one says so when it jumps.
    tells: bool,
}

impl ClockWatch {
    pub(super) fn new(now: Mono, wall_ms: i64) -> ClockWatch {
        ClockWatch { offset_ms: wall_ms - millis(now), followed_at: now, paused_until: None, tells: false }
    }

    fn telling(now: Mono, wall_ms: i64) -> ClockWatch {
        ClockWatch { tells: true, ..ClockWatch::new(now, wall_ms) }
    }

    /// The time, if something may be deleted for being old; a jump forbids that until the clocks agreed for an hour.
    pub(super) fn trusted(&mut self, now: Mono, wall_ms: i64) -> Option<TrustedTime> {
        let jump_ms = wall_ms - millis(now) - self.offset_ms;
        if jump_ms.abs() > CLOCK_DRIFT_MAX_MS && !is_planted(PlantedFault::RetentionTrustsJumps) {
            if self.tells {
                tracing::warn!(
                    jump_ms,
                    "the wall clock jumped: nothing is deleted for its age until it is steady for an hour"
                );
            }
            self.offset_ms += jump_ms;
            self.followed_at = now;
            self.paused_until = Some(now.after(CLOCK_AGREED));
        }
        let drift_ms = (millis(now) - millis(self.followed_at)) / DRIFT_PER_TIME;
        if drift_ms > 0 {
            self.offset_ms += (wall_ms - millis(now) - self.offset_ms).clamp(-drift_ms, drift_ms);
            self.followed_at = now;
        }
        if self.paused_until.is_some_and(|until| now >= until) {
            self.paused_until = None;
        }
        self.paused_until.is_none().then_some(TrustedTime { at: now, wall_ms })
    }
}

fn millis(now: Mono) -> i64 {
    i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX)
}

/// The first look comes so soon, as on Kafka: a broker that is started often would never delete.
const FIRST_LOOK: Duration = Duration::from_secs(30);

/// Looks at every partition each `log.retention.check.interval.ms`; and more often, on one core, at what the disk has left.
pub async fn run_retention<R: Runtime>(shard: Shard<R>) {
    let every = Duration::from_millis(shard.step(|core, _, _| core.settings.retention_check_ms));
    let speaks_for_all = shard.step(|core, _, _| core.index.0 == 0);
    let watch = if speaks_for_all { ClockWatch::telling } else { ClockWatch::new };
    let mut clock = watch(shard.now(), shard.wall_ms());
    let mut next = shard.now().after(every.min(FIRST_LOOK));
    let mut next_space = shard.now().after(nearly_full::LOOK);
    while !shard.journal_is_closed() {
        shard.rt().sleep_until(next.min(shard.now().after(TICK))).await;
        if speaks_for_all && shard.now() >= next_space {
            next_space = shard.now().after(nearly_full::LOOK);
            shard.look_at_space().await;
        }
        let (now, wall_ms) = (shard.now(), shard.wall_ms());
        let trusted = clock.trusted(now, wall_ms);
        if now < next {
            continue;
        }
        next = now.after(every);
        // Until the new run is the current one, a crash goes back to the last run, and that counts on all of its files.
        if shard.step(|core, _, _| core.starting) {
            continue;
        }
        let slots: Vec<Slot> = shard.step(|core, _, _| core.slots().collect());
        for some in slots.chunks(PARTITIONS_PER_STEP) {
            shard.step(|core, now, _| {
                let wall_ms = trusted.map(|time| time.wall_ms(now));
                core.apply_retention(some, wall_ms);
                if let Some(wall_ms) = wall_ms {
                    core.expire_producers(some, wall_ms);
                }
            });
            shard.rt().quantum().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;

    #[test]
    fn a_jump_of_days_pauses_retention_for_an_hour() {
        let mut clock = ClockWatch::new(Mono(0), 1_000);
        assert!(clock.trusted(Mono(1_000_000_000), 2_000).is_some());
        let jumped = 1_000 + 86_400_000;
        assert!(clock.trusted(Mono(2_000_000_000), jumped).is_none());
        assert!(clock.trusted(Mono(HOUR_NS), jumped + 3_598_000).is_none());
        assert!(clock.trusted(Mono(HOUR_NS + 3_000_000_000), jumped + 3_601_000).is_some());
    }

    #[test]
    fn a_clock_that_drifts_for_weeks_never_jumps_and_one_that_jumps_in_steps_does() {
        let hours = |drift_ms: i64, steps: i64| {
            let mut clock = ClockWatch::new(Mono(0), 0);
            (1..=steps).all(|hour| {
                let passed = u64::try_from(hour).expect("positive") * HOUR_NS;
                clock.trusted(Mono(passed), hour * (3_600_000 + drift_ms)).is_some()
            })
        };
        // 200 ppm are 17 s a day.
        for drift_ms in [720, -720] {
            assert!(hours(drift_ms, 24 * 60));
        }
        for drift_ms in [120_000, -120_000] {
            assert!(!hours(drift_ms, 4));
        }
    }

    #[test]
    fn slow_drift_is_no_jump() {
        let mut clock = ClockWatch::new(Mono(0), 0);
        let time = clock.trusted(Mono(HOUR_NS), 3_600_000 + 60_000).expect("no jump");
        assert_eq!(time.wall_ms(Mono(HOUR_NS + 2_000_000_000)), 3_662_000, "whatever the wall clock says by then");
    }
}
